"""What nodes open to the outside: whatever listens there, by whichever process, unless it is meant to be open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.interface import Node, Published
from pytest_k8ssec.controls.ext.ports import test_ext_ports as closed
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import FakeVantage, judge_of, without

if TYPE_CHECKING:
    from pytest_k8ssec.agent.tasks import Task
    from pytest_k8ssec.agent.vantage import NetworkVantage
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.evidence import Evidence
    from pytest_k8ssec.pods.pool import Pool

NODE = Node("node", "10.0.0.2", control_plane=True, container="node")
MEANT = {6443: "kube-apiserver", 10250: "kubelet", 10256: "kube-proxy"}


@dataclass
class World:
    """A cluster that publishes nothing; its own API and pool. What listens is open, unless a firewall is before it."""

    further: dict[int, str] = field(default_factory=dict)
    """Processes by port, on all addresses."""
    local: dict[int, str] = field(default_factory=dict)
    """Those on loopback."""
    ours: tuple[int, ...] = ()
    firewall: tuple[int, ...] = ()
    datagrams: tuple[str, ...] = ()
    """What one to a Service's node port meets: from its node, and from outside; a connection is refused there."""
    nodes: tuple[Node, ...] = (NODE,)
    machine_addresses: tuple[str, ...] = ()
    sockets_udp: dict[int, str] = field(default_factory=dict)
    """Processes by port, on all addresses."""
    publishes: tuple[Published, ...] = ()
    closed_at: tuple[str, ...] = ()
    """Addresses at which nothing is open but what is meant to be."""

    @property
    def cluster(self) -> World:
        """Itself."""
        return self

    api = cluster

    def list(self, path: str) -> list[Any]:
        """A Service, if there is one, and no pods."""
        port = {"port": 53, "nodePort": 30053, "protocol": "UDP"}
        meta = {"namespace": "web", "name": "dns"}
        return [{"metadata": meta, "spec": {"ports": [port]}}] if self.datagrams and path.endswith("services") else []

    def in_network_of(self, _node: Node, argv: Sequence[str], *, deadline: float, stdin: bytes) -> Completed:
        """What a datagram meets that its own node sends."""
        return FakeVantage(lambda _: {"outcome": self.datagrams[0]}).execute(argv, stdin, deadline)

    def published(self, node: Node | None) -> tuple[Published, ...]:
        """The same of each node."""
        return self.publishes if node else ()

    def remember(self, _what: str, find_out: Any) -> Any:
        """Found out each time."""
        return find_out()

    def attacker(self) -> World:
        """Itself."""
        return self

    def probe(self, *tasks: Task) -> Sequence[Evidence]:
        """Kubelets answer."""
        from pytest_k8ssec.agent.vantage import probe

        return probe(FakeVantage(lambda _: {"outcome": "open"}), tasks)

    def shun(self, nodes: set[str]) -> None:
        """None is silent."""
        assert not nodes

    def on_node(self, _node: Node, argv: Sequence[str], **_: object) -> Completed:
        """ss(8), and which of it is ours."""
        told = [
            f'LISTEN 0 9 *:{port} *:* users:(("{by}",pid=7,fd=8))' for port, by in {**MEANT, **self.further}.items()
        ]
        told += [f'LISTEN 0 9 127.0.0.1:{port} *:* users:(("{by}",pid=7,fd=8))' for port, by in self.local.items()]
        if "-u" in argv:
            told = [f'UNCONN 0 9 *:{port} *:* users:(("{by}",pid=7,fd=8))' for port, by in self.sockets_udp.items()]
        out = "\n".join(told if argv[0] == "ss" else map(str, self.ours)) + "\n"
        return Completed(tuple(argv), 0, out.encode(), b"")

    def judge(self, **allowed: str) -> Judge:
        """What comes of it."""

        def said(task: dict[str, Any]) -> dict[str, Any]:
            if task["op"] == "udp":
                return {"outcome": self.datagrams[1]}
            if task["op"] == "http":
                return {"outcome": "no-answer"}
            further = () if task["host"] in self.closed_at else self.further
            is_open = task["port"] in {*MEANT, *further} - {*self.firewall}
            return {"outcome": "open" if is_open else "refused"}

        judge = judge_of(closed)
        outside = cast("NetworkVantage", FakeVantage(said))
        exceptions = {port.removeprefix("p"): why for port, why in allowed.items()}
        closed(judge, cast("Cluster", self), None, cast("Pool", self), outside, exceptions)
        return judge


def got_through(judge: Judge) -> list[str]:
    """What is open."""
    return [each.what for each in judge.attacks if each.got_through]


def test_what_is_meant_to_be_open_is_no_breach() -> None:
    """And nobody need say so."""
    assert (Verdict.HELD, "") == World().judge().verdict()


@pytest.mark.parametrize("port", [22, 8255, 22379, 32000])
def test_whatever_listens_is_tried(port: int) -> None:
    """No list has it; who it is, is told."""
    assert [f"connect to port {port} of process sshd"] == got_through(World({port: "sshd"}).judge())


def test_what_is_kept_from_others_is_no_breach() -> None:
    """By its address, by a firewall, or by who it is: a listener of ours is there for others."""
    assert Verdict.HELD is World(local={22379: "socat"}).judge().verdict()[0]
    assert Verdict.HELD is World({22: "sshd"}, firewall=(22,)).judge().verdict()[0]
    assert Verdict.HELD is World({20123: "python3"}, ours=(20123,)).judge().verdict()[0]
    assert [] != got_through(World({20123: "python3", 20124: "python3"}, ours=(20123,)).judge())


def test_what_is_declared_may_be_open() -> None:
    """By its number."""
    assert Verdict.HELD is World({22: "sshd"}).judge(p22="for administrators").verdict()[0]


def test_what_the_network_opens_is_noted_where_it_is_the_network() -> None:
    """Its process has to be the one that listens, and only BGP is no one's business but the nodes'."""
    judge = World({179: "kube-router"}).judge()
    assert Verdict.HELD is judge.verdict()[0]
    assert ("node node: listens on, and was not judged by: 179 of kube-router",) == judge.notes
    assert ["connect to port 179 of process gobgpd"] == got_through(World({179: "gobgpd"}).judge())
    assert ["connect to port 50051 of process kube-router"] == got_through(World({50051: "kube-router"}).judge())


@pytest.mark.parametrize(
    ("datagrams", "expected", "notes"),
    [
        (("open", "open"), Verdict.BREACHED, 0),
        (("open", "no-answer"), Verdict.HELD, 0),
        (("open", "refused"), Verdict.HELD, 0),
        (("no-answer", "open"), Verdict.BREACHED, 0),
        (("no-answer", "no-answer"), Verdict.HELD, 1),
        (("open", "error"), Verdict.INCONCLUSIVE, 0),
    ],
)
def test_a_node_port_of_udp_is_sent_a_datagram(datagrams: tuple[str, str], expected: Verdict, notes: int) -> None:
    """An answer is a breach; of what answers nobody nothing is known, and that is noted."""
    judge = World(datagrams=datagrams).judge()
    assert (expected, notes) == (judge.verdict()[0], len(judge.notes))
    if expected is Verdict.BREACHED:
        assert ["get an answer to a datagram"] == got_through(judge)
        declared = World(datagrams=datagrams).judge(**{"p30053/UDP": "the name server"})
        assert Verdict.HELD is declared.verdict()[0]
        of_tcp = World(datagrams=datagrams).judge(p30053="a page")  # who declares one has not looked at the other
        assert Verdict.BREACHED is of_tcp.verdict()[0]


def test_a_node_that_can_not_be_entered_is_not_left_out() -> None:
    """Nobody knows what listens there."""
    shut = Node("shut", "10.0.0.4", control_plane=False)
    verdict, reason = World(nodes=(NODE, shut)).judge().verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert "1 nodes that can't be entered: shut" in reason


DUAL = replace(NODE, further=("fd00::2",))


@pytest.mark.parametrize(("closed_at", "open_at"), [("10.0.0.2", "[fd00::2]"), ("fd00::2", "10.0.0.2")])
def test_what_is_open_at_one_address_is_open(closed_at: str, open_at: str) -> None:
    """By whichever family."""
    judge = World({22: "sshd"}, nodes=(DUAL,), closed_at=(closed_at,)).judge()
    assert [f"TCP {open_at}:22"] == [each.evidence.request for each in judge.attacks if each.got_through]


@pytest.mark.parametrize(("port", "expected"), [(5353, 1), (40000, 0)])
def test_what_listens_by_udp_is_sent_a_datagram(port: int, expected: int) -> None:
    """Whoever it is, below the ports that clients get."""
    judge = World(datagrams=("open", "open"), sockets_udp={port: "avahi"}).judge(**{"p30053/UDP": "the name server"})
    assert expected == len(got_through(judge))
    ours = World(datagrams=("open", "open"), sockets_udp={5353: "python3"}, ours=(5353,))
    assert Verdict.HELD is ours.judge(**{"p30053/UDP": "the name server"}).verdict()[0]


@pytest.mark.parametrize(
    "named",
    [
        "address fd00::2, place node node, port 2379, protocol TCP",
        "address 10.0.0.2, place node node, port 22, protocol TCP",
        "address fd00::2, place node node, port 30053, protocol UDP",
        "address 127.0.0.1, place this machine, port 40001, protocol TLS",
    ],
)
def test_a_port_that_nobody_tried_is_named(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    """At one address, by one protocol."""
    world = World(
        {22: "sshd"}, firewall=(22,), datagrams=("open", "refused"), nodes=(DUAL,), machine_addresses=("127.0.0.1",),
        publishes=(Published("127.0.0.1", 40001, 6443),),
    )  # fmt: skip
    assert "not tried" not in world.judge().verdict()[1]
    values = dict(each.split(" ", 1) for each in named.split(", "))
    number = f"'port': {values['port']}, 'protocol': '{values['protocol']}'"
    at = f"'place': '{values['place']}', 'address': '{values['address']}', {number}"
    monkeypatch.setattr(Case, "attack", without(Case.attack, at))
    verdict, reason = world.judge().verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert f"not tried: {named} (no attack tried it)" in reason
