"""The kubelet's read-only port: what is let in, what is kept out, and what says neither."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.kubelet.readonly import test_kubelet_readonly as readonly
from pytest_k8ssec.evidence import Source
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import FakeVantage, without

if TYPE_CHECKING:
    from pytest_k8ssec.agent.vantage import NetworkVantage
    from pytest_k8ssec.pods.pool import Pod, Pool


@dataclass
class World:
    """A cluster of one node, whose port 10250 is open; it is its own pool and attacker."""

    http: str
    tcp: str
    open_at: str = ""
    nodes: tuple[Node, ...] = (Node("node", "10.0.0.2", control_plane=True, container="node"),)
    others: dict[int, dict[str, Any]] = field(default_factory=dict)
    """What other ports that listen say to plain HTTP."""

    @property
    def cluster(self) -> World:
        """Itself."""
        return self

    def remember(self, _what: str, find_out: Callable[[], Any]) -> Any:
        """Found out each time."""
        return find_out()

    def on_node(self, _node: Node, argv: Sequence[str], **_: object) -> Completed:
        """ss(8): the kubelet, and what else listens."""
        lines = [f'LISTEN 0 9 *:{port} *:* users:(("x",pid=7,fd=8))\n' for port in (10250, *self.others)]
        return Completed(tuple(argv), 0, "".join(lines).encode(), b"")

    only_from: str | None = None
    """The only place that finds something, "" beside the nodes; None for all."""

    def vantage(self, place: str) -> FakeVantage:
        """A pod on a node, or what is beside the nodes."""

        def said(task: dict[str, Any]) -> dict[str, Any]:
            found = self._said(task)
            shut = task["port"] != 10250 and self.only_from not in (None, place)
            return {"outcome": "refused"} if shut else found

        return FakeVantage(said, Source("pod" if place else "outside", f"pod-{place}", node=place))

    def judge(self) -> Judge:
        """What comes of it."""
        judge = Judge(("source", "node", "address", "port"))

        def attacker(node: str) -> Pod:
            return cast("Pod", SimpleNamespace(vantage=self.vantage(node)))

        readonly(judge, cast("Pool", self), attacker, cast("NetworkVantage", self.vantage("")))
        return judge

    def _said(self, task: dict[str, Any]) -> dict[str, Any]:
        if task["port"] == 10250:
            return {"outcome": "open"} if task["op"] == "tcp" else {"outcome": "http", "status": 400}
        if task["port"] in self.others:
            assert task["op"] == "http"
            assert not task["tls"]
            return self.others[task["port"]]
        if task["host"] == self.open_at:
            return {"outcome": "open"} if task["op"] == "tcp" else {"outcome": "http", "status": 200}
        if task["op"] == "tcp":
            return {"outcome": self.tcp}
        return {"outcome": self.http, "status": 200 if self.http == "http" else None}


@pytest.mark.parametrize(
    ("http", "tcp", "expected"),
    [
        ("refused", "refused", Verdict.HELD),
        ("no-answer", "no-answer", Verdict.HELD),
        ("unreachable", "unreachable", Verdict.HELD),
        ("http", "open", Verdict.BREACHED),
        ("no-answer", "open", Verdict.BREACHED),
        ("closed", "open", Verdict.BREACHED),
        ("no-answer", "error", Verdict.INCONCLUSIVE),
        ("closed", "refused", Verdict.INCONCLUSIVE),
    ],
)
def test_a_port_that_takes_connections_is_open(http: str, tcp: str, expected: Verdict) -> None:
    """Silence keeps nobody out who could connect."""
    assert expected is World(http, tcp).judge().verdict()[0]


def test_one_of_two_addresses_is_enough() -> None:
    """What listens by IPv6 only is closed by IPv4."""
    node = Node("node", "10.0.0.2", control_plane=True, container="node", further=("fd00::2",))
    judge = World("refused", "refused", "fd00::2", (node,)).judge()
    assert Verdict.BREACHED is judge.verdict()[0]
    places = "pod pod-node on node", "outside pod-"
    assert [f"kubelet on node ({address}) from {place}" for place in places for address in ("10.0.0.2", "fd00::2")] == [
        case.name for case in judge.cases
    ]


@pytest.mark.parametrize("place", ["node", "other", ""])
def test_one_place_is_enough(place: str) -> None:
    """A firewall of a node may spare some who ask."""
    nodes = (World.nodes[0], Node("other", "10.0.0.3", control_plane=False, container="other"))
    judge = World("refused", "refused", "10.0.0.3", nodes, only_from=place).judge()
    assert Verdict.BREACHED is judge.verdict()[0]
    assert {"GET /pods", "connect"} == {each.what for each in judge.attacks if each.got_through}
    assert {f"pod on {place}" if place else "outside"} == {
        each.evidence.source.place for each in judge.attacks if each.got_through
    }


def test_a_port_that_nobody_asks_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """That it listens is known from the node, and not from what was sent."""
    monkeypatch.setattr(Case, "attack", without(Case.attack, "port 4000"))
    verdict, why = World("refused", "refused", others={4000: {"outcome": "closed"}}).judge().verdict()
    assert Verdict.INCONCLUSIVE is verdict
    for place in ("pod on node", "outside"):
        assert f"address 10.0.0.2, node node, port 4000, source {place} (no attack tried it)" in why


PODS = {"outcome": "http", "status": 200, "body": '{"kind":"PodList","apiVersion":"v1","items":[]}'}


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        (PODS, Verdict.BREACHED),
        ({**PODS, "body": "hello"}, Verdict.HELD),
        ({**PODS, "status": 404}, Verdict.HELD),
        ({"outcome": "closed"}, Verdict.HELD),
        ({"outcome": "no-answer"}, Verdict.HELD),
        ({"outcome": "error"}, Verdict.INCONCLUSIVE),
    ],
    ids=["pods", "page", "missing", "no-http", "silent", "broken"],
)
@pytest.mark.parametrize("port", [8255, 30255])
def test_pods_may_be_served_at_any_port_that_listens(port: int, says: dict[str, Any], expected: Verdict) -> None:
    """By the kubelet, or by somebody who hands on to it; what serves something else is no breach."""
    judge = World("refused", "refused", others={4000: {"outcome": "closed"}, port: says}).judge()
    assert expected is judge.verdict()[0]
    if expected is Verdict.BREACHED:
        assert {f"GET /pods on port {port}"} == {each.what for each in judge.attacks if each.got_through}
