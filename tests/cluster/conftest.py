"""Tests that need a docker daemon. Without one they are skipped, unless K8SSEC_REQUIRE_CLUSTER is set."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_k8ssec.errors import ToolMissing
from pytest_k8ssec.machine import docker, tools
from tests.cluster.harness import Place, decoys, running

_HERE = Path(__file__).parent
REQUIRE = "K8SSEC_REQUIRE_CLUSTER"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark those that share the run's cluster; skip all, with the reason, where no daemon answers and none is required."""
    mine = [item for item in items if item.path.is_relative_to(_HERE)]
    for item in mine:
        if "k8ssec_testbed" in getattr(item, "fixturenames", ()):
            item.add_marker("one_cluster")
    if not mine or os.environ.get(REQUIRE):
        return
    try:
        docker.check_daemon()
    except ToolMissing as missing:
        for item in mine:
            item.add_marker(pytest.mark.skip(reason=f"{missing.message} (set {REQUIRE}=1 to make this an error)"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A home of the test's own; whatever was started there is ended and removed."""
    made = Place(tmp_path, tools.cache_root())
    yield made
    made.clean_up()


@pytest.fixture(scope="session")
def user_containers() -> Iterator[list[str]]:
    """Containers of the user's, easily mistaken for ours."""
    with decoys(tools.probe_image().reference, secrets.token_hex(4)) as names:
        yield names


@pytest.fixture
def untouched(place: Place, user_containers: list[str]) -> Iterator[None]:
    """Whatever happens in the test: the user's containers run on, and no kubeconfig of the user's is touched."""
    before = place.kubeconfig.stat()
    yield
    assert user_containers == running(user_containers)
    assert (before.st_mtime_ns, before.st_ino) == (place.kubeconfig.stat().st_mtime_ns, place.kubeconfig.stat().st_ino)
    assert [".kube"] == [path.name for path in place.kubeconfig.parent.parent.iterdir() if path.name != ".docker"]


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Show a figure, whatever is captured."""

    def show(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n    {line}\n")

    return show
