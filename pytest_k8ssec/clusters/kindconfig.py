"""A kind configuration file and the files that it mounts: read, checked, changed, written anew for one run."""

from __future__ import annotations

import base64
import copy
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from pytest_k8ssec.clusters.after import STEPS
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.errors.yaml_text import NotYaml, load_yaml
from pytest_k8ssec.evidence import JSON

PACKAGED = Path(__file__).parent / "hardened" / "kind.yaml"
"""The configuration of a hardened cluster that is used if the user has none."""

_API_VERSION = "kind.x-k8s.io/v1alpha4"
_RANDOM = re.compile(r"\$\{random:(\d+)\}")


@dataclass(slots=True)
class KindConfig:
    """One kind configuration, free to be changed before it is written.

    ``replaced`` holds new text for files that are mounted into nodes, by path relative to the configuration;
    ``after`` names what is done to the cluster once its nodes have joined.
    """

    source: Path
    document: dict[str, JSON]
    after: list[str]
    replaced: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> KindConfig:
        """Read and check a configuration, and ``kind-after.yaml`` beside it where there is one.

        Raises:
            ClusterError: the file is missing, is not YAML, or is not a kind cluster.
        """
        real = path.resolve()
        document = _read(real, "kind config")
        if document.get("kind") != "Cluster" or document.get("apiVersion") != _API_VERSION:
            raise ClusterError(
                f"kind config {path}: is not a kind cluster",
                fix=f"begin it with `kind: Cluster` and `apiVersion: {_API_VERSION}`",
            )
        nodes = document.get("nodes") or [{"role": "control-plane"}]
        if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
            raise ClusterError(
                f"kind config {path}: `nodes` must be a list of mappings with a `role`",
                fix="write each node as `- role: control-plane` or `- role: worker`",
            )
        document["nodes"] = nodes
        patches = document.get("kubeadmConfigPatches") or []
        if not isinstance(patches, list):
            raise ClusterError(
                f"kind config {path}: `kubeadmConfigPatches` must be a list of texts",
                fix="write each patch as `- |` and a document below it",
            )
        document["kubeadmConfigPatches"] = patches
        for node in nodes:
            for mount in _checked_mounts(path, node):
                if not _host_path(real, mount).exists():
                    raise ClusterError(
                        f"kind config {path}: extraMounts names {mount['hostPath']!r}, which does not exist",
                        fix="paths are relative to the kind config file",
                    )
        return cls(real, document, _steps(real.with_name("kind-after.yaml")))

    def copy(self) -> KindConfig:
        """An independent copy, to change."""
        return copy.deepcopy(self)

    def patch(self, kind: str, change: Mapping[str, JSON]) -> None:
        """Merge ``change`` into kubeadm's ``kind`` (ClusterConfiguration, KubeletConfiguration, ...).

        The patch is unversioned, so that kind converts ``extraArgs`` mappings to what the Kubernetes version wants; a
        value of None removes an argument. A later patch wins over an earlier one.
        """
        patches = self.document.setdefault("kubeadmConfigPatches", [])
        patches.append(yaml.safe_dump({"kind": kind, **change}, sort_keys=False))

    def api_server(self, **arguments: str | None) -> None:
        """Set (or with None remove) arguments of kube-apiserver; underscores become dashes."""
        self.patch("ClusterConfiguration", {"apiServer": {"extraArgs": _dashed(arguments)}})

    def etcd(self, **arguments: str | None) -> None:
        """Set (or with None remove) arguments of etcd; underscores become dashes."""
        self.patch("ClusterConfiguration", {"etcd": {"local": {"extraArgs": _dashed(arguments)}}})

    def kubelet(self, **fields: JSON) -> None:
        """Set fields of every kubelet's KubeletConfiguration."""
        self.patch("KubeletConfiguration", fields)

    def replace(self, file: str, text: str) -> None:
        """Replace the text of a mounted file, named relative to the configuration."""
        self.replaced[file] = text

    def plant(self, place: str, text: str) -> None:
        """Lay a file of ours on every control-plane node before it is set up.

        Args:
            place: absolute path on the node.
        """
        file = f"planted{place}"
        self.replaced[file] = text
        for node in self.document["nodes"]:
            if node.get("role") == "control-plane":
                _add_mount(node, {"hostPath": file, "containerPath": place})

    def mount(self, folder: Path, place: str) -> None:
        """Mount a folder of this machine into every node, read-only.

        Args:
            folder: absolute; it must outlive the cluster.
            place: absolute path on the nodes.
        """
        for node in self.document["nodes"]:
            _add_mount(node, {"hostPath": str(folder), "containerPath": place, "readOnly": True})

    @property
    def node_count(self) -> int:
        """How many nodes the cluster will have."""
        return len(self.document["nodes"])

    @property
    def has_random(self) -> bool:
        """Whether something that is mounted differs in each cluster: ``${random:N}`` stands in it."""
        places = [
            _host_path(self.source, mount)
            for node in self.document["nodes"]
            for mount in node.get("extraMounts") or []
            if not Path(mount["hostPath"]).is_absolute() and mount["hostPath"] not in self.replaced
        ]
        files = [file for place in places for file in ([place] if place.is_file() else place.rglob("*"))]
        texts = [file.read_bytes().decode(errors="surrogateescape") for file in files if file.is_file()]
        return any(_RANDOM.search(text) for text in [*texts, *self.replaced.values()])

    def write(self, directory: Path, name: str) -> Path:
        """Write the configuration, and a copy of each mounted file or folder, for one cluster.

        Args:
            directory: private and empty; what is mounted into the nodes must outlive the cluster.
            name: the cluster's name.

        Returns:
            the path of the written kind configuration.

        Raises:
            ClusterError: what is mounted can't be copied.
        """
        document = copy.deepcopy(self.document)
        document["name"] = name
        for node in document["nodes"]:
            for mount in node.get("extraMounts") or []:
                if Path(mount["hostPath"]).is_absolute():
                    continue  # the user's own place: mounted as it is
                target = _copied_to(directory, mount["hostPath"])
                if not target.exists() and mount["hostPath"] not in self.replaced:
                    try:
                        self._copy(_host_path(self.source, mount), target)
                    except OSError as error:
                        raise ClusterError(
                            f"kind config {self.source}: extraMounts names {mount['hostPath']!r}, which can't be copied",
                            fix="correct its permissions, or name it by an absolute path: that is mounted as it is",
                            details=str(error),
                        ) from error
                mount["hostPath"] = str(target)
        for file, text in self.replaced.items():
            target = _copied_to(directory, file)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch(mode=0o600)  # it may be a key; one that was copied keeps its mode
            target.write_text(_fill(text))
        path = directory / "kind.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return path

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
        for file in [target] if target.is_file() else target.rglob("*"):
            if file.is_file():
                text = file.read_bytes().decode(errors="surrogateescape")
                if _RANDOM.search(text):
                    file.write_text(_fill(text), errors="surrogateescape")
                    file.chmod(0o600)


def _fill(text: str) -> str:
    """Replace ``${random:N}`` by N fresh random bytes, base64."""
    return _RANDOM.sub(lambda match: base64.b64encode(secrets.token_bytes(int(match[1]))).decode(), text)


def _add_mount(node: dict[str, JSON], mount: dict[str, JSON]) -> None:
    node["extraMounts"] = [*(node.get("extraMounts") or []), mount]


def _dashed(arguments: Mapping[str, str | None]) -> dict[str, str | None]:
    return {name.replace("_", "-"): value for name, value in arguments.items()}


def _host_path(config: Path, mount: Mapping[str, JSON]) -> Path:
    return config.parent / str(mount["hostPath"])


def _copied_to(directory: Path, relative: str) -> Path:
    """Where the copy of a mounted file stands: never outside, also where the original is beside the configuration."""
    return Path(directory, "mounts", *("_up" if part == ".." else part for part in Path(relative).parts))


def _checked_mounts(config: Path, node: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """The node's mounts.

    Raises:
        ClusterError: they are no list of mappings that each have a text as ``hostPath``.
    """
    mounts = node.get("extraMounts") or []
    if not isinstance(mounts, list) or not all(
        isinstance(mount, dict) and isinstance(mount.get("hostPath"), str) for mount in mounts
    ):
        raise ClusterError(
            f"kind config {config}: `extraMounts` must be a list of mappings with a `hostPath`",
            fix="write each mount as `- hostPath: DIR` and `containerPath: /PLACE` below it",
        )
    return mounts


def _steps(file: Path) -> list[str]:
    """What is done after creation, where there is a file that says so.

    Raises:
        ClusterError: it names a step that there is not.
    """
    steps = (_read(file, "after-creation steps").get("steps") or []) if file.exists() else []
    unknown = [step for step in steps if step not in STEPS] if isinstance(steps, list) else [steps]
    if unknown:
        raise ClusterError(f"{file}: unknown step {unknown[0]!r}", fix=f"list some of: {', '.join(STEPS)}")
    return list(steps)


def _read(path: Path, what: str) -> dict[str, JSON]:
    try:
        document = load_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ClusterError(f"{what} {path}: {error.strerror}", fix="name an existing file") from error
    except (NotYaml, UnicodeDecodeError) as error:
        raise ClusterError(f"{what} {path}: is not valid YAML", fix="correct the file", details=str(error)) from error
    if not isinstance(document, dict):
        raise ClusterError(
            f"{what} {path}: must be a mapping, is {'empty' if document is None else type(document).__name__}",
            fix="write it as 'key: value' lines",
        )
    return document
