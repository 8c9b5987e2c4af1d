"""Where a workload can get to on nodes: at each address, on each port, whatever stands for what elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.net import WorkloadSuspect, cni_enforces, controlplane, metadata
from pytest_k8ssec.controls.net.cni_enforces import test_net_cni_enforces as enforces
from pytest_k8ssec.controls.net.controlplane import test_net_controlplane as kept_away
from pytest_k8ssec.controls.net.metadata import test_net_metadata as no_metadata
from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.probes.policy_enforcement import CanaryPath, PolicyStep
from pytest_k8ssec.stack import ServiceAccount, Workload
from pytest_k8ssec.verdict import Judge, Verdict
from tests.unit.fakes import evidence, judge_of

if TYPE_CHECKING:
    from pytest_k8ssec.agent.tasks import Task
    from pytest_k8ssec.pods.pool import Pool
    from pytest_k8ssec.stack import Stack

PLANE = Node("plane", "10.0.0.2", control_plane=True, container="plane", further=("fd00::2",))
WORKER = Node("worker", "10.0.0.3", control_plane=False, container="worker", further=("fd00::3",))

NODE_ADDRESSES = (*PLANE.addresses, *WORKER.addresses)


def pod(node: str) -> Pod:
    """A pod on a node, with an address of each family."""
    source = Source("pod", "web/t", "10.244.0.5", node)
    return replace(Pod(cast("Any", type("V", (), {"source": source})), "uid", "nonce"), further=("fd00:1::5",))


@dataclass
class World:
    """A stack of one workload, whose twin is let out to some places; its own cluster and pool."""

    open_to: tuple[str, ...] = ()
    """As tasks are written."""
    hears: dict[str, str] = field(default_factory=dict)
    """Lines of ss(8), by node."""
    forgets: str = ""
    """A task whose answer nobody looks at."""
    service_accounts: tuple[ServiceAccount, ...] = ()
    nodes = (PLANE, WORKER)
    stands_on: tuple[str, ...] = ("worker",)
    from_node: str = ""
    """The only one that a way is open from; "" for all."""
    lost: str = ""
    """A node whose twin's answers nobody looks at."""
    cut_off: bool = False
    """Whether no node is in reach of anybody, and Services are."""

    @property
    def cluster(self) -> World:
        """Itself."""
        return self

    api = cluster

    def get(self, path: str) -> dict[str, Any]:
        """The API servers' Service."""
        assert "/api/v1/namespaces/default/services/kubernetes" == path
        return {"spec": {"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00:96::1"], "ports": [{"port": 443}]}}

    def remember(self, _what: str, find_out: Callable[[], Any]) -> Any:
        """Found out each time."""
        return find_out()

    def attacker(self) -> Pod:
        """One of ours."""
        return pod("worker")

    def on_node(self, node: Node, argv: Sequence[str], **_: object) -> Completed:
        """What listens."""
        return Completed(tuple(argv), 0, self.hears.get(node.name, "").encode(), b"")

    def judge(self, monkeypatch: pytest.MonkeyPatch, control: Callable[..., None]) -> Judge:
        """What comes of it."""
        workload = Workload("Deployment", "web", "shop", {}, {}, {"spec": {"serviceAccountName": "shop"}})
        gate = evidence(Outcome.DONE)
        on_trial = [WorkloadSuspect(workload, "web/shop", pod(node), pod(node), gate) for node in self.stands_on]

        def tried(suspects: Any, ways: Callable[[Any], Sequence[Task]]) -> Iterable[Any]:
            for each in (each for each in suspects if each.pod.source.node != self.lost):
                tasks = ways(each)
                said = [self.said(task, each.pod.source.node) for task in tasks]
                yield each, said, [evidence(self.shown(task)) for task in tasks]

        for room in (controlplane, metadata):
            monkeypatch.setattr(room, "workloads_on_trial", lambda *_: on_trial)
            monkeypatch.setattr(room, "tried", tried)
        with monkeypatch.context() as patch:
            patch.setattr(WorkloadSuspect, "attack", self.attack)
            patch.setattr(metadata, "served", _served)
            judge = judge_of(control)
            control(judge, *([self] if control is no_metadata else []), cast("Stack", self), cast("Pool", self), {})
        return judge

    def shown(self, task: Task) -> Outcome:
        """What the pod gets for which no policy holds."""
        return Outcome.REFUSED if self.cut_off and getattr(task, "host", "") in NODE_ADDRESSES else Outcome.OPEN

    @property
    def attack(self) -> Callable[..., None]:
        """``WorkloadSuspect.attack`` that forgets one."""
        whole = WorkloadSuspect.attack

        def some(self: WorkloadSuspect, case: Any, what: str, answer: Evidence, *told: Any, **at: Any) -> None:
            if answer.request != forgets:
                whole(self, case, what, answer, *told, **at)

        forgets = self.forgets
        return some

    def said(self, task: Task, node: str) -> Evidence:
        """What a twin on a node is told."""
        is_open = str(task) in self.open_to and self.from_node in ("", node)
        return evidence(Outcome.OPEN if is_open else Outcome.NO_ANSWER, str(task))


@contextmanager
def _served(*_: object) -> Iterator[str]:
    """There is a metadata service."""
    yield "there is one"


def got_out(judge: Judge) -> list[str]:
    """To where."""
    return [each.evidence.request for each in judge.attacks if each.got_through]


@pytest.mark.parametrize("host", ["10.96.0.1", "[fd00:96::1]"])
def test_the_service_of_the_api_servers_is_a_way_to_them(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Some engines see its address, and not those of the nodes behind it."""
    way = f"TCP {host}:443"
    assert [way] == got_out(World((way,)).judge(monkeypatch, kept_away))
    account = ServiceAccount("web", "shop", api_client="asks for it")
    assert [] == got_out(World((way,), service_accounts=(account,)).judge(monkeypatch, kept_away))


def test_a_service_says_nothing_of_nodes_that_nobody_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    """It leads to API servers alone: of kubelets and etcd nothing was shown."""
    verdict, reason = World(cut_off=True).judge(monkeypatch, kept_away).verdict()
    assert (Verdict.INCONCLUSIVE, True) == (verdict, "positive control failed" in reason)


@pytest.mark.parametrize("host", ["10.0.0.2", "[fd00::2]", "10.0.0.3", "[fd00::3]"])
def test_each_address_of_a_node_is_a_way_to_it(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """A policy may let out by one family only, and to one node."""
    way = f"TCP {host}:10250"
    assert [way] == got_out(World((way,)).judge(monkeypatch, kept_away))
    assert Verdict.HELD is World().judge(monkeypatch, kept_away).verdict()[0]
    verdict, reason = World(forgets=way).judge(monkeypatch, kept_away).verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert f"not tried: address {host.strip('[]')}, node " in reason


@pytest.mark.parametrize(
    ("process", "expected"),
    [("kubelet", True), ("etcd", True), ("kube-controller", True), ("kube-apiserver", True), ("sshd", False)],
)
def test_a_port_of_the_control_plane_is_tried_whatever_its_number(
    monkeypatch: pytest.MonkeyPatch, process: str, expected: bool
) -> None:
    """Where its process listens for others; what else a node has is not of the control plane."""
    hears = {"plane": f'LISTEN 0 9 *:7777 *:* users:(("{process}",pid=7,fd=8))\n'}
    ways = tuple(f"TCP {host}:7777" for host in ("10.0.0.2", "[fd00::2]"))
    assert (list(ways) if expected else []) == got_out(World(ways, hears).judge(monkeypatch, kept_away))
    if expected:
        assert Verdict.INCONCLUSIVE is World((), hears, forgets=ways[1]).judge(monkeypatch, kept_away).verdict()[0]


def test_a_declared_client_reaches_api_servers_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """At whichever port they listen, and all the rest is still tried."""
    hears = {"plane": 'LISTEN 0 9 *:7777 *:* users:(("kube-apiserver",pid=7,fd=8))\n'}
    ways = ("TCP 10.0.0.2:6443", "TCP 10.0.0.2:7777", "TCP 10.0.0.2:2379")
    account = ServiceAccount("web", "shop", api_client="asks for it")
    judge = World(ways, hears, service_accounts=(account,)).judge(monkeypatch, kept_away)
    assert ["TCP 10.0.0.2:2379"] == got_out(judge)
    assert ("web/shop is declared a client of the API: asks for it",) == judge.notes
    assert "8 of 8 combinations" in judge.coverage.words(judge.tried)


@pytest.mark.parametrize(
    ("control", "way", "count"), [(kept_away, "TCP 10.0.0.2:10250", 28), (no_metadata, "TCP 169.254.169.254:80", 4)]
)
def test_each_node_that_its_pods_stand_on_is_a_source(
    monkeypatch: pytest.MonkeyPatch, control: Callable[..., None], way: str, count: int
) -> None:
    """What is open from one of them is open; one from which nobody tried is named."""
    nodes = ("plane", "worker")
    judge = World(stands_on=nodes).judge(monkeypatch, control)
    assert f"{count} of {count} combinations" in judge.coverage.words(judge.tried)
    assert [way] == got_out(World((way,), stands_on=nodes, from_node="worker").judge(monkeypatch, control))
    verdict, reason = World(stands_on=nodes, lost="worker").judge(monkeypatch, control).verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert "source pod on worker, workload web/shop (no attack tried it)" in reason


@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]"])
def test_each_family_is_a_way_to_the_metadata_service(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """And one that is forgotten is named."""
    way = f"TCP {host}:80"
    assert [way] == got_out(World((way,)).judge(monkeypatch, no_metadata))
    assert Verdict.HELD is World().judge(monkeypatch, no_metadata).verdict()[0]
    verdict, reason = World(forgets=way).judge(monkeypatch, no_metadata).verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert f"not tried: address {host.strip('[]')}, source pod on " in reason


def _steps(*left_out: CanaryPath) -> tuple[PolicyStep, ...]:
    """What an engine does that enforces, on both nodes."""
    ring = (("plane", "plane"), ("plane", "worker"), ("worker", "worker"), ("worker", "plane"))
    paths = [CanaryPath(*ends, protocol, v6=v6) for ends in ring for protocol in ("TCP", "UDP") for v6 in (False, True)]
    return tuple(
        PolicyStep(
            name,
            is_open,
            tuple(
                (path, evidence(Outcome.OPEN if is_open else Outcome.NO_ANSWER))
                for path in paths
                if path not in left_out or is_open
            ),
            1.0,
        )
        for name, is_open in (("no policy", True), ("deny all ingress", False), ("deny all egress", False))
    )


@pytest.mark.parametrize(
    ("path", "named"),
    [
        (CanaryPath("plane", "worker", "UDP", v6=True), "family IPv6, node worker, protocol UDP, route across nodes"),
        (CanaryPath("worker", "worker", "TCP"), "family IPv4, node worker, protocol TCP, route same node"),
    ],
)
def test_a_path_that_no_step_has_is_named(monkeypatch: pytest.MonkeyPatch, path: CanaryPath, named: str) -> None:
    """For ingress by the engine of the node that it enters."""
    monkeypatch.setattr(cni_enforces, "enforcement", lambda _: _steps())
    judge = judge_of(enforces)
    enforces(judge, cast("Pool", World()))
    assert (Verdict.HELD, "") == judge.verdict()
    assert "32 of 32 combinations" in judge.coverage.words(judge.tried)
    monkeypatch.setattr(cni_enforces, "enforcement", lambda _: _steps(path))
    judge = judge_of(enforces)
    enforces(judge, cast("Pool", World()))
    verdict, reason = judge.verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert f"direction ingress, {named} (no attack tried it)" in reason
