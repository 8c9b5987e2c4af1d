"""What api-authz makes of an API server's refusals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.api import authz
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import evidence, without

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.pods.pool import Pool

NO_RIGHT = (
    'x is forbidden: User "system:serviceaccount:a:b" cannot create resource "x" in API group "" at the cluster scope'
)


@dataclass
class Api:
    """A client of one API server."""

    server: str = "https://a"

    def at(self, server: str) -> Api:
        """Of another one."""
        return Api(server)

    def request(self, *_: object) -> Response:
        """The Secret does not exist."""
        return Response(404, {}, 1.0)

    def call(self, *_: object, **__: object) -> None:
        """It lives."""


@dataclass
class Stranger:
    """An account without rights, but that its writes may be refused by somebody else, and one server may let it in."""

    writes: str = NO_RIGHT
    open_at: str = ""
    api: Api = field(default_factory=Api)
    user: str = "system:serviceaccount:a:b"

    def who_am_i(self) -> Evidence:
        """Itself."""
        return evidence(Outcome.HTTP, status=201)

    def is_itself(self, _answer: Evidence) -> bool:
        """Always."""
        return True

    def attempt(self, method: str, _path: str, **_: object) -> Evidence:
        """Refused."""
        if self.open_at and self.open_at in self.api.server:
            return evidence(Outcome.HTTP, status=200)
        return evidence(Outcome.HTTP, status=403, detail=NO_RIGHT if method == "GET" else self.writes)


@dataclass
class OneCluster:
    """Its API servers."""

    nodes: tuple[Node, ...]
    api: Api = field(default_factory=Api)


def judge_of(monkeypatch: pytest.MonkeyPatch, stranger: Stranger, servers: int = 1) -> Judge:
    """What comes of his attempts."""
    monkeypatch.setattr(authz, "nobody", lambda _pool: stranger)
    nodes = tuple(Node(f"cp{number}", f"10.0.0.{number}", control_plane=True) for number in range(servers))
    judge, nothing = Judge(("server", "attempt")), cast("Any", None)
    authz.test_api_authz(judge, cast("Cluster", OneCluster(nodes)), nothing, cast("Pool", nothing))
    return judge


@pytest.mark.parametrize(
    ("words", "expected"),
    [(NO_RIGHT, Verdict.HELD), ('admission webhook "a" denied the request: no', Verdict.INCONCLUSIVE)],
)
def test_admission_is_no_authorizer(monkeypatch: pytest.MonkeyPatch, words: str, expected: Verdict) -> None:
    """It comes after the authorizer, who let the request through to it."""
    assert expected is judge_of(monkeypatch, Stranger(words)).verdict()[0]


@pytest.mark.parametrize("open_at", ["10.0.0.0", "10.0.0.1", "10.0.0.2"])
def test_each_api_server_has_an_authorizer_of_its_own(monkeypatch: pytest.MonkeyPatch, open_at: str) -> None:
    """A balancer may lead to one that refuses."""
    judge = judge_of(monkeypatch, Stranger(open_at=open_at), servers=3)
    assert Verdict.BREACHED is judge.verdict()[0]
    assert {f"service account without rights at https://{open_at}:6443"} == {
        each.case for each in judge.attacks if each.got_through
    }


@pytest.mark.parametrize("hole", ["cp1", "bind itself to cluster-admin"])
def test_an_attempt_that_is_not_made_is_missed(monkeypatch: pytest.MonkeyPatch, hole: str) -> None:
    """By its name, and by that of the API server."""
    monkeypatch.setattr(Case, "attack", without(Case.attack, hole))
    verdict, why = judge_of(monkeypatch, Stranger(), servers=2).verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert hole in why.partition("not tried: ")[2]
