"""Ways out that one rule opens: on one port, to one name, or to the pods of one node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.agent.tasks import Resolve, Task, Tcp, Udp
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.net import WorkloadSuspect, egress_deny
from pytest_k8ssec.controls.net.egress_deny import test_net_egress_deny as denies
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.facts.admin_policies import AdminPolicy
from pytest_k8ssec.facts.policy_kinds import OtherPolicies
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.stack import Workload
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import evidence, judge_of, without

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.pods.manifests import PodSpec
    from pytest_k8ssec.pods.pool import Pool
    from pytest_k8ssec.stack import Stack

NODES = tuple(Node(f"n{at}", f"10.0.0.{at}", control_plane=not at, container=f"n{at}") for at in range(2))
Ways = Callable[[Task], bool]


def nothing(_: Task) -> bool:
    """No way is open."""
    return False


def pod(node: str, address: str) -> Pod:
    """A pod on a node."""
    return Pod(cast("Any", type("V", (), {"source": Source("pod", "web/t", address, node)})), "uid", "nonce")


@dataclass
class World:
    """A stack of one workload, on which policies act as told; its own cluster, pool and API."""

    rules: Sequence[dict[str, Any]] = ()
    open_to: Ways = nothing
    """What the twin gets through to."""
    full: str = ""
    """The node on which no canary starts."""
    others: OtherPolicies = field(default_factory=OtherPolicies)
    """Policies of other kinds."""
    leased: list[PodSpec] = field(default_factory=list)
    nodes = NODES
    further: tuple[str, ...] = ()
    """Addresses of canaries beside the first one."""

    @property
    def cluster(self) -> World:
        """Itself."""
        return self

    api = cluster

    def namespace(self, name: str) -> str:
        """One of ours."""
        return name

    def list(self, path: str) -> list[dict[str, Any]]:
        """One policy."""
        assert "/namespaces/web/networkpolicies" in path
        return [{"metadata": {"namespace": "web"}, "spec": {"podSelector": {}, "egress": self.rules}}]

    def remember(self, _what: str, find_out: Callable[[], Any]) -> Any:
        """Found out each time."""
        return find_out()

    def lease_each(self, *specs: PodSpec) -> Sequence[Pod | ProbeError]:
        """A pod for each."""
        self.leased += specs
        return [
            ProbeError("no room")
            if spec.node == self.full
            else replace(pod(spec.node, f"10.244.{spec.node[1:]}.9"), further=self.further)
            for spec in specs
        ]

    def judge(self, monkeypatch: pytest.MonkeyPatch) -> Judge:
        """What comes of it."""
        suspect = WorkloadSuspect(
            Workload("Deployment", "web", "shop", {}, {}, {}),
            "web/shop",
            pod("n0", "a"),
            pod("n0", "b"),
            evidence(Outcome.DONE),
        )

        def tried(suspects: Any, ways: Callable[[Any], Sequence[Task]]) -> Iterable[Any]:
            for each in suspects:
                tasks = ways(each)
                yield each, [self.said(task) for task in tasks], [evidence(Outcome.OPEN)] * len(tasks)

        monkeypatch.setattr(egress_deny, "workloads_on_trial", lambda *_: [suspect])
        monkeypatch.setattr(egress_deny, "tried", tried)
        monkeypatch.setattr(egress_deny, "other_policies", lambda _: self.others)
        monkeypatch.setattr(
            egress_deny,
            "outside_listener",
            lambda _, ports: {
                each: [(Udp if each[1] == "UDP" else Tcp)(host, each[0]) for host in ("172.18.0.9", "fd00::9")]
                for each in ports
            },
        )
        judge = judge_of(denies)
        denies(judge, cast("Cluster", self), cast("Stack", self), cast("Pool", self), {})
        return judge

    def said(self, task: Task) -> Evidence:
        """What the twin is told."""
        if isinstance(task, Resolve):
            return evidence(Outcome.DONE)
        return evidence(Outcome.OPEN if self.open_to(task) else Outcome.NO_ANSWER, str(task))


def got_out(judge: Judge) -> list[str]:
    """By which ways."""
    return [each.what for each in judge.attacks if each.got_through]


def to(port: int, kind: type[Tcp | Udp] = Tcp, host: str = "10.244.") -> Ways:
    """A network that lets through what goes to one port."""
    return lambda task: isinstance(task, kind) and task.port == port and task.host.startswith(host)


def test_where_nothing_is_let_out_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over both protocols, to a pod on each node."""
    judge = World().judge(monkeypatch)
    assert Verdict.HELD is judge.verdict()[0]
    inside = {each.what for each in judge.attacks if "another namespace" in each.what}
    assert inside == {
        f"reach a pod of another namespace on {node.name}, 8980/{protocol}"
        for node in NODES
        for protocol in ("TCP", "UDP")
    }


@pytest.mark.parametrize(
    ("port", "open_to", "words"),
    [
        ({"port": 5432}, to(5432), "5432/TCP"),
        ({"port": 5353, "protocol": "UDP"}, to(5353, Udp), "5353/UDP"),
        ({"port": 6000, "endPort": 6010}, to(6000), "6000/TCP"),
        ({"port": 6000, "endPort": 6010}, to(6010), "6010/TCP"),
        ({"port": "db"}, to(8981), "port db/TCP"),
        ({"port": 443}, to(443), "443/TCP"),
    ],
    ids=["number", "udp", "first", "last", "name", "privileged"],
)
def test_a_port_that_a_rule_names_is_tried_in_the_cluster(
    monkeypatch: pytest.MonkeyPatch, port: dict[str, Any], open_to: Ways, words: str
) -> None:
    """With a listener of ours on it, on each node."""
    rules = [{"to": [{"namespaceSelector": {}}], "ports": [port]}]
    world = World(rules, open_to)
    assert [f"reach a pod of another namespace on {node.name}, {words}" for node in NODES] == got_out(
        world.judge(monkeypatch)
    )
    number = next(
        task for task in range(1, 9000) if open_to(Tcp("10.244.0.9", task)) or open_to(Udp("10.244.0.9", task))
    )
    assert all(number in {each for each, *_ in spec.ports} for spec in world.leased)


def test_ten_ports_are_all_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one may be the one that lets out."""
    rules = [{"ports": [{"port": 7000 + at} for at in range(10)]}]
    assert ["reach the outside, 7009/TCP"] == got_out(World(rules, to(7009, host="172.")).judge(monkeypatch))


@pytest.mark.parametrize("node", [0, 1])
def test_a_way_to_the_pods_of_one_node_is_a_way_out(monkeypatch: pytest.MonkeyPatch, node: int) -> None:
    """A rule may name the addresses of one node's pods."""
    world = World(open_to=lambda task: getattr(task, "host", "").startswith(f"10.244.{node}."))
    assert [f"reach a pod of another namespace on n{node}, 8980/{each}" for each in ("TCP", "UDP")] == got_out(
        world.judge(monkeypatch)
    )


def test_a_node_without_a_canary_is_not_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are tried, and nothing is held."""
    judge = World(full="n1").judge(monkeypatch)
    assert Verdict.INCONCLUSIVE is judge.verdict()[0]
    assert "no room" in judge.verdict()[1]


def test_what_can_not_be_tried_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """SCTP, and one name of two protocols: a pod has it once."""
    ports = [
        {"port": 9, "protocol": "SCTP"},
        {"port": "db", "protocol": "UDP"},
        {"port": "db"},
        {"port": 8981},
    ]
    world = World([{"ports": ports}])
    judge = world.judge(monkeypatch)
    assert (
        "namespace web: egress rules name ports of SCTP, which are not tried: 9",
        "egress rules name port db of TCP and of UDP: only the first one is tried",
    ) == judge.notes
    assert {((8981, "", ""), (8982, "TCP", "db"))} == {spec.ports for spec in world.leased}


def test_each_family_of_pods_is_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy may let out by one of them."""
    world = World(open_to=lambda task: getattr(task, "host", "") == "fd00:1::9", further=("fd00:1::9",))
    assert ["8980/TCP by IPv6", "8980/UDP by IPv6"] == sorted(
        {each.partition(", ")[2] for each in got_out(world.judge(monkeypatch))}
    )


@pytest.mark.parametrize(
    ("port", "named"),
    [({"port": 5432}, "port 5432/TCP"), ({"port": "db", "protocol": "UDP"}, "port port db/UDP")],
)
def test_a_way_that_nobody_tried_is_named(monkeypatch: pytest.MonkeyPatch, port: dict[str, Any], named: str) -> None:
    """What rules name is known apart from what is tried."""
    world = World([{"to": [{"namespaceSelector": {}}], "ports": [port]}])
    assert Verdict.HELD is world.judge(monkeypatch).verdict()[0]
    monkeypatch.setattr(Case, "attack", without(Case.attack, f"pod on n1', 'port': '{named.removeprefix('port ')}'"))
    verdict, reason = world.judge(monkeypatch).verdict()
    assert Verdict.INCONCLUSIVE is verdict
    where = "destination pod on n1, family IPv4"
    assert f"not tried: {where}, {named}, source pod on n0, workload web/shop (no attack tried it)" == reason


def denies_up_to(last: int) -> OtherPolicies:
    """A policy for the whole cluster that denies ports up to one of them."""
    ports = [{"portRange": {"protocol": "TCP", "start": 1, "end": last}}, {"namedPort": "db"}]
    rule = {"action": "Deny", "to": [{"namespaces": {}}], "ports": ports}
    spec = {"priority": 1, "subject": {"namespaces": {}}, "egress": [rule]}
    return OtherPolicies((AdminPolicy("AdminNetworkPolicy", {"metadata": {"name": "a"}, "spec": spec}),))


def test_a_port_next_to_those_that_another_kind_of_policy_denies_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not name it lets out; names of ports are tried as well, and a note says why."""
    world = World(open_to=to(9001), others=denies_up_to(9000))
    judge = world.judge(monkeypatch)
    assert Verdict.BREACHED is judge.verdict()[0]
    assert [f"reach a pod of another namespace on {node.name}, 9001/TCP" for node in NODES] == got_out(judge)
    assert any(note.endswith("where what they say begins and ends: AdminNetworkPolicy a") for note in judge.notes)
    assert any(("db", "TCP") == (name, kind) for spec in world.leased for _, kind, name in spec.ports)


def test_a_port_that_a_kind_names_which_is_not_read_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a number stands that may be one."""
    cilium = {"metadata": {"name": "c"}, "spec": {"egress": [{"toPorts": [{"ports": [{"port": "5432"}]}]}]}}
    others = OtherPolicies(strange=("CiliumNetworkPolicy (cilium.io)",), objects=(cilium,))
    assert Verdict.BREACHED is World(open_to=to(5432), others=others).judge(monkeypatch).verdict()[0]
    assert Verdict.HELD is World(others=others).judge(monkeypatch).verdict()[0]
