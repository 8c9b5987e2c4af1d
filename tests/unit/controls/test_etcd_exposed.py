"""etcd's ports, and what hands on to etcd: whatever port it is on, and on whatever node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.agent.vantage import probe
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.etcd.exposed import test_etcd_exposed as exposed
from pytest_k8ssec.evidence import Source
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.verdict import Judge, Verdict
from tests.unit.fakes import FakeVantage

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_k8ssec.agent.tasks import Task
    from pytest_k8ssec.agent.vantage import NetworkVantage
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.evidence import Evidence
    from pytest_k8ssec.pods.pool import Pod, Pool

FIRST = Node("first", "10.0.0.2", control_plane=True, container="first")
SECOND = Node("second", "10.0.0.3", control_plane=False, container="second")
SERVERS = {"first": {2379: ("127.0.0.1", "etcd"), 6443: ("*", "kube-apiserver"), 10250: ("*", "kubelet")}, "second": {}}
OPEN, REFUSED, ABSENT = {"outcome": "open"}, {"outcome": "refused"}, {"outcome": "absent"}
CLOSED, ALERT, SILENT = {"outcome": "closed"}, {"outcome": "tls-alert"}, {"outcome": "no-answer"}
VERSION = {"outcome": "http", "status": 200, "body": '{"etcdserver":"3.6.4","etcdcluster":"3.6.0"}'}
PAGE = {"outcome": "http", "status": 200, "body": "hello"}
Said = dict[str, dict[str, Any]]
"""What a port says: to a connection, to a handshake, in plain text and over TLS."""
ETCD: Said = {"tcp": OPEN, "trust": OPEN, "plain": CLOSED, "tls": ALERT}
NOT_ETCD: Said = {"tcp": OPEN, "trust": ABSENT, "plain": PAGE, "tls": PAGE}


@dataclass
class World:
    """A cluster whose API servers and kubelets answer; it is its own pool, attacker and API."""

    further: dict[str, dict[int, tuple[str, str]]] = field(default_factory=dict)
    """What listens besides, by node."""
    says: dict[tuple[str, int], Said] = field(default_factory=dict)
    """By address and port; all else is refused."""
    nodes: tuple[Node, ...] = (FIRST, SECOND)
    services: list[dict[str, Any]] = field(default_factory=list)
    only_from: str = ""
    """The only source that finds something there; "" for all."""
    cafile: str = "--etcd-cafile=/ca"
    asked: list[int] = field(default_factory=list)

    @property
    def cluster(self) -> World:
        """Itself."""
        return self

    @property
    def api(self) -> World:
        """Itself."""
        return self

    @property
    def ca_file(self) -> Path:
        """Itself, as far as it is read."""
        return cast("Path", self)

    def read_text(self) -> str:
        """The cluster's CA."""
        return "cluster CA"

    def list(self, path: str) -> list[dict[str, Any]]:
        """Services; no pods."""
        return self.services if path.endswith("services") else []

    def remember(self, _what: str, find_out: Callable[[], Any]) -> Any:
        """Found out each time."""
        return find_out()

    def attacker(self) -> World:
        """Itself."""
        return self

    def probe(self, *tasks: Task) -> Sequence[Evidence]:
        """All is open."""
        return probe(FakeVantage(lambda _: OPEN), tasks)

    def shun(self, nodes: set[str]) -> None:
        """None is silent."""
        assert not nodes

    def on_node(self, node: Node, argv: Sequence[str], **_: object) -> Completed:
        """ss(8), and what the API server was started with."""
        ports = {**SERVERS[node.name], **self.further.get(node.name, {})}
        out = {
            "ss": "".join(
                f'LISTEN 0 9 {host}:{port} 0.0.0.0:* users:(("{by}",pid=7,fd=8))\n'
                for port, (host, by) in ports.items()
            ),
            "pgrep": "7\n",
            "cat": f"kube-apiserver\0{self.cafile}\0" if argv[-1].endswith("cmdline") else "etcd CA",
        }[argv[0]]
        return Completed(tuple(argv), 0, out.encode(), b"")

    def vantage(self, name: str) -> FakeVantage:
        """A place."""

        def said(task: dict[str, Any]) -> dict[str, Any]:
            kind = task["op"] if task["op"] != "http" else "tls" if task["tls"] else "plain"
            if task["op"] == "trust" and task["ca"] == "cluster CA":
                return OPEN
            if task["op"] == "trust":
                assert ("etcd CA", "localhost") == (task["ca"], task["server_name"])
            if task["port"] == 10250:
                return OPEN
            self.asked.append(task["port"])
            found = self.says.get((task["host"], task["port"]), {}) if self.only_from in ("", name) else {}
            return found.get(kind, REFUSED)

        return FakeVantage(said, Source("pod", name))

    def judge(self) -> Judge:
        """What comes of it."""

        @dataclass
        class Attacker:
            vantage: FakeVantage

        judge = Judge()
        pods = {node.name: Attacker(self.vantage(node.name)) for node in self.nodes}
        exposed(
            judge,
            cast("Cluster", self),
            cast("Pool", self),
            lambda node: cast("Pod", pods[node]),
            cast("NetworkVantage", self.vantage("outside")),
        )
        return judge


def breaches(judge: Judge) -> set[str]:
    """What got through, by case and words."""
    return {f"{each.case}: {each.what}" for each in judge.attacks if each.got_through}


def test_nothing_but_what_is_meant_listens() -> None:
    """API server and kubelet are not asked whether they are etcd."""
    world = World()
    assert (Verdict.HELD, "") == world.judge().verdict()
    assert {2379, 2380} == set(world.asked)


@pytest.mark.parametrize("node", [FIRST, SECOND], ids=["control-plane", "worker"])
@pytest.mark.parametrize(
    "says",
    [ETCD, {**NOT_ETCD, "plain": VERSION}, {**NOT_ETCD, "tls": VERSION}],
    ids=["certificate", "plain", "tls"],
)
@pytest.mark.parametrize("source", ["first", "second", "outside"])
def test_who_hands_on_to_etcd_exposes_it(node: Node, says: Said, source: str) -> None:
    """On any port that listens on any node, from wherever it is reached."""
    judge = World({node.name: {22379: ("*", "socat")}}, {(node.address, 22379): says}, only_from=source).judge()
    assert {
        f"what else listens on {node.name} ({node.address}) from pod {source}: find etcd behind port 22379"
    } == breaches(judge)


def test_who_is_opened_by_a_service_is_asked_as_well() -> None:
    """No socket shows it."""
    service = {
        "metadata": {"namespace": "web", "name": "tunnel"},
        "spec": {"ports": [{"port": 80, "nodePort": 30079}]},
    }
    world = World(says={("10.0.0.3", 30079): ETCD}, services=[service])
    assert 3 == len(breaches(world.judge()))


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        (NOT_ETCD, Verdict.HELD),
        ({}, Verdict.HELD),
        ({"tcp": OPEN, "trust": SILENT, "plain": SILENT, "tls": SILENT}, Verdict.HELD),
        ({"tcp": OPEN, "trust": ALERT, "plain": CLOSED, "tls": ALERT}, Verdict.INCONCLUSIVE),
        ({**NOT_ETCD, "trust": {"outcome": "error"}}, Verdict.INCONCLUSIVE),
        ({**NOT_ETCD, "trust": {"outcome": "error"}, "plain": VERSION}, Verdict.BREACHED),
    ],
    ids=["web", "firewall", "silent", "alert", "broken", "broken-and-version"],
)
def test_what_is_not_etcd_is_no_breach(says: Said, expected: Verdict) -> None:
    """And what may be etcd is not held."""
    world = World({"second": {8888: ("0.0.0.0", "web")}}, {("10.0.0.3", 8888): says})
    assert expected is world.judge().verdict()[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "127.0.0.11%eth0"])
def test_what_listens_on_loopback_is_not_asked(host: str) -> None:
    """It would be refused."""
    world = World({"first": {22379: (host, "socat")}}, {("10.0.0.2", 22379): ETCD})
    assert Verdict.HELD is world.judge().verdict()[0]


def test_without_a_ca_a_version_still_tells() -> None:
    """An API server may speak to its etcd in plain text."""
    further = {"first": {22379: ("*", "socat")}}
    world = World(further, {("10.0.0.2", 22379): {"tcp": OPEN, "plain": VERSION}}, cafile="--x=y")
    assert Verdict.BREACHED is world.judge().verdict()[0]


def test_a_node_that_can_not_be_entered_is_not_left_out() -> None:
    """Nobody knows what listens there."""
    shut = Node("shut", "10.0.0.4", control_plane=False)
    verdict, reason = World(nodes=(FIRST, shut)).judge().verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert "1 nodes that can't be entered: shut" in reason
