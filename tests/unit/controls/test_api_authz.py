"""What api-authz makes of an API server's refusals."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.controls.api import authz
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.verdict import Judge, Verdict
from tests.unit.fakes import evidence

NO_RIGHT = (
    'x is forbidden: User "system:serviceaccount:a:b" cannot create resource "x" in API group "" at the cluster scope'
)


class Stranger:
    """An account without rights, but that its writes may be refused by somebody else."""

    user = "system:serviceaccount:a:b"

    def __init__(self, writes: str) -> None:
        self.writes = writes

    def who_am_i(self) -> Evidence:
        """Itself."""
        return evidence(Outcome.HTTP, status=201)

    def is_itself(self, _answer: Evidence) -> bool:
        """Always."""
        return True

    def attempt(self, method: str, _path: str, **_: object) -> Evidence:
        """Refused."""
        return evidence(Outcome.HTTP, status=403, detail=NO_RIGHT if method == "GET" else self.writes)


@pytest.mark.parametrize(
    ("words", "expected"),
    [(NO_RIGHT, Verdict.HELD), ('admission webhook "a" denied the request: no', Verdict.INCONCLUSIVE)],
)
def test_admission_is_no_authorizer(monkeypatch: pytest.MonkeyPatch, words: str, expected: Verdict) -> None:
    """It comes after the authorizer, who let the request through to it."""
    monkeypatch.setattr(authz, "nobody", lambda _pool: Stranger(words))
    api = SimpleNamespace(server="https://a", request=lambda *_: Response(404, {}, 1.0))
    nothing: Any = None
    judge, cluster = Judge(), SimpleNamespace(api=api)
    authz.test_api_authz(judge, cluster, nothing, nothing)
    assert expected is judge.verdict()[0]
