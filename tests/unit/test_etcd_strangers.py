"""Strangers at etcd's doors: who is let in, who is turned away, and what says neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.etcd import strangers_knock
from pytest_k8ssec.probes.etcd import CLIENTS, PEERS, Door
from pytest_k8ssec.process import Completed
from pytest_k8ssec.verdict import Judge, Verdict
from tests.unit.fakes import FakeVantage

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.probes.pool import Pod

HELD, BREACHED, INCONCLUSIVE = Verdict.HELD, Verdict.BREACHED, Verdict.INCONCLUSIVE
HTTP, ALERT, CLOSED = {"outcome": "http", "status": 200}, {"outcome": "tls-alert"}, {"outcome": "closed"}
OPEN, SILENT, REFUSED = {"outcome": "open"}, {"outcome": "no-answer"}, {"outcome": "refused"}
METRICS = {"outcome": "http", "status": 404}
TLS_PORT = {"outcome": "http", "status": 400}


@dataclass
class Listening:
    """A cluster of one node, with etcd on some ports of loopback."""

    plain: dict[int, dict[str, Any]]
    """What each port says to plain text."""
    secure: dict[str, Any] = field(default_factory=lambda: ALERT)
    """What all say to strangers over TLS."""
    real: dict[int, str] = field(default_factory=dict)
    """What curl says of each with the real certificate; it opens one that is not listed."""
    connected: dict[str, Any] = field(default_factory=lambda: OPEN)
    nodes: tuple[Node, ...] = (Node("node", "10.0.0.2", control_plane=True, container="node"),)

    def on_node(self, _node: Node, argv: Sequence[str], **_: object) -> Completed:
        """ss(8), and curl(1) with a certificate."""
        if argv[0] == "ss":
            out = "".join(f'LISTEN 0 9 127.0.0.1:{port} 0.0.0.0:* users:(("etcd",pid=7,fd=8))\n' for port in self.plain)
            return Completed(tuple(argv), 0, out.encode(), b"")
        port = int(argv[-1].split(":")[2].partition("/")[0])
        out = "000 refused" if "10.0.0.2" in argv[-1] else self.real.get(port, "200 ")
        return Completed(tuple(argv), 7 if out.startswith("000") else 0, out.encode(), b"")

    def in_network_of(self, _node: Node, argv: Sequence[str], *, deadline: float, stdin: bytes) -> Completed:
        """The agent, in the node's network."""
        return FakeVantage(self.said).execute(argv, stdin, deadline)

    def said(self, task: dict[str, Any]) -> dict[str, Any]:
        """What comes back to a stranger."""
        if task["op"] == "tcp":
            return self.connected
        return self.secure if task["tls"] else self.plain[task["port"]]

    def verdict(self, door: Door = CLIENTS, pod: dict[str, Any] = REFUSED) -> Verdict:
        """What comes of all knocks, where a pod is told always the same."""

        @dataclass
        class Attacker:
            vantage: FakeVantage

        judge = Judge()
        attacker = cast("Pod", Attacker(FakeVantage(lambda _: pod)))
        strangers_knock(judge, cast("Cluster", self), door, attacker)
        return judge.verdict()[0]


@pytest.mark.parametrize("door", [CLIENTS, PEERS], ids=["clients", "peers"])
@pytest.mark.parametrize(
    ("plain", "real", "expected"),
    [
        ({2379: CLOSED}, {}, HELD),
        ({2379: TLS_PORT}, {}, HELD),
        ({2379: CLOSED, 2381: METRICS}, {2381: "000 wrong version number"}, HELD),
        ({2379: HTTP}, {}, BREACHED),
        ({2379: CLOSED, 2399: HTTP}, {2399: "000 wrong version number"}, BREACHED),
        ({2379: CLOSED, 2380: HTTP}, {2380: "404 "}, BREACHED),
        ({2379: {**HTTP, "status": 401}}, {}, BREACHED),
    ],
    ids=["closed", "tls-port", "metrics", "one-socket", "plain-port", "other-door", "unauthorized"],
)
def test_plain_text_is_a_way_in(
    door: Door, plain: dict[int, dict[str, Any]], real: dict[int, str], expected: Verdict
) -> None:
    """On the port that takes TLS too, on one of its own, and beside the other door; metrics are no target."""
    assert expected is Listening(plain, real=real).verdict(door)
