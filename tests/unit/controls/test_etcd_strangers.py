"""Strangers at etcd's doors: who is let in, who is turned away, and what says neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.etcd import strangers_knock
from pytest_k8ssec.controls.etcd.ca_isolation import test_etcd_ca_isolation as ca_isolation
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.probes.etcd import CLIENTS, PEERS, Door
from pytest_k8ssec.verdict import Judge, Verdict
from tests.unit.fakes import FakeVantage

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.pods.pool import Pod

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
    exposed: bool = False
    """Whether something answers the real certificate at the node's own address."""
    kubelets: dict[str, str] = field(default_factory=dict)
    """What curl says of a node's kubelet with the API server's certificate, by address."""
    nodes: tuple[Node, ...] = (Node("node", "10.0.0.2", control_plane=True, container="node"),)

    def on_node(self, _node: Node, argv: Sequence[str], **_: object) -> Completed:
        """ss(8), and curl(1) with a certificate."""
        if argv[0] == "ss":
            out = "".join(f'LISTEN 0 9 127.0.0.1:{port} 0.0.0.0:* users:(("etcd",pid=7,fd=8))\n' for port in self.plain)
            return Completed(tuple(argv), 0, out.encode(), b"")
        host, port = argv[-1].split("/")[2].split(":")
        out = "000 refused" if host != "127.0.0.1" and not self.exposed else self.real.get(int(port), "200 ")
        if any("kubelet" in word for word in argv):
            out = self.kubelets.get(host, "200 ") if port == "10250" else "000 alert unknown ca"
        return Completed(tuple(argv), 35 if "alert" in out else 7 if "000" in out else 0, out.encode(), b"")

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


@pytest.mark.parametrize(
    ("pod", "connected", "secure", "expected"),
    [
        (REFUSED, OPEN, ALERT, HELD),
        (SILENT, OPEN, ALERT, HELD),
        (REFUSED, OPEN, SILENT, INCONCLUSIVE),
        (REFUSED, SILENT, SILENT, HELD),
        (REFUSED, {"outcome": "error"}, SILENT, INCONCLUSIVE),
        (REFUSED, OPEN, {"outcome": "denied"}, INCONCLUSIVE),
        (REFUSED, OPEN, HTTP, BREACHED),
    ],
    ids=["refused", "pod-behind-policy", "silence", "no-connection", "nothing-known", "odd", "talks"],
)
def test_silence_after_a_connection_is_no_refusal(
    pod: dict[str, Any], connected: dict[str, Any], secure: dict[str, Any], expected: Verdict
) -> None:
    """Who can't connect is kept out; who can, and hears nothing, was not turned away."""
    etcd = Listening({2379: CLOSED}, secure=secure, connected=connected, exposed=True)
    assert expected is etcd.verdict(pod=pod)


@pytest.mark.parametrize(("kubelet", "expected"), [("200 ", HELD), ("401 ", INCONCLUSIVE)])
def test_a_certificate_that_no_kubelet_takes_shows_nothing(kubelet: str, expected: Verdict) -> None:
    """That etcd refuses it is no proof then, and no reason to leave that node's etcd out."""
    nodes = tuple(Node(name, f"10.0.0.{name}", control_plane=True, container=name) for name in "23")
    etcd, judge = Listening({2379: CLOSED}, kubelets={"10.0.0.3": kubelet}, nodes=nodes), Judge()
    ca_isolation(judge, cast("Cluster", etcd))
    assert expected is judge.verdict()[0]
