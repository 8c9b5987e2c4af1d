"""The images that a node starts with, so that a cluster pulls nothing."""

import re
from collections.abc import Mapping
from pathlib import Path

from toolchain.archive import File, Image, Layer, Link, write_layer
from toolchain.binaries import Binaries
from toolchain.errors import ToolchainError
from toolchain.gobuild import GoBinaries
from toolchain.node_files import OURS, sandbox_ref
from toolchain.probe_image import ProbeImage
from toolchain.process import capture

KUBERNETES_PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
NONROOT = "65532:65532"
KUBE_ROUTER_BESIDE = {
    "node-network": File(OURS / "node_network.py", 0o755),
    "ip6tables-restore": File(OURS / "ip6tables-restore", 0o755),
}


def router_ref(binaries: Binaries) -> str:
    """What the CNI manifest calls kube-router's image."""
    return f"docker.io/k8ssec/kube-router:{binaries.kube_router.version}"


def preloaded(binaries: Binaries, probe: ProbeImage, scratch: Path) -> list[Image]:
    """Probe image, CNI, and what kubeadm asks for, under the names that it asks by."""
    wanted = _kubeadm_images(binaries.kubernetes)
    base = probe.image()
    kubernetes_links = {program: Link("kubernetes") for program in KUBERNETES_PROGRAMS}
    return [
        base,
        # One image under four names: kube-proxy needs the base's iptables, and for the others it costs nothing.
        Image(
            _named(wanted, *KUBERNETES_PROGRAMS),
            (*base.layers, _program(scratch, binaries.kubernetes, "usr/local/bin", kubernetes_links)),
        ),
        Image(_named(wanted, "etcd"), (_program(scratch, binaries.etcd, "usr/local/bin"),)),
        Image(
            _named(wanted, "coredns"),
            (_program(scratch, binaries.coredns, ""),),
            {"Entrypoint": ["/coredns"], "User": NONROOT},
        ),
        # kubeadm and containerd's configuration may name different versions of it.
        Image(
            tuple(sorted({*_named(wanted, "pause"), sandbox_ref()})),
            (_program(scratch, binaries.pause, ""),),
            {"Entrypoint": ["/pause"], "User": "65535:65535"},
        ),
        Image(
            (router_ref(binaries),),
            (*base.layers, _program(scratch, binaries.kube_router, "usr/local/bin", KUBE_ROUTER_BESIDE)),
        ),
    ]


def _kubeadm_images(kubernetes: GoBinaries) -> dict[str, str]:
    """Program to image, as the kubeadm that will run in the node says it."""
    told = capture(
        [kubernetes.binary("kubeadm"), "config", "images", "list", "--kubernetes-version", kubernetes.version],
        deadline=60,
    )
    images = {re.split(r"[/:]", ref)[-2]: ref for ref in told.split()}
    unknown = images.keys() - {*KUBERNETES_PROGRAMS, "etcd", "coredns", "pause"}
    if unknown:
        raise ToolchainError(
            f"kubeadm {kubernetes.version} wants {', '.join(sorted(unknown))}, which toolchain/preload.py does not make"
        )
    return images


def _named(wanted: dict[str, str], *programs: str) -> tuple[str, ...]:
    missing = [program for program in programs if program not in wanted]
    if missing:
        raise ToolchainError(f"kubeadm asks for no image of {', '.join(missing)}; see toolchain/preload.py")
    return tuple(wanted[program] for program in programs)


def _program(scratch: Path, output: GoBinaries, folder: str, beside: Mapping[str, File | Link] | None = None) -> Layer:
    """A layer of one program, and what goes into the same folder beside it."""
    entries = {output.name: File(output.binary(), 0o755), **(beside or {})}
    return write_layer(
        scratch / f"{output.name}.tar", {str(Path(folder, name)): entry for name, entry in entries.items()}
    )
