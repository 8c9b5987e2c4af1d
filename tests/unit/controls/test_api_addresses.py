"""API servers are asked at each address of their nodes: what they tell anybody, and what they take of TLS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.agent.client_hello import WEAK
from pytest_k8ssec.agent.tasks import Hello
from pytest_k8ssec.agent.vantage import probe
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.api import anon_minimal, tls
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import FakeVantage, without

if TYPE_CHECKING:
    from pytest_k8ssec.agent.tasks import Task
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.evidence import Evidence
    from pytest_k8ssec.pods.pool import Pod, Pool

FOUR, SIX = "10.0.0.2", "fd00::2"
NODE = Node("node", FOUR, control_plane=True, container="node", further=(SIX,))
WORKER = Node("worker", "10.0.0.3", control_plane=False, container="worker")
PATHS = ("/version", "/api/v1/namespaces/kube-public/configmaps/cluster-info", "/api", "/apis", "/openapi/v2")


@dataclass
class World:
    """A cluster of a control plane with two addresses and a worker; it is its own pool and attacker."""

    weak: tuple[str, int, str] | None = None
    """Address, port and offer that is taken and should not be."""
    tells: tuple[str, str] | None = None
    """Address and path that is told to anybody."""
    nodes: tuple[Node, ...] = (NODE, WORKER)

    @property
    def cluster(self) -> World:
        """Itself."""
        return self

    def remember(self, _what: str, find_out: Callable[[], Any]) -> Any:
        """Found out each time."""
        return find_out()

    def probe(self, *tasks: Task) -> list[Evidence]:
        """What comes back."""
        return [self._one(task) for task in tasks]

    def _one(self, task: Task) -> Evidence:
        weak = isinstance(task, Hello) and task.offer in WEAK
        taken = isinstance(task, Hello) and (task.host, task.port, task.offer.name) == self.weak

        def said(told: dict[str, Any]) -> dict[str, Any]:
            if told["op"] != "http":
                return {"outcome": "tls-alert" if weak and not taken else "open"}
            known = "Authorization" in told["headers"] or told["path"] == "/livez"
            return {"outcome": "http", "status": 200 if known or (told["host"], told["path"]) == self.tells else 401}

        return probe(FakeVantage(said), [task])[0]

    def judge(self, slug: str) -> Judge:
        """What one of the two controls says."""
        cluster, pool, attacker = cast("Cluster", self), cast("Pool", self), lambda: cast("Pod", self)
        judge = Judge(("server", "node", "address", "offer") if slug == "tls" else ("node", "address", "path"))
        if slug == "tls":
            tls.test_api_tls(judge, cluster, pool, attacker)
        else:
            anon_minimal.test_api_anon_minimal(judge, cluster, None, pool, attacker)
        return judge


@pytest.fixture(autouse=True)
def auditor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to be made."""
    known = type("Auditor", (), {"bearer": {"Authorization": "Bearer x"}})
    monkeypatch.setattr(anon_minimal, "auditor", lambda _: known)


@pytest.mark.parametrize("slug", ["tls", "anon-minimal"])
def test_one_that_is_shut_is_held(slug: str) -> None:
    """At all addresses."""
    assert (Verdict.HELD, "") == World().judge(slug).verdict()


@pytest.mark.parametrize("offer", [each.name for each in WEAK])
@pytest.mark.parametrize(
    ("address", "port"), [(FOUR, 6443), (SIX, 6443), (FOUR, 10250), (SIX, 10250), ("10.0.0.3", 10250)]
)
def test_one_weak_offer_at_one_address_is_enough(address: str, port: int, offer: str) -> None:
    """Each server has settings of its own."""
    judge = World(weak=(address, port, offer)).judge("tls")
    assert Verdict.BREACHED is judge.verdict()[0]
    assert 1 == len([each for each in judge.attacks if each.got_through])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("address", [FOUR, SIX])
def test_one_path_at_one_address_is_enough(address: str, path: str) -> None:
    """Its version is told by each of them."""
    assert Verdict.BREACHED is World(tells=(address, path)).judge("anon-minimal").verdict()[0]


@pytest.mark.parametrize(
    ("slug", "hole"), [("tls", SIX), ("tls", WEAK[0].name), ("anon-minimal", SIX), ("anon-minimal", "/apis")]
)
def test_what_is_not_asked_is_missed(monkeypatch: pytest.MonkeyPatch, slug: str, hole: str) -> None:
    """By its name."""
    monkeypatch.setattr(Case, "attack", without(Case.attack, hole))
    verdict, why = World().judge(slug).verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert hole in why.partition("not tried: ")[2]
