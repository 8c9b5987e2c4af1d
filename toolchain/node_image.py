"""The image that kind makes nodes from."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from toolchain import docker
from toolchain.archive import PATH, Image, Layer, write_archive, write_layer
from toolchain.binaries import Binaries
from toolchain.debian import DebianRoot
from toolchain.errors import ToolchainError
from toolchain.node_files import OURS, node_files
from toolchain.output import Output, source
from toolchain.preload import preloaded, router_ref
from toolchain.probe_image import ProbeImage
from toolchain.process import logged
from toolchain.settings import HERE, folder

RUN = {
    "Entrypoint": ["/usr/local/bin/entrypoint", "/sbin/init"],
    "Env": [f"PATH={PATH}", "container=docker"],  # by which systemd knows where it is
    "StopSignal": "SIGRTMIN+3",  # on SIGTERM systemd would start over
}
RECIPE = ("node_image.py", "node_files.py", "preload.py", "archive.py")


class NodeImage(Output):
    """A Debian with systemd, kind's base files, Kubernetes, and containerd filled with the images nodes start with."""

    name = "node-image"

    def __init__(self, root: DebianRoot, probe: ProbeImage, binaries: Binaries) -> None:
        """All that is inside it; of kind it takes files, not the program."""
        self._root, self._probe, self._binaries = root, probe, binaries
        self.version = binaries.kubernetes.version
        inside = [output for output in binaries.all() if not output.name.startswith("pulumi")]
        # The root of probes too: where docker has their image already, nothing else would make it.
        self.needs = (root, probe, probe.root, *inside)

    @property
    def ref(self) -> str:
        """For `kind create cluster --image`."""
        return f"k8ssec/node:{self.version}-{self.key}"

    def ingredients(self) -> Iterator[bytes]:
        """The recipe and our own files."""
        yield from source(*(HERE / name for name in RECIPE), *sorted(OURS.iterdir()))

    def exists(self) -> bool:
        """In docker's store."""
        return docker.has_image(self.ref)

    def make(self, log: Path) -> None:
        """Loads the node without images, lets its own containerd unpack them, and commits what came of it."""
        scratch = folder("scratch") / self.slug
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        bare = f"k8ssec/node-build:{self.key}"
        builder = scratch.with_suffix(".builder")  # its id: a name may be anybody's
        _remove(builder, log)  # one that an interrupted build left
        try:
            write_archive(scratch / "preload.tar", preloaded(self._binaries, self._probe, scratch))
            files = write_layer(scratch / "files.tar", node_files(self._binaries, router_ref(self._binaries)))
            write_archive(scratch / "node.tar", [Image((bare,), (Layer.of(self._root.tar), files), RUN)])
            docker.load(scratch / "node.tar", log)
            logged(
                [
                    *("docker", "run", "--cidfile", builder, "--privileged", "--network=none"),
                    *("--volume", "/stage", "--volume", f"{scratch / 'preload.tar'}:/preload.tar:ro"),
                    *("--entrypoint", "/kind/preload.sh", bare),
                ],
                log=log,
                deadline=300,
            )
            entrypoint = " ".join(f'"{word}"' for word in RUN["Entrypoint"]).replace(" ", ", ")
            logged(
                ["docker", "commit", "--change", f"ENTRYPOINT [{entrypoint}]", builder.read_text(), self.ref],
                log=log,
                deadline=300,
            )
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            _remove(builder, log)
            with suppress(ToolchainError):
                logged(["docker", "rmi", bare], log=log, deadline=60)


def _remove(builder: Path, log: Path) -> None:
    """Remove the container whose id is in a file, if there is one, and then the file."""
    with suppress(ToolchainError):
        if builder.exists():
            logged(["docker", "rm", "--force", "--volumes", builder.read_text()], log=log, deadline=60)
    builder.unlink(missing_ok=True)
