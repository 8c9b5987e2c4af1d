"""What only its own node needs: where it listens on loopback, and at which of a node's addresses others reach it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.agent.vantage import probe
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.node.loopback import test_node_loopback as loopback
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.verdict import Judge, Verdict
from tests.unit.fakes import FakeVantage

if TYPE_CHECKING:
    from pytest_k8ssec.agent.tasks import Task
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.evidence import Evidence
    from pytest_k8ssec.pods.pool import Pod, Pool


@dataclass
class World:
    """A cluster of one node; it is its own pool and attacker."""

    on_loopback: str
    """The one address of the node's own at which everything listens."""
    from_pods: tuple[str, ...] = ()
    """Those at which pods reach it too."""
    nodes: tuple[Node, ...] = (Node("node", "10.0.0.2", control_plane=True, container="node", further=("fd00::2",)),)

    @property
    def cluster(self) -> World:
        """Itself."""
        return self

    def remember(self, _what: str, find_out: Any) -> Any:
        """Found out each time."""
        return find_out()

    def probe(self, *tasks: Task) -> list[Evidence]:
        """What a pod gets."""
        return probe(FakeVantage(lambda task: self._said(task, *self.from_pods)), tasks)

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
    judge, world = Judge(), World(on_loopback, from_pods)
    loopback(judge, cast("Cluster", world), cast("Pool", world), lambda: cast("Pod", world))
    assert expected is judge.verdict()[0]
