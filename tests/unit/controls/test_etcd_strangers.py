"""Strangers at etcd's doors: who is let in, who is turned away, and what says neither."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.etcd import KNOCKED, strangers_knock
from pytest_k8ssec.controls.etcd.ca_isolation import test_etcd_ca_isolation as ca_isolation
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.probes.etcd import CLIENTS, PEERS, STRANGERS, Door
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import FakeVantage, without

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
    by_cluster_ca: dict[int, str] = field(default_factory=dict)
    """What curl says of each port with a certificate of the cluster's CA, where it is not turned away."""
    nodes: tuple[Node, ...] = (Node("node", "10.0.0.2", control_plane=True, container="node"),)

    def on_node(self, _node: Node, argv: Sequence[str], **_: object) -> Completed:
        """ss(8), and curl(1) with a certificate."""
        if argv[0] == "ss":
            out = "".join(f'LISTEN 0 9 127.0.0.1:{port} 0.0.0.0:* users:(("etcd",pid=7,fd=8))\n' for port in self.plain)
            return Completed(tuple(argv), 0, out.encode(), b"")
        host, port = argv[-1].split("/")[2].split(":")
        out = "000 refused" if host != "127.0.0.1" and not self.exposed else self.real.get(int(port), "200 ")
        if argv[-1].endswith("/members") and "404" in out:
            out = "200 "
        if any("kubelet" in word for word in argv):
            at_etcd = self.by_cluster_ca.get(int(port), "000 alert unknown ca")
            out = self.kubelets.get(host, "200 ") if port == "10250" else at_etcd
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
        return self.judge(door, lambda _: pod).verdict()[0]

    def judge(self, door: Door, pod: Callable[[dict[str, Any]], dict[str, Any]]) -> Judge:
        """What comes of all knocks."""

        @dataclass
        class Attacker:
            vantage: FakeVantage

        judge = Judge(KNOCKED)
        strangers_knock(judge, cast("Cluster", self), door, cast("Pod", Attacker(FakeVantage(pod))))
        return judge


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


@pytest.mark.parametrize(("port", "address"), [(2379, "10.0.0.3"), (2399, "10.0.0.2"), (2399, "10.0.0.3")])
def test_a_pod_tries_each_of_etcds_ports_at_each_address(port: int, address: str) -> None:
    """Whoever moved it, or opened a second one, may have opened it to pods only."""
    node = Node("node", "10.0.0.2", control_plane=True, container="node", further=("10.0.0.3",))
    etcd = Listening({2379: CLOSED, 2399: CLOSED}, exposed=True, nodes=(node,))
    judge = etcd.judge(CLIENTS, lambda task: HTTP if (task["port"], task["host"]) == (port, address) else REFUSED)
    assert Verdict.BREACHED is judge.verdict()[0]
    assert {f"etcd at {address}:{port} from pod k8ssec-1/attacker on worker"} == {
        each.case for each in judge.attacks if each.got_through
    }


@pytest.mark.parametrize("credential", STRANGERS)
def test_a_credential_that_is_not_tried_is_missed(monkeypatch: pytest.MonkeyPatch, credential: str) -> None:
    """By its name, at each address."""
    monkeypatch.setattr(Case, "attack", without(Case.attack, credential))
    verdict, why = Listening({2379: CLOSED}).judge(CLIENTS, lambda _: REFUSED).verdict()
    assert INCONCLUSIVE is verdict
    assert f"not tried: address 127.0.0.1, credential {credential}, node node, port 2379, source node node" in why


def test_the_other_door_is_listed_and_not_tried() -> None:
    """Its own control asks there; plain text is asked for all the same."""
    judge = Listening({2379: CLOSED, 2380: CLOSED}, real={2380: "404 "}).judge(CLIENTS, lambda _: REFUSED)
    assert (HELD, "") == judge.verdict()
    assert "2 absent" in judge.coverage.words(judge.tried)


def test_a_control_plane_that_can_not_be_entered_is_not_left_out() -> None:
    """One of several."""
    nodes = (Listening.nodes[0], Node("shut", "10.0.0.9", control_plane=True))
    verdict, why = Listening({2379: CLOSED}, nodes=nodes).judge(CLIENTS, lambda _: REFUSED).verdict()
    assert INCONCLUSIVE is verdict
    assert "1 nodes that can't be entered: shut" in why


@pytest.mark.parametrize("port", [2379, 2380])
def test_each_door_trusts_an_authority_of_its_own(port: int) -> None:
    """The peers' door may trust the cluster's CA, and the clients' another one."""
    etcd = Listening({2379: CLOSED, 2380: CLOSED}, real={2380: "404 "})
    assert HELD is _isolated(etcd).verdict()[0]
    etcd.by_cluster_ca = {port: "200 "}
    judge = _isolated(etcd)
    assert BREACHED is judge.verdict()[0]
    assert [f"etcd at 127.0.0.1:{port} on node"] == [each.case for each in judge.attacks if each.got_through]


def test_an_address_that_is_shown_no_certificate_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name."""
    monkeypatch.setattr(Case, "attack", without(Case.attack, "2380"))
    verdict, why = _isolated(Listening({2379: CLOSED, 2380: CLOSED}, real={2380: "404 "})).verdict()
    assert INCONCLUSIVE is verdict
    assert "not tried: address 127.0.0.1, node node, port 2380" in why


def _isolated(etcd: Listening) -> Judge:
    judge = Judge(("node", "address", "port"))
    ca_isolation(judge, cast("Cluster", etcd))
    return judge


@pytest.mark.parametrize(("kubelet", "expected"), [("200 ", HELD), ("401 ", INCONCLUSIVE)])
def test_a_certificate_that_no_kubelet_takes_shows_nothing(kubelet: str, expected: Verdict) -> None:
    """That etcd refuses it is no proof then, and no reason to leave that node's etcd out."""
    nodes = tuple(Node(name, f"10.0.0.{name}", control_plane=True, container=name) for name in "23")
    etcd, judge = Listening({2379: CLOSED}, kubelets={"10.0.0.3": kubelet}, nodes=nodes), Judge()
    ca_isolation(judge, cast("Cluster", etcd))
    assert expected is judge.verdict()[0]
