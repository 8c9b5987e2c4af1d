"""``k8ssec doctor``: is this machine fit, and if not, which command makes it so. It looks and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_k8ssec.doctor.daemon import examine_client, examine_daemon, examine_info
from pytest_k8ssec.doctor.finding import Finding, Level
from pytest_k8ssec.doctor.kernel import examine_kernel
from pytest_k8ssec.doctor.kit import examine_images, examine_tools
from pytest_k8ssec.doctor.leftovers import examine_leftovers

__all__ = ["Finding", "Level", "examine"]


def examine() -> Iterator[Finding]:
    """Look at everything, each look with a deadline; what rests on something that is not there is left out."""
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
