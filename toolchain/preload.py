"""The images that a node starts with, so that a cluster pulls nothing."""

import re
from pathlib import Path

from toolchain.archive import File, Image, Layer, Link, write_layer
from toolchain.binaries import Binaries
from toolchain.errors import ToolchainError
from toolchain.gobuild import GoBinaries
from toolchain.node_files import sandbox_ref
from toolchain.probe_image import ProbeImage
from toolchain.process import capture

KUBERNETES_PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
NONROOT = "65532:65532"


def router_ref(binaries: Binaries) -> str:
    """What the CNI manifest calls kube-router's image."""
    return f"docker.io/k8ssec/kube-router:{binaries.kube_router.version}"


def preloaded(binaries: Binaries, probe: ProbeImage, scratch: Path) -> list[Image]:
    """Probe image, CNI, and what kubeadm asks for, under the names that it asks by."""
    wanted = _kubeadm_images(binaries.kubernetes)
    base = probe.image()
    return [
        base,
        # One image under four names: kube-proxy needs the base's iptables, and for the others it costs nothing.
        Image(
            _named(wanted, *KUBERNETES_PROGRAMS),
            (*base.layers, _binary_layer(scratch, binaries.kubernetes, "usr/local/bin", KUBERNETES_PROGRAMS)),
        ),
        Image(_named(wanted, "etcd"), (_binary_layer(scratch, binaries.etcd, "usr/local/bin"),)),
        Image(
            _named(wanted, "coredns"),
            (_binary_layer(scratch, binaries.coredns, ""),),
            {"Entrypoint": ["/coredns"], "User": NONROOT},
        ),
        # kubeadm and containerd's configuration may name different versions of it.
        Image(
            tuple(sorted({*_named(wanted, "pause"), sandbox_ref()})),
            (_binary_layer(scratch, binaries.pause, ""),),
            {"Entrypoint": ["/pause"], "User": "65535:65535"},
        ),
        Image((router_ref(binaries),), (*base.layers, _binary_layer(scratch, binaries.kube_router, "usr/local/bin"))),
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
            f"kubeadm {kubernetes.version} wants images that toolchain/preload.py does not make: {', '.join(sorted(unknown))}"
        )
    return images


def _named(wanted: dict[str, str], *programs: str) -> tuple[str, ...]:
    missing = [program for program in programs if program not in wanted]
    if missing:
        raise ToolchainError(f"kubeadm asks for no image of {', '.join(missing)}; see toolchain/preload.py")
    return tuple(wanted[program] for program in programs)


def _binary_layer(scratch: Path, output: GoBinaries, folder: str, links: tuple[str, ...] = ()) -> Layer:
    place = Path(folder)
    entries: dict[str, File | Link] = {str(place / output.name): File(output.binary(), 0o755)}
    entries |= {str(place / link): Link(output.name) for link in links}
    return write_layer(scratch / f"{output.name}.tar", entries)
