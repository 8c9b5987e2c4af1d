"""What a cluster's creation waits for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_k8ssec import docker
from pytest_k8ssec.clusters import kind
from pytest_k8ssec.clusters.kindconfig import PACKAGED, KindConfig
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.process import Completed
from pytest_k8ssec.runs import Run
from pytest_k8ssec.tools import Image, Tool


def node(name: str) -> dict[str, Any]:
    """A node that is ready."""
    addresses = [{"type": "InternalIP", "address": "10.0.0.1"}]
    status = {"conditions": [{"type": "Ready", "status": "True"}], "addresses": addresses}
    return {"metadata": {"name": name}, "status": status}


class LateApi:
    """An API server where the second node registers only while the nodes are watched."""

    late: tuple[str, ...] = ("worker",)

    def __init__(self, _kubeconfig: Path) -> None:
        self.there = ["control-plane"]

    def list(self, _path: str) -> list[dict[str, Any]]:
        """The nodes that are there."""
        return [node(name) for name in self.there]

    def watch(self, _path: str, **_: object) -> Iterator[tuple[str, dict[str, Any]]]:
        """Those that are there, and those that come."""
        yield from (("ADDED", node(name)) for name in self.there)
        for name in self.late:
            self.there.append(name)
            yield "ADDED", node(name)

    def get(self, _path: str) -> dict[str, Any]:
        """The version."""
        return {"gitVersion": "v1.36.3"}


@pytest.fixture
def creation(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A run under which creation finds a docker and a kind that say yes to everything."""
    done = Completed(("docker",), 0, b"2", b"")
    monkeypatch.setattr(docker, "docker", lambda *_, **__: done)
    monkeypatch.setattr(docker, "containers", lambda *_: [])
    monkeypatch.setattr(docker, "remove_all", lambda _: None)
    monkeypatch.setattr(kind, "_kind", lambda *_, **__: done)
    monkeypatch.setattr(kind, "_load_probe_image", lambda cluster, _: cluster.nodes)
    monkeypatch.setattr(kind, "KubeApi", LateApi)
    run = Run.begin()
    yield run
    run.end()


def made(run: Run) -> kind.KindCluster:
    """A cluster of the packaged configuration, which has two nodes."""
    config = KindConfig.load(PACKAGED)
    config.after.clear()
    tool, image = Tool(Path("kind"), "v0", "PATH"), Image("image", "v1", "release")
    return kind.create(config, run, kind=tool, node_image=image, probe_image=image, origin="packaged")


def test_a_node_that_registers_late_is_one_of_the_nodes(creation: Run) -> None:
    """One that is missing from them would be judged by nobody, and everything would hold."""
    assert ["control-plane", "worker"] == [each.name for each in made(creation).nodes]


def test_a_node_that_never_comes_is_an_error(creation: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer nodes than the configuration asks for are not a cluster to judge."""
    monkeypatch.setattr(LateApi, "late", ())
    monkeypatch.setattr(kind, "READY_SECONDS", 0)
    with pytest.raises(ClusterError, match="nodes not ready within 0 s"):
        made(creation)
