"""What a cluster's creation waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_k8ssec.clusters import kind
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.clusters.kindconfig import PACKAGED, KindConfig
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.machine import docker
from pytest_k8ssec.machine.ledger import Run, read_run
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.machine.tools import Image, Tool
from tests.unit.machine.dockers import FakeDocker


def node(name: str) -> dict[str, Any]:
    """A node that is ready."""
    addresses = [{"type": "InternalIP", "address": "10.0.0.1"}]
    status = {"conditions": [{"type": "Ready", "status": "True"}], "addresses": addresses}
    return {"metadata": {"name": name}, "status": status}


class LateApi:
    """An API server where the second node registers only while the nodes are watched."""

    late: tuple[str, ...] = ("worker",)

    def __init__(self, _kubeconfig: Path, **_: object) -> None:
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


def kinds_work(fake_docker: FakeDocker, ids: list[str], lacking: int = 0) -> Callable[..., Completed]:
    """A kind that makes the containers of a configuration.

    Args:
        ids: of those that it made.
        lacking: how many of the nodes have nothing mounted.
    """

    def work(*arguments: object, **_: object) -> Completed:
        if "create" in arguments:
            written = yaml.safe_load(Path(str(arguments[arguments.index("--config") + 1])).read_text())
            for number, each in enumerate(written["nodes"]):
                (mark,) = (one for one in each["extraMounts"] if one["containerPath"] == "/kind/k8ssec-run")
                assert mark["readOnly"]
                name = f"{written['name']}-{'worker' if number else 'control-plane'}"
                binds = [mark["hostPath"]] if number >= lacking else []
                ids.append(fake_docker.container(name, docker.KIND_LABEL, written["name"], binds=binds))
        return Completed(("kind",), 0, b"", b"")

    return work


@pytest.fixture
def creation(monkeypatch: pytest.MonkeyPatch, fake_docker: FakeDocker) -> Iterator[Run]:
    """A run under which creation finds a docker without containers, and a kind that says yes to everything."""
    monkeypatch.setattr(docker, "_LOOK_AGAIN", (0.0, 0.01))
    monkeypatch.setattr(kind, "_kind", kinds_work(fake_docker, []))
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


def test_a_load_balancer_out_of_reach_is_said_with_what_gets_it(creation: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """kind itself only says that it could not pull an image that nobody asked for."""
    said = 'ERROR: failed to create cluster: failed to pull image "docker.io/envoyproxy/envoy:v1": command failed'

    def refused(*_: object, **__: object) -> Completed:
        raise ClusterError("kind: exit code 1", details=said)

    monkeypatch.setattr(kind, "_kind", refused)
    with pytest.raises(ClusterError, match="envoyproxy/envoy:v1: kind puts it before several control planes") as caught:
        made(creation)
    assert "docker load" in caught.value.fix


def test_nodes_are_recorded_by_their_ids(
    creation: Run, monkeypatch: pytest.MonkeyPatch, fake_docker: FakeDocker
) -> None:
    """Those that kind made for this run: each has the run's folder mounted, where nothing can write to it."""
    ids: list[str] = []
    monkeypatch.setattr(kind, "_kind", kinds_work(fake_docker, ids))
    cluster = made(creation)
    assert sorted(ids) == sorted(each.id for each in read_run(creation.directory).made)
    cluster.close()
    assert [] == fake_docker.containers


def test_a_cluster_that_somebody_makes_meanwhile_is_left(
    creation: Run, monkeypatch: pytest.MonkeyPatch, fake_docker: FakeDocker
) -> None:
    """Of our name, after the name was written down: kind refuses then, and nothing of theirs goes."""

    def kinds_refusal(*arguments: object, **_: object) -> Completed:
        if "create" in arguments:
            fake_docker.container(f"{creation.name()}-control-plane", docker.KIND_LABEL, creation.name())
            raise ClusterError("kind: node(s) already exist for a cluster with the name")
        return Completed(("kind",), 0, b"", b"")

    monkeypatch.setattr(kind, "_kind", kinds_refusal)
    with pytest.raises(ClusterError, match="already exist"):
        made(creation)
    assert [f"{creation.name()}-control-plane"] == fake_docker.containers


def test_nodes_that_can_not_be_told_from_others_are_an_error(
    creation: Run, monkeypatch: pytest.MonkeyPatch, fake_docker: FakeDocker
) -> None:
    """Nobody would remove them: that is told at once, and what to do."""
    monkeypatch.setattr(kind, "_kind", kinds_work(fake_docker, [], lacking=1))
    with pytest.raises(ClusterError, match="of 2 nodes 1 have the folder of this run") as caught:
        made(creation)
    assert f"kind delete cluster --name {creation.name()}" in caught.value.fix
    assert [f"{creation.name()}-control-plane"] == fake_docker.containers


def test_nodes_of_a_copy_are_found_by_their_host_names(creation: Run, fake_docker: FakeDocker, tmp_path: Path) -> None:
    """In Kubernetes they are called as those that were frozen; the containers bear the run's name."""
    for role in ("control-plane", "worker"):
        fake_docker.container(f"dev-{role}", docker.KIND_LABEL, "dev", hostname=f"k8ssec-frozen-{role}")
    fake_docker.container("other-worker", docker.KIND_LABEL, "other", hostname="k8ssec-frozen-worker2")
    cluster = kind.KindCluster("dev", tmp_path, tmp_path, True, "user", "", Image("image", "v1", "release"), creation)
    cluster.__dict__["api"] = api = LateApi(tmp_path)
    api.there = ["k8ssec-frozen-control-plane", "k8ssec-frozen-worker", "k8ssec-frozen-worker2"]
    assert [
        ("k8ssec-frozen-control-plane", "dev-control-plane", "control-plane"),
        ("k8ssec-frozen-worker", "dev-worker", "worker"),
        ("k8ssec-frozen-worker2", "", "k8ssec-frozen-worker2"),
    ] == [(node.name, node.container, node.short) for node in cluster.nodes]


def test_a_node_has_all_its_internal_addresses(creation: Run, fake_docker: FakeDocker, tmp_path: Path) -> None:
    """Its names and those by which others reach it are none."""
    double = node("double")
    double["status"]["addresses"] += [
        {"type": "InternalIP", "address": "fd00::1"},
        {"type": "Hostname", "address": "double"},
    ]
    cluster = kind.KindCluster("dev", tmp_path, tmp_path, True, "user", "", Image("image", "v1", "release"), creation)
    cluster.__dict__["api"] = api = LateApi(tmp_path)
    api.list = lambda _path: [double, {"metadata": {"name": "young"}, "status": {}}]  # type: ignore[method-assign]
    assert [("10.0.0.1", "fd00::1"), ("",)] == [each.addresses for each in cluster.nodes]


def test_nodes_that_are_no_containers_are_listed_and_not_entered(
    monkeypatch: pytest.MonkeyPatch, fake_docker: FakeDocker
) -> None:
    """A cluster may have nodes that only pretend, one without an address among them: no image is brought to these."""
    there = [node("real"), node("fake"), {"metadata": {"name": "young"}, "status": {}}]
    entered: list[str] = []

    class Api(LateApi):
        def list(self, _path: str) -> list[dict[str, Any]]:
            """The nodes."""
            return there

    def on_node(_: kind.KindCluster, where: Node, _argv: object, **__: object) -> Completed:
        entered.append(where.name)
        return Completed(("ctr",), 0, b"there", b"")

    monkeypatch.setattr(kind, "KubeApi", Api)
    monkeypatch.setattr(kind.KindCluster, "on_node", on_node)
    fake_docker.container("real", docker.KIND_LABEL, "dev")
    run = Run.begin()
    try:
        cluster = kind.KindCluster(
            "dev", Path("kubeconfig"), Path(), False, "existing", "", Image("image", "v1", "release"), run
        )
        assert {"real": "10.0.0.1", "fake": "10.0.0.1", "young": ""} == {
            each.name: each.address for each in cluster.nodes
        }
        assert ["real"] == [each.name for each in cluster.nodes if each.container]
        kind._load_probe_image(cluster, Tool(Path("kind"), "v0", "PATH"))
    finally:
        run.end()
    assert ["real"] == entered
