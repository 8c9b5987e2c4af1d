"""Whether tests can run on this machine, and what fixes it if not."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_k8ssec.doctor.daemon import examine_client, examine_daemon, examine_info
from pytest_k8ssec.doctor.finding import Diagnosis, Level
from pytest_k8ssec.doctor.kernel import examine_kernel
from pytest_k8ssec.doctor.kit import examine_images, examine_tools
from pytest_k8ssec.doctor.leftovers import examine_leftovers

__all__ = ["Diagnosis", "Level", "examine"]


def examine() -> Iterator[Diagnosis]:
    """Look at everything, each look with a deadline. A look that needs something missing is left out."""
    client = examine_client()
    yield client
    info = None
    if client.level is not Level.ERROR:
        daemon, info = examine_daemon()
        yield daemon
    if info is not None:
        yield from examine_info(info)
        yield from examine_kernel(info)
    yield from examine_tools()
    if info is not None:
        yield from examine_images()
    yield from examine_leftovers()
