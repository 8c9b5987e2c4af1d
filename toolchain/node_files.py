"""The files of a node image that are not Debian's: kind's base files, the binaries, and ours."""

import json
import os
from pathlib import Path
from string import Template

from toolchain import golang
from toolchain.archive import File, Link
from toolchain.binaries import Binaries
from toolchain.errors import ToolchainError
from toolchain.gobuild import GoBinaries
from toolchain.process import capture
from toolchain.settings import HERE

KIND_MODULE = "sigs.k8s.io/kind"
OURS = HERE / "node"

ON_NODES = ("kubeadm", "kubelet", "kubectl")
ENABLED_UNITS = ("kubelet", "containerd", "undo-mount-hacks")

_CRI = '[plugins."io.containerd.grpc.v1.cri"]\n'
_STATS = '[plugins."io.containerd.cri.v1.runtime"]\n  stats_collect_period = "1h"\n\n'
EDITS = {
    "etc/containerd/config.toml": (
        # A root without CAP_SYS_RESOURCE may lower nobody's score below its own; elsewhere this does no harm.
        ("restrict_oom_score_adj = false", "restrict_oom_score_adj = true"),
        # It asks each pod's shim for what it uses, once a second: with 400 pods one of two cores does nothing else.
        (_CRI, _STATS + _CRI),
    ),
    "etc/systemd/system/containerd.service": (("OOMScoreAdjust=-999\n", ""),),
}
"""What changes in kind's files; an edit that finds nothing to change is an error, for kind has changed then."""


def node_files(binaries: Binaries, router_ref: str) -> dict[str, File | Link]:
    """Every entry of the layer, by its path from the root."""
    kubernetes, containerd = binaries.kubernetes, binaries.containerd
    manifest = Template((OURS / "default-cni.yaml").read_text()).substitute(image=router_ref)
    return {
        **_kind_files(),
        **{f"usr/local/bin/{path.name}": File(path, 0o755) for path in _programs(containerd, binaries.crictl)},
        **{f"opt/cni/bin/{path.name}": File(path, 0o755) for path in _programs(binaries.cni)},
        "usr/bin/kubernetes": File(kubernetes.binary(), 0o755),
        **{f"usr/bin/{name}": Link("kubernetes") for name in ON_NODES},
        "usr/sbin/init": Link("../lib/systemd/systemd"),
        **{
            f"etc/systemd/system/multi-user.target.wants/{unit}.service": Link(f"../{unit}.service")
            for unit in ENABLED_UNITS
        },
        # It would register things kernel-wide.
        "etc/systemd/system/systemd-binfmt.service": Link("/dev/null"),
        # The kernel's messages are the host's, and only confuse here.
        "etc/systemd/journald.conf.d/kind.conf": File(b"[Journal]\nReadKMsg=no\n"),
        "etc/machine-id": File(b""),
        "etc/containerd/cri-base.json": File(_base_runtime_spec(containerd)),
        "kind/version": File(kubernetes.version.encode()),
        "kind/manifests/default-cni.yaml": File(manifest.encode()),
        "kind/manifests/default-storage.yaml": File((OURS / "default-storage.yaml").read_bytes()),
        "kind/preload.sh": File(OURS / "preload.sh", 0o755),
    }


def sandbox_ref() -> str:
    """The pause image that kind's containerd configuration names."""
    for line in _base_folder().joinpath("etc/containerd/config.toml").read_text().splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "sandbox_image":
            return value.strip().strip('"')
    raise ToolchainError("kind's containerd config.toml names no sandbox_image; toolchain/node_files.py reads it there")


def _base_folder() -> Path:
    return golang.module_folder("kind", KIND_MODULE) / "images" / "base" / "files"


def _kind_files() -> dict[str, File | Link]:
    base = _base_folder()
    files: dict[str, File | Link] = {}
    for path in sorted(base.rglob("*")):
        if not path.is_file():
            continue
        name = str(path.relative_to(base))
        text = path.read_text()
        for old, new in EDITS.get(name, ()):
            if old not in text:
                raise ToolchainError(
                    f"kind's {name}: {old!r} is not in it any more; see EDITS in toolchain/node_files.py"
                )
            text = text.replace(old, new)
        # The module cache keeps no executable bits; kind's Dockerfile sets them by folder, and so do we.
        executable = path.parent.name == "bin"
        files[name] = File(text.encode(), 0o755 if executable else 0o644)
    if not files:
        raise ToolchainError(f"{base}: no files; kind keeps its base image's files elsewhere now")
    return files


def _programs(*outputs: GoBinaries) -> list[Path]:
    return [path for output in outputs for path in sorted(output.path.iterdir()) if os.access(path, os.X_OK)]


def _base_runtime_spec(containerd: GoBinaries) -> bytes:
    """As kind makes it: containerd's default, the hook that fakes the product id, and no limits of its own."""
    spec = json.loads(capture([containerd.binary("ctr"), "oci", "spec"], deadline=30))
    spec.setdefault("hooks", {}).setdefault("createContainer", []).append({"path": "/kind/bin/mount-product-files.sh"})
    spec["process"].pop("rlimits", None)
    return json.dumps(spec, indent=2).encode()
