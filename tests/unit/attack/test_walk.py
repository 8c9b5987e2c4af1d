"""The walk: breadth-first, within bounds, and never taking what it did not see for what is not there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_k8ssec.attack import walk as module
from pytest_k8ssec.attack.graph import CLUSTER_ADMIN, Edge, Graph, Kind, Vertex
from pytest_k8ssec.attack.meter import BoundReached, Bounds, Meter
from pytest_k8ssec.attack.network import network_tasks
from pytest_k8ssec.attack.placement import Scene
from pytest_k8ssec.attack.radius import BlastRadius
from pytest_k8ssec.attack.walk import Walker, start_of
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.identities import Identity
from pytest_k8ssec.probes.nodes_in_reach import NodesInReach
from pytest_k8ssec.stack import Workload
from tests.unit.attack.graphs import INFERRED, KEY, REFUTED, SHOP, FakeApi, FakeCluster, edge


class Scripted(Walker):
    """A walker that finds what a table says, and counts how often it looks."""

    table: dict[Vertex, list[Edge]]
    asked: list[Vertex]
    ends_at: Vertex | None = None

    def _find(self, here: Vertex, meter: Meter) -> Iterator[Edge]:
        self.asked.append(here)
        yield from self.table.get(here, [])
        if here == self.ends_at:
            raise BoundReached("200 requests with found credentials")
        meter.check()


def scripted(*edges: Edge, bounds: Bounds | None = None) -> Scripted:
    """A walker over these edges."""
    cluster = cast("Any", FakeCluster())
    made = Scripted(cluster, cast("Pool", None), FakeCluster().scene(), {}, cast("Any", None))
    made.bounds = bounds or Bounds()
    made.table, made.asked = {}, []
    for each in edges:
        made.table.setdefault(each.source, []).append(each)
    return made


@dataclass
class FakeStack:
    """A stack of namespaces, and workloads if any."""

    namespaces: tuple[str, ...]
    has: tuple[Workload, ...] = ()

    def workloads(self) -> tuple[Workload, ...]:
        """Those that it has."""
        return self.has


def account(number: int) -> Vertex:
    """One of many accounts."""
    return Vertex(Kind.IDENTITY, f"system:serviceaccount:web:a{number}")


def chain(length: int) -> list[Edge]:
    """Accounts of which each gets a token of the next."""
    first = edge("token-steal", SHOP, account(0))
    return [first, *(edge("token-request", account(n), account(n + 1)) for n in range(length - 1))]


def ids(graph: Graph) -> set[str]:
    """Of its edges."""
    return set(graph.edges)


def test_it_goes_on_from_what_is_open_alone() -> None:
    """Refuted edges are kept, and lead nowhere."""
    shut = edge("token-steal", SHOP, account(0), REFUTED)
    walker = scripted(shut, edge("role-bind", account(0), CLUSTER_ADMIN))
    graph = walker.walk(SHOP)
    assert {shut.id} == ids(graph)
    assert [SHOP] == walker.asked


def test_inferred_edges_are_walked() -> None:
    """What follows is within reach."""
    graph = scripted(edge("pod-owns", SHOP, account(0), INFERRED), edge("role-bind", account(0), CLUSTER_ADMIN)).walk(
        SHOP
    )
    assert graph.is_admin


def test_the_depth_is_bounded_and_told() -> None:
    """Four positions behind each other and no more; then the graph is not conclusive."""
    assert scripted(*chain(4)).walk(SHOP).conclusive
    deep = scripted(*chain(5)).walk(SHOP)
    assert ["depth 4"] == deep.bounds
    assert not deep.conclusive


def test_circles_end() -> None:
    """Each position is looked at once."""
    walker = scripted(edge("token-steal", SHOP, account(0)), edge("pod-exec", account(0), SHOP))
    assert walker.walk(SHOP).conclusive
    assert 2 == len(walker.asked)


def test_what_leaves_from_a_position_is_found_out_once() -> None:
    """Two workloads that reach the same account share what it may do."""
    other = Vertex(Kind.POD, "web/other")
    walker = scripted(
        edge("token-steal", SHOP, account(0)),
        edge("token-steal", other, account(0)),
        edge("secrets-get", account(0), KEY),
    )
    for start in (SHOP, other):
        assert KEY in walker.walk(start).reached
    assert 1 == walker.asked.count(account(0))


def test_a_token_that_is_found_later_is_used() -> None:
    """What was inferred of an identity without a token says nothing of what it is seen to do with one."""
    walker = scripted(edge("token-steal", SHOP, account(0)))
    walker.walk(SHOP)
    walker._identities[account(0).name] = cast("Any", None)
    walker.table[account(0)] = [edge("secrets-get", account(0), KEY)]
    assert KEY in walker.walk(SHOP).reached


def test_each_test_looks_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph of one test says nothing of the next, which may have changed the cluster; twins stay in the pool."""
    made: list[Scripted] = []

    def walker(*_: object) -> Scripted:
        made.append(scripted(*([edge("secrets-get", SHOP, KEY)] if made else [])))
        return made[-1]

    monkeypatch.setattr(Walker, "of", walker)
    pool = Pool(cast("Any", FakeCluster()), "run", tuple)
    stack = cast("Any", FakeStack(("web",)))
    first, second = (BlastRadius(cast("Any", FakeCluster()), stack, pool) for _ in range(2))
    shop = workload("Deployment", "shop")
    assert KEY not in first(shop).reached
    assert KEY in second(shop).reached
    assert KEY not in first(shop).reached
    first.forget()
    assert KEY in first(shop).reached


def test_what_does_not_start_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not anew for each workload, until something changes."""
    tried: list[int] = []

    def walker(*_: object) -> Scripted:
        tried.append(1)
        raise ProbeError("Deployment web/slow: pod slow-1 is Pending")

    monkeypatch.setattr(Walker, "of", walker)
    blast = BlastRadius(
        cast("Any", FakeCluster()), cast("Any", FakeStack(("web",))), Pool(cast("Any", FakeCluster()), "run", tuple)
    )
    for _ in range(2):
        with pytest.raises(ProbeError, match="slow-1 is Pending"):
            blast(workload("Deployment", "shop"))
    assert 1 == len(tried)
    blast.forget()
    with pytest.raises(ProbeError, match="slow-1 is Pending"):
        blast(workload("Deployment", "shop"))
    assert 2 == len(tried)


def test_a_bound_in_the_middle_is_told_and_nothing_of_it_remembered() -> None:
    """What came so far stands; the next walk looks again, rather than taking half for the whole."""
    walker = scripted(*chain(1), edge("secrets-get", account(0), KEY))
    walker.ends_at = account(0)
    graph = walker.walk(SHOP)
    assert KEY in graph.reached
    assert ["200 requests with found credentials"] == graph.bounds
    walker.ends_at = None
    assert walker.walk(SHOP).conclusive
    assert 2 == walker.asked.count(account(0))


def test_who_commands_a_kubelet_has_what_the_pods_on_its_node_own() -> None:
    """Over the API server's own pod it leads to its node, and so to the cluster, within the depth that is usual."""
    server = {
        "metadata": {"name": "kube-apiserver-k8ssec-1-control-plane", "namespace": "kube-system",
                     "ownerReferences": [{"kind": "Node", "name": "n", "controller": True}]},
        "spec": {"nodeName": "k8ssec-1-control-plane", "containers": [{}],
                 "volumes": [{"name": "pki", "hostPath": {"path": "/etc/kubernetes/pki"}}]},
        "status": {"phase": "Running"},
    }  # fmt: skip
    kubelet = Vertex(Kind.KUBELET, "control-plane")
    cluster = cast("Any", FakeCluster(FakeApi(lists={"/api/v1/namespaces/kube-system/pods": [server]})))
    walker = Walker(cluster, cast("Pool", None), cluster.scene("web"), {}, cast("Any", None))
    walker._known[SHOP, False] = (edge("token-steal", SHOP, account(0)),)
    walker._known[account(0), False] = (edge("kubelet-exec", account(0), kubelet),)
    graph = walker.walk(SHOP)
    assert ["token-steal", "kubelet-exec", "placement", "pod-owns", "control-plane"] == [
        each.kind.name for each in graph.path()
    ]


def test_accounts_of_every_namespace_of_the_stack_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those without a workload, too; of others nobody asks a token."""
    asked = []

    def given(_: object, namespace: str, name: str) -> Identity:
        asked.append(f"{namespace}/{name}")
        return Identity(cast("Any", FakeApi()), f"system:serviceaccount:{namespace}:{name}", "token")

    monkeypatch.setattr(module, "service_account", given)
    api, stack = FakeApi(), cast("Any", FakeStack(("web", "shared")))
    monkeypatch.setattr(module, "targets", lambda *_, **__: [])
    cluster = cast("Any", FakeCluster(api))
    made = Walker.of(
        cluster, stack, cast("Pool", None), cluster.scene("web"), cast("Any", None), Bounds(per_second=1e6)
    )
    for namespace in ("shared", "kube-system"):
        list(made._leaving(Vertex(Kind.IDENTITY, f"system:serviceaccount:{namespace}:a"), Meter(made.bounds)))
    assert ["shared/a"] == asked


OWNER = {"kind": "Deployment", "name": "shop", "controller": True}


def workload(kind: str, container: str) -> Workload:
    """One of the shop's name."""
    spec = {"automountServiceAccountToken": False, "containers": [{"name": container}]}
    return Workload(kind, "web", "shop", {}, {"matchLabels": {"app": "shop"}}, {"spec": spec})


def test_two_workloads_of_one_name_are_both_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Deployment and a CronJob may share one, and their pods are one vertex."""
    monkeypatch.setattr(module, "targets", lambda *_, **__: [])
    stack = cast("Any", FakeStack(("web",), (workload("Deployment", "shop"), workload("CronJob", "clean"))))
    cluster = cast("Any", FakeCluster())
    made = Walker.of(cluster, stack, cast("Pool", None), cluster.scene("web"), cast("Any", None), Bounds())
    assert ["shop", "clean"] == [name for name, _ in made._specs(SHOP)]


@pytest.mark.parametrize(
    ("kind", "nodes", "expected"),
    [
        ("DaemonSet", ("worker", "control-plane"), ["k8ssec-1-control-plane", "k8ssec-1-worker"]),
        ("DaemonSet", ("worker",), ["k8ssec-1-worker"]),
        ("Deployment", ("worker", "control-plane", "worker"), ["k8ssec-1-control-plane", "k8ssec-1-worker"]),
        ("Deployment", ("worker",), ["k8ssec-1-worker"]),
        ("Deployment", (), [None]),
    ],
)
def test_twins_stand_wherever_its_pods_do(kind: str, nodes: tuple[str, ...], expected: list[str | None]) -> None:
    """What leads out of a pod on a control plane is not seen on a worker; the scheduler chooses for what has no pod."""
    owner = {"kind": kind, "name": "shop", "controller": True}
    pods = [
        {
            "metadata": {"name": f"shop-{number}", "namespace": "web", "ownerReferences": [owner]},
            "spec": {"nodeName": f"k8ssec-1-{node}", "containers": [{"name": "shop"}]},
            "status": {"phase": "Running"},
        }
        for number, node in enumerate(nodes)
    ]
    cluster = cast("Any", FakeCluster(FakeApi(lists={"/api/v1/namespaces/web/pods": pods})))
    shops = {SHOP: [workload(kind, "shop")]}
    walker = Walker(cluster, cast("Pool", None), cluster.scene("web"), shops, cast("Any", None))
    specs = [spec for _, spec in walker._specs(SHOP)]
    assert expected == [(spec.template or {})["spec"].get("nodeName") for spec in specs]


def shop_pods(*nodes: str, **containers: Any) -> list[dict[str, Any]]:
    """Live pods of the shop's, one on each of these nodes."""
    return [
        {
            "metadata": {"name": f"shop-{number}", "namespace": "web", "ownerReferences": [OWNER]},
            "spec": {"nodeName": f"k8ssec-1-{node}", "containers": [{"name": "shop"}], **containers},
            "status": {"phase": "Running"},
        }
        for number, node in enumerate(nodes)
    ]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        (("worker", "control-plane", "worker"), {"k8ssec-1-control-plane", "k8ssec-1-worker"}),
        (("worker",), {""}),
        ((), {""}),
    ],
)
def test_what_there_is_to_look_round_in_is_told_from_what_runs(nodes: tuple[str, ...], expected: set[str]) -> None:
    """Each container on each node where the workload's pods stand on several; a debugger's is one of them."""
    debugged = [{"name": "debugger"}]
    pods = shop_pods(*nodes, ephemeralContainers=debugged)
    cluster = cast("Any", FakeCluster(FakeApi(lists={"/api/v1/namespaces/web/pods": pods})))
    shops = {SHOP: [workload("Deployment", "shop")]}
    walker = Walker(cluster, cast("Pool", None), cluster.scene("web"), shops, cast("Any", None))
    names = {"shop", "debugger"} if len(expected) > 1 else {"shop"}
    assert {(node, name) for node in expected for name in names} == walker.places(SHOP)
    assert set() == walker.looked_round(SHOP)
    seen = [("k8ssec-1-worker", "web/shop/shop")]
    walker._looks[SHOP] = [cast("Any", SimpleNamespace(container=_looked(*each))) for each in seen]
    assert {("k8ssec-1-worker", "shop"), ("", "shop")} == walker.looked_round(SHOP)


def _looked(node: str, name: str) -> SimpleNamespace:
    pod = SimpleNamespace(source=SimpleNamespace(node=node))
    return SimpleNamespace(pod=pod, short=name.rpartition("/")[2])


def test_containers_that_only_live_pods_have_are_walked_by_their_own_names() -> None:
    """A mesh's, whichever pod it was seen in: the name of a place in a baseline does not change with each rollout."""
    owner = {"kind": "Deployment", "name": "shop", "controller": True}
    live = {
        "metadata": {"name": "shop-x7k2p", "namespace": "web", "ownerReferences": [owner]},
        "spec": {"nodeName": "k8ssec-1-worker", "containers": [{"name": "shop"}, {"name": "mesh"}]},
        "status": {"phase": "Running"},
    }
    cluster = cast("Any", FakeCluster(FakeApi(lists={"/api/v1/namespaces/web/pods": [live]})))
    walker = Walker(
        cluster, cast("Pool", None), cluster.scene("web"), {SHOP: [workload("Deployment", "shop")]}, cast("Any", None)
    )
    assert ["shop", "mesh"] == [name for name, _ in walker._specs(SHOP)]


def test_a_canary_of_ours_is_what_its_template_says() -> None:
    """No workload of that name is on the cluster, and nobody is asked for its pods."""
    cluster = cast("Any", FakeCluster())
    canary = Workload("Pod", "ours", "canary", {}, {}, {"spec": {"containers": [{"name": "probe"}], "nodeName": "n"}})
    scene = Scene(cluster, ("ours",), ours=True)
    walker = Walker(cluster, cast("Pool", None), scene, {start_of(canary): [canary]}, cast("Any", None))
    ((name, spec),) = walker._specs(start_of(canary))
    assert ("probe", canary.template) == (name, spec.template)


def test_more_endpoints_than_allowed_are_a_bound() -> None:
    """Those that were left out may be open."""
    walker = scripted()
    walker.listening = [cast("Any", None)] * 257
    assert ["256 endpoints"] == walker.walk(SHOP).bounds


def test_half_a_look_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one container of a workload could not be asked, nothing of the others is kept."""
    walker = scripted()
    walker.workloads = {SHOP: []}

    def broken(*_: object) -> list[Any]:
        raise BoundReached("broken")

    monkeypatch.setattr(module.Walker, "_specs", lambda *_: [("shop", None)])
    monkeypatch.setattr(module.Walker, "_twins", broken)
    with pytest.raises(BoundReached):
        walker.prepare([SHOP])
    assert {} == walker._looks


def silent_scene(cluster: Any) -> Scene:
    """A scene in which the worker answers nobody."""
    plane, worker = cluster.nodes
    return Scene(cluster, ("web",), reach=NodesInReach((plane,), (worker,), None))


def test_nodes_that_answer_nobody_are_not_asked_and_a_bound() -> None:
    """To dial each of them takes long; that nothing is known of them is told, so nothing is held for them."""
    cluster = cast("Any", FakeCluster())
    scene = silent_scene(cluster)
    assert not any("10.0.0.3" in str(task) for task in network_tasks(scene))
    assert any("10.0.0.2" in str(task) for task in network_tasks(scene))
    walker = scripted()
    walker.scene = scene
    graph = walker.walk(SHOP)
    assert ["1 nodes whose kubelets answer nobody: k8ssec-1-worker"] == graph.bounds
    assert not graph.conclusive


def test_no_twin_stands_on_a_node_that_answers_nobody() -> None:
    """Although a pod of the workload does."""
    pods = [
        {
            "metadata": {"name": f"shop-{node}", "namespace": "web", "ownerReferences": [OWNER]},
            "spec": {"nodeName": f"k8ssec-1-{node}", "containers": [{"name": "shop"}]},
            "status": {"phase": "Running"},
        }
        for node in ("worker", "control-plane")
    ]
    cluster = cast("Any", FakeCluster(FakeApi(lists={"/api/v1/namespaces/web/pods": pods})))
    shops = {SHOP: [workload("Deployment", "shop")]}
    walker = Walker(cluster, cast("Pool", None), silent_scene(cluster), shops, cast("Any", None))
    specs = [spec for _, spec in walker._specs(SHOP)]
    assert ["k8ssec-1-control-plane"] == [(spec.template or {})["spec"].get("nodeName") for spec in specs]


def test_what_is_inferred_ends_at_the_bound_of_seconds_too() -> None:
    """It sends nothing that would be counted, and there may be thousands of pods."""
    walker = scripted(*chain(3), bounds=Bounds(seconds=-1))
    assert ["-1 seconds"] == walker.walk(SHOP).bounds
    assert [] == walker.asked


def test_pods_are_looked_through_once_for_all_nodes() -> None:
    """For each of 500 nodes anew, 5,000 pods take minutes."""
    pods = [
        {
            "metadata": {"name": f"shop-{number}", "namespace": "web"},
            "spec": {"nodeName": f"k8ssec-1-{node}", "containers": []},
            "status": {"phase": "Running"},
        }
        for number, node in enumerate(("worker", "control-plane", "worker"))
    ]
    scene = FakeCluster(FakeApi(lists={"/api/v1/namespaces/web/pods": pods})).scene()
    first = scene.pods_on("worker")
    assert ["shop-0", "shop-2"] == [pod.name for pod in first]
    assert ["shop-1"] == [pod.name for pod in scene.pods_on("control-plane")]
    assert () == scene.pods_on("elsewhere")
    assert all(one is other for one, other in zip(first, scene.pods_on("worker"), strict=True))
