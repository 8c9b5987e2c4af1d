"""A kubelet is asked at each of its node's addresses, for each thing that it authorises by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.agent.vantage import probe
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.kubelet import anon, authz, server_cert
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import FakeVantage, evidence, without

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_k8ssec.agent.tasks import Task
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.evidence import Evidence
    from pytest_k8ssec.pods.pool import Pod, Pool

FOUR, SIX = "10.0.0.2", "fd00::2"


class Whoever:
    """The auditor, or an account without rights, by its token."""

    def __init__(self, token: str) -> None:
        self.bearer = {"Authorization": token}

    def who_am_i(self) -> Evidence:
        """Itself."""
        return evidence(Outcome.HTTP, status=201)

    def is_itself(self, _known: Evidence) -> bool:
        """Always."""
        return True


@dataclass
class World:
    """A cluster of one node with two addresses, whose kubelet is shut; it is its own pool, attacker, API and CA's file."""

    lets_in: dict[tuple[str, str], int] = field(default_factory=dict)
    """Status by address and path, where it does let in."""
    signs_itself: str = ""
    """The address at which its certificate is nobody's."""
    nodes: tuple[Node, ...] = (Node("node", FOUR, control_plane=True, container="node", further=(SIX,)),)

    @property
    def cluster(self) -> World:
        """Itself."""
        return self

    api = cluster

    @property
    def ca_file(self) -> Path:
        """Itself, as far as it is read."""
        return cast("Path", self)

    def read_text(self) -> str:
        """The cluster's CA."""
        return "cluster CA"

    def remember(self, _what: str, find_out: Callable[[], Any]) -> Any:
        """Found out each time."""
        return find_out()

    def probe(self, *tasks: Task) -> list[Evidence]:
        """What comes back."""
        return probe(FakeVantage(self._said), tasks)

    def _said(self, task: dict[str, Any]) -> dict[str, Any]:
        if task["op"] == "trust":
            sure = task["ca"] == "cluster CA" and (task["host"] != self.signs_itself or task["port"] != 10250)
            return {"outcome": "open" if sure else "absent"}
        who = task["headers"].get("Authorization")
        status = 200 if who == "auditor" else self.lets_in.get((task["host"], task["path"]), 403 if who else 401)
        return {"outcome": "http", "status": status}

    def judge(self, slug: str) -> Judge:
        """What one of the three controls says."""
        pool, attacker = cast("Pool", self), lambda: cast("Pod", self)
        judge = Judge(("node", "address", "request") if slug == "authz" else ("node", "address"))
        if slug == "anon":
            anon.test_kubelet_anon(judge, pool, attacker)
        elif slug == "authz":
            authz.test_kubelet_authz(judge, None, pool, attacker)
        else:
            server_cert.test_kubelet_server_cert(judge, cast("Cluster", self), pool, attacker)
        return judge


@pytest.fixture(autouse=True)
def identities(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to be made."""
    for module in (anon, authz):
        monkeypatch.setattr(module, "auditor", lambda _: Whoever("auditor"))
    monkeypatch.setattr(authz, "nobody", lambda _: Whoever("nobody"))


@pytest.mark.parametrize("slug", ["anon", "authz", "server-cert"])
def test_one_that_is_shut_is_held(slug: str) -> None:
    """At both addresses."""
    judge = World().judge(slug)
    assert (Verdict.HELD, "") == judge.verdict()
    assert {FOUR, SIX} == {dict(each)["address"] for each in judge.tried}


@pytest.mark.parametrize("address", [FOUR, SIX])
@pytest.mark.parametrize(
    ("slug", "path"),
    [("anon", "/pods"), *(("authz", path) for path in ("/pods", "/metrics", "/stats/summary", "/logs/", "/configz"))],
)
def test_one_address_and_one_thing_is_enough(slug: str, path: str, address: str) -> None:
    """A binding may give one alone, and a firewall may stand before one address."""
    assert Verdict.BREACHED is World({(address, path): 200}).judge(slug).verdict()[0]


@pytest.mark.parametrize("address", [FOUR, SIX])
def test_a_certificate_has_to_name_each_address(address: str) -> None:
    """Whoever is called by the other one can't tell it from an impostor."""
    assert Verdict.BREACHED is World(signs_itself=address).judge("server-cert").verdict()[0]


@pytest.mark.parametrize("slug", ["anon", "authz", "server-cert"])
def test_an_address_that_nobody_asks_is_missed(monkeypatch: pytest.MonkeyPatch, slug: str) -> None:
    """By its name."""
    monkeypatch.setattr(Case, "attack", without(Case.attack, SIX))
    verdict, why = World().judge(slug).verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert f"not tried: address {SIX}, node node" in why
