"""etcd in plain text: asked on each of its ports, from each node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.agent.tasks import Http
from pytest_k8ssec.agent.vantage import probe
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.etcd.plaintext import test_etcd_plaintext as plaintext
from pytest_k8ssec.evidence import Source
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import FakeVantage, without

if TYPE_CHECKING:
    from pytest_k8ssec.agent.tasks import Task
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.evidence import Evidence
    from pytest_k8ssec.pods.pool import Pod, Pool

FIRST = Node("first", "10.0.0.2", control_plane=True, container="first", further=("fd00::2",))
SECOND = Node("second", "10.0.0.3", control_plane=False, container="second")
CANARY = Http("10.244.0.9", 8980, "/", tls=False)


@dataclass
class OnePod:
    """A pod on a node."""

    vantage: FakeVantage
    plain_http: Http = CANARY

    def probe(self, *tasks: Task) -> list[Evidence]:
        """Whether a kubelet answers."""
        return probe(FakeVantage(lambda _: {"outcome": "open"}), tasks)


@dataclass
class World:
    """A cluster of two nodes, with etcd on two ports of the first; it is its own pool."""

    open_at: tuple[str, str, int, str] | None = None
    """Place, address, port and path where it speaks plain HTTP."""
    nodes: tuple[Node, ...] = (FIRST, SECOND)
    asked: list[int] = field(default_factory=list)

    @property
    def cluster(self) -> World:
        """Itself."""
        return self

    api = cluster

    def shun(self, nodes: set[str]) -> None:
        """None is silent."""
        assert not nodes

    def remember(self, _what: str, find_out: Callable[[], Any]) -> Any:
        """Found out each time."""
        return find_out()

    def namespace(self, _purpose: str) -> str:
        """One of ours."""
        return "ours"

    def attacker(self, _namespace: str = "", *, node: str = "") -> OnePod:
        """A pod there."""

        def said(task: dict[str, Any]) -> dict[str, Any]:
            self.asked.append(task["port"])
            at = (node, task["host"], task["port"], task["path"])
            answers = task["port"] in (CANARY.port, 6443) or at == self.open_at
            return {"outcome": "http", "status": 200} if answers else {"outcome": "refused"}

        return OnePod(FakeVantage(said, Source("pod", f"pod-{node}", node=node)))

    def on_node(self, node: Node, argv: Sequence[str], **_: object) -> Completed:
        """ss(8)."""
        ports = (2379, 22379) if node.control_plane else ()
        lines = [f'LISTEN 0 9 *:{port} *:* users:(("etcd",pid=7,fd=8))\n' for port in ports]
        return Completed(tuple(argv), 0, "".join(lines).encode(), b"")

    def judge(self) -> Judge:
        """What comes of it."""
        judge = Judge(("source", "node", "address", "port", "path"))
        attacker = cast("Callable[..., Pod]", self.attacker)
        plaintext(judge, cast("Cluster", self), cast("Pool", self), attacker)
        return judge


def test_what_refuses_plain_text_is_held() -> None:
    """Asked at each address and port from both nodes."""
    world = World()
    assert (Verdict.HELD, "") == world.judge().verdict()
    assert {2379, 2381, 22379} < set(world.asked)


@pytest.mark.parametrize("place", ["first", "second"])
@pytest.mark.parametrize("address", FIRST.addresses)
@pytest.mark.parametrize(("port", "path"), [(2381, "/metrics"), (22379, "/version")])
def test_one_way_in_is_enough(place: str, address: str, port: int, path: str) -> None:
    """Whatever the others say."""
    judge = World((place, address, port, path)).judge()
    assert Verdict.BREACHED is judge.verdict()[0]
    assert [f"port {port}{path}"] == [each.what for each in judge.attacks if each.got_through]


@pytest.mark.parametrize("hole", ["/version", "22379", "fd00::2", "pod on second"])
def test_what_is_not_asked_is_missed(monkeypatch: pytest.MonkeyPatch, hole: str) -> None:
    """By its name."""
    monkeypatch.setattr(Case, "attack", without(Case.attack, hole))
    verdict, why = World().judge().verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert hole in why.partition("not tried: ")[2]


def test_a_node_that_can_not_be_entered_is_not_held() -> None:
    """Nobody knows what else listens there."""
    shut = Node("shut", "10.0.0.4", control_plane=True)
    verdict, why = World(nodes=(FIRST, shut)).judge().verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert "1 nodes that can't be entered: shut" in why
