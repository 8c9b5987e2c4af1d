"""The image that probes run in, and that kube-proxy and kube-router share as their lowest layer."""

from collections.abc import Iterator
from pathlib import Path

from toolchain import docker
from toolchain.archive import PATH, Image, Layer, write_archive
from toolchain.debian import DebianRoot
from toolchain.output import Output, source
from toolchain.settings import folder

RUN = {
    "Cmd": ["python3"],
    "Env": [f"PATH={PATH}", "PYTHONDONTWRITEBYTECODE=1"],
}


class ProbeImage(Output):
    """Python with the standard library, and network tools."""

    name = "probe-image"

    def __init__(self, root: DebianRoot) -> None:
        """The root is its only layer."""
        self.root = root
        self.needs = (root,)
        self.version = root.version

    @property
    def ref(self) -> str:
        """What both docker and the nodes' containerd know it by; for pod specs."""
        return f"docker.io/k8ssec/probe:{self.key}"

    def image(self) -> Image:
        """For an archive."""
        return Image((self.ref,), (Layer.of(self.root.tar),), RUN)

    def ingredients(self) -> Iterator[bytes]:
        """The recipe."""
        yield from source(Path(__file__))

    def exists(self) -> bool:
        """In docker's store."""
        return docker.has_image(self.ref)

    def make(self, log: Path) -> None:
        """An archive, loaded and thrown away."""
        archive = folder("scratch") / f"{self.slug}.tar"
        try:
            write_archive(archive, [self.image()])
            docker.load(archive, log)
        finally:
            archive.unlink(missing_ok=True)
