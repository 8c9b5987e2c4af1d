"""The kubelet's read-only port: what is let in, what is kept out, and what says neither."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.agent.vantage import probe
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.kubelet.readonly import test_kubelet_readonly as readonly
from pytest_k8ssec.verdict import Judge, Verdict
from tests.unit.fakes import FakeVantage

if TYPE_CHECKING:
    from pytest_k8ssec.agent.tasks import Task
    from pytest_k8ssec.evidence import Evidence
    from pytest_k8ssec.pods.pool import Pod, Pool


@dataclass
class World:
    """A cluster of one node, whose port 10250 is open; it is its own pool and attacker."""

    http: str
    tcp: str
    open_at: str = ""
    nodes: tuple[Node, ...] = (Node("node", "10.0.0.2", control_plane=True, container="node"),)

    @property
    def cluster(self) -> World:
        """Itself."""
        return self

    def remember(self, _what: str, find_out: Callable[[], Any]) -> Any:
        """Found out each time."""
        return find_out()

    def probe(self, *tasks: Task) -> list[Evidence]:
        """What comes back."""
        return probe(FakeVantage(self._said), tasks)

    def _said(self, task: dict[str, Any]) -> dict[str, Any]:
        if task["port"] == 10250:
            return {"outcome": "open"}
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
    judge, world = Judge(), World(http, tcp)
    readonly(judge, cast("Pool", world), lambda: cast("Pod", world))
    assert expected is judge.verdict()[0]


def test_one_of_two_addresses_is_enough() -> None:
    """What listens by IPv6 only is closed by IPv4."""
    node = Node("node", "10.0.0.2", control_plane=True, container="node", further=("fd00::2",))
    judge, world = Judge(), World("refused", "refused", "fd00::2", (node,))
    readonly(judge, cast("Pool", world), lambda: cast("Pod", world))
    assert Verdict.BREACHED is judge.verdict()[0]
    assert ["kubelet on node (10.0.0.2)", "kubelet on node (fd00::2)"] == [case.name for case in judge.cases]
