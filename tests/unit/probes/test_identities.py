"""Whom the API server takes a credential for, and what RBAC rules say of single objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.facts.credentials import Credential
from pytest_k8ssec.probes.identities import RbacRules, service_account, show_credential
from tests.unit.fakes import evidence

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.api import KubeApi
    from pytest_k8ssec.clusters.interface import Cluster

_NAMED = {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["b", "a"]}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (_NAMED, ["a", "b"]),
        ({**_NAMED, "verbs": ["*"]}, ["a", "b"]),
        ({**_NAMED, "apiGroups": ["*"], "resources": ["*"]}, ["a", "b"]),
        ({**_NAMED, "verbs": ["list"]}, []),
        ({**_NAMED, "apiGroups": ["apps"]}, []),
        ({**_NAMED, "resources": ["configmaps"]}, []),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}, []),
    ],
)
def test_names_of_a_right(rule: dict[str, list[str]], expected: list[str]) -> None:
    """Those of each rule that covers the verb and the resource, wildcards included."""
    rules = RbacRules(evidence(Outcome.HTTP, status=201), (rule,))
    assert expected == rules.names("get", "secrets")


def test_names_are_those_of_the_subresource() -> None:
    """A right on pods is none on pods/exec."""
    rules = RbacRules(evidence(Outcome.HTTP, status=201), ({**_NAMED, "resources": ["pods/exec"]},))
    of_all = RbacRules(rules.evidence, ({**_NAMED, "resources": ["*/exec"]},))
    assert (["a", "b"], []) == (of_all.names("get", "pods/exec"), of_all.names("get", "pods"))
    assert (["a", "b"], []) == (rules.names("get", "pods/exec"), rules.names("get", "pods"))


@dataclass
class Reviewer:
    """An API server that says this to whoever asks who he is, by whatever he shows."""

    status: int
    user: str = ""
    shown: list[str] = field(default_factory=list)

    def as_holder_of(self, pem: str) -> Reviewer:
        """Itself, to which a certificate is shown."""
        self.shown.append(pem)
        return self

    def request(self, *_: object, token: str | None = None, **__: object) -> Response:
        """The review."""
        self.shown.append(str(token))
        return Response(self.status, {"status": {"userInfo": {"username": self.user}}}, 1.0)


@pytest.mark.parametrize(
    ("status", "user", "taken"),
    [(201, "somebody", True), (201, "system:anonymous", False), (401, "", False), (403, "", None), (500, "", None)],
)
@pytest.mark.parametrize("pem", ["", "certificate and key"])
def test_a_credential_counts_if_the_api_server_takes_it(status: int, user: str, taken: bool | None, pem: str) -> None:
    """As somebody: who is nobody has shown nothing; and a certificate goes without a token."""
    api, token = Reviewer(status, user), "" if pem else "abcdef.0123456789abcdef"
    identity, answer, said = show_credential(cast("KubeApi", api), Credential("a", "b", "claimed", token, pem))
    assert (taken, status) == (said, answer.status)
    assert ("somebody" if taken else "claimed") == identity.user
    assert ([pem, "None"] if pem else [token]) == api.shown
    assert "0123456789abcdef" not in repr((identity, answer))


class Issuer:
    """A cluster, and its API server, which issues tokens."""

    def __init__(self) -> None:
        self.issued = 0

    @property
    def api(self) -> Issuer:
        """Itself."""
        return self

    def call(self, _method: str, _path: str, **_: object) -> dict[str, Any]:
        """Each time another token."""
        self.issued += 1
        return {"status": {"token": f"e30.e3{self.issued}.e30"}}


def test_each_time_another_token_is_asked_for() -> None:
    """A kubelet remembers for minutes what it allowed to one, also once the right is taken away."""
    cluster = cast("Cluster", Issuer())
    assert service_account(cluster, "web", "shop").token != service_account(cluster, "web", "shop").token
