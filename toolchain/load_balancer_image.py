"""The image that kind puts before several control planes: HAProxy, under the name by which kind asks for Envoy."""

import re
from collections.abc import Iterator
from pathlib import Path

from toolchain import docker, golang
from toolchain.archive import File, Image, Layer, write_archive, write_layer
from toolchain.debian import DebianRoot
from toolchain.errors import ToolchainError
from toolchain.node_files import KIND_MODULE
from toolchain.output import Output, source
from toolchain.process import capture
from toolchain.settings import HERE, folder

PROGRAM = HERE / "balancer" / "envoy"
KEY_LABEL = "io.k8ssec.toolchain.key"
"""By which an image of ours is told from Envoy's own."""


class LoadBalancerImage(Output):
    """Debian's HAProxy, and a program called ``envoy`` that reads what kind writes for Envoy.

    Nothing else needs it, so it is built only when it is named.
    """

    name = "load-balancer-image"

    def __init__(self, root: DebianRoot) -> None:
        """The root is its lower layer."""
        self._root = root
        self.needs = (root,)
        self.version = root.version

    @property
    def ref(self) -> str:
        """As kind's source names it: kind has no option for another one."""
        return balancer_ref(golang.module_folder("kind", KIND_MODULE))

    def ingredients(self) -> Iterator[bytes]:
        """The recipe, our program, and the version of kind, which says what the image is called."""
        yield from source(Path(__file__), PROGRAM)
        yield golang.required("kind", KIND_MODULE).encode()

    def exists(self) -> bool:
        """In docker's store: of this recipe, or one that is not ours, as Envoy itself, which is left alone."""
        if not docker.has_image(self.ref):
            return False
        label = f'{{{{index .Config.Labels "{KEY_LABEL}"}}}}'
        told = capture(["docker", "image", "inspect", "--format", label, self.ref], deadline=30).strip()
        return told in ("", "<no value>", self.key)

    def make(self, log: Path) -> None:
        """An archive, loaded and thrown away."""
        archive, layer = (folder("scratch") / f"{self.slug}{end}" for end in (".tar", ".layer.tar"))
        try:
            layers = (
                Layer.of(self._root.tar),
                write_layer(layer, {"usr/local/bin/envoy": File(PROGRAM, 0o755)}),
            )
            write_archive(archive, [Image((self.ref,), layers, {"Labels": {KEY_LABEL: self.key}})])
            docker.load(archive, log)
        finally:
            archive.unlink(missing_ok=True)
            layer.unlink(missing_ok=True)


def balancer_ref(kind: Path) -> str:
    """The image that a kind wants before several control planes.

    Args:
        kind: folder of its source.

    Raises:
        ToolchainError: its source does not say so where it did.
    """
    file = kind / "pkg" / "cluster" / "internal" / "loadbalancer" / "const.go"
    found = re.search(r'^const Image = "(\S+)"', file.read_text() if file.exists() else "", re.MULTILINE)
    if not found:
        raise ToolchainError(
            f"kind's {file.name}: names no load balancer's image; see toolchain/load_balancer_image.py"
        )
    return found[1]
