"""What only its own node needs: where it listens on loopback, and at which of a node's addresses others reach it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.node.loopback import test_node_loopback as loopback
from pytest_k8ssec.evidence import Source
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import FakeVantage, judge_of, without

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.pods.pool import Pool


NODE = Node("node", "10.0.0.2", control_plane=True, container="node", further=("fd00::2",))
OTHER = Node("other", "10.0.0.3", control_plane=False, container="other", further=("fd00::3",))


@dataclass
class World:
    """A cluster of one node, and its own pool."""

    on_loopback: str
    """The one address of the node's own at which everything listens."""
    from_pods: tuple[str, ...] = ()
    """Those at which pods reach it too."""
    nodes: tuple[Node, ...] = (NODE,)
    from_node: str = ""
    """The only one whose pods reach it; "" for all."""

    @property
    def cluster(self) -> World:
        """Itself."""
        return self

    def remember(self, _what: str, find_out: Any) -> Any:
        """Found out each time."""
        return find_out()

    def attacker(self, node: str) -> Pod:
        """A pod on a node."""
        reached = self.from_pods if self.from_node in ("", node) else ()
        vantage = FakeVantage(lambda task: self._said(task, *reached), Source("pod", "k8ssec/a", "10.244.0.7", node))
        return Pod(cast("Any", vantage), "uid", "nonce")

    def judge(self) -> Judge:
        """What comes of it."""
        judge = judge_of(loopback)
        loopback(judge, cast("Cluster", self), cast("Pool", self), self.attacker)
        return judge

    def in_network_of(self, _node: Node | None, argv: Sequence[str], *, deadline: float, stdin: bytes) -> Completed:
        """What the node itself gets."""
        told = json.loads(stdin.splitlines()[-1])
        said = [{"id": each["id"], **self._said(each, self.on_loopback)} for each in told["tasks"]]
        lines = [*said, {"end": told["nonce"]}]
        return Completed(tuple(argv), 0, "\n".join(map(json.dumps, lines)).encode(), b"")

    @staticmethod
    def _said(task: dict[str, Any], *where: str) -> dict[str, Any]:
        return {"outcome": "open" if task["port"] == 10250 or task["host"] in where else "refused"}


@pytest.mark.parametrize(
    ("on_loopback", "from_pods", "expected"),
    [
        ("127.0.0.1", (), Verdict.HELD),
        ("::1", (), Verdict.HELD),
        ("::1", ("fd00::2",), Verdict.BREACHED),
        ("127.0.0.1", ("10.0.0.2",), Verdict.BREACHED),
        ("nowhere", (), Verdict.INCONCLUSIVE),
    ],
)
def test_loopback_is_that_of_either_family(on_loopback: str, from_pods: tuple[str, ...], expected: Verdict) -> None:
    """On a cluster with IPv6 only, components listen on ::1; what a pod reaches by one family is open."""
    assert expected is World(on_loopback, from_pods).judge().verdict()[0]


@pytest.mark.parametrize("node", ["node", "other"])
def test_what_pods_of_one_node_reach_is_open(node: str) -> None:
    """From whichever node, at whichever address."""
    judge = World("127.0.0.1", ("fd00::2",), (NODE, OTHER), from_node=node).judge()
    assert {f"pod on {node}"} == {each.evidence.source.place for each in judge.attacks if each.got_through}
    assert "32 of 32 combinations" in judge.coverage.words(judge.tried)


@pytest.mark.parametrize(
    ("source", "node", "address", "port"), [("node", "other", "fd00::3", 10248), ("other", "other", "10.0.0.3", 10259)]
)
def test_what_nobody_tried_is_named(
    monkeypatch: pytest.MonkeyPatch, source: str, node: str, address: str, port: int
) -> None:
    """One port at one address, from pods of one node."""
    at = f"'source': 'pod on {source}', 'node': '{node}', 'address': '{address}', 'port': {port}"
    monkeypatch.setattr(Case, "attack", without(Case.attack, at))
    verdict, reason = World("127.0.0.1", (), (NODE, OTHER)).judge().verdict()
    assert Verdict.INCONCLUSIVE is verdict
    named = f"address {address}, node {node}, port {port}, source pod on {source}"
    assert f"not tried: {named} (no attack tried it)" == reason
