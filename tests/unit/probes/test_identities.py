"""What RBAC rules say of single objects, as a made-up name can't find that out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.probes.identities import RbacRules, service_account
from tests.unit.fakes import evidence

if TYPE_CHECKING:
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
class Issuer:
    """A cluster, and its API server, which issues tokens and accepts some of them."""

    issued: dict[str, str] = field(default_factory=dict)
    """By token, whose it is."""
    refuses: set[str] = field(default_factory=set)

    @property
    def api(self) -> Issuer:
        """Itself."""
        return self

    def call(self, _method: str, path: str, **_: object) -> dict[str, Any]:
        """A token for whoever asks."""
        token = f"e30.e3{len(self.issued)}.e30"
        self.issued[token] = path.split("/")[6]
        return {"status": {"token": token}}

    def request(self, _method: str, _path: str, *, token: str, **_: object) -> Response:
        """Whom a token stands for."""
        if token in self.refuses:
            return Response(401, {}, 1.0)
        user = f"system:serviceaccount:web:{self.issued[token]}"
        return Response(201, {"status": {"userInfo": {"username": user}}}, 1.0)


def test_a_token_is_had_by_all_who_ask_for_it_as_long_as_it_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each account, and of each cluster; one that is bound to a pod ends with that pod, and is nobody else's."""
    clock = 1000.0
    monkeypatch.setattr("pytest_k8ssec.probes.identities.time.monotonic", lambda: clock)
    issuer = Issuer()
    cluster = cast("Cluster", issuer)
    first = service_account(cluster, "web", "shop")
    assert first is service_account(cluster, "web", "shop")
    assert first.token != service_account(cluster, "web", "other").token
    assert first is not service_account(cast("Cluster", Issuer()), "web", "shop")
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "uid": "u"}}
    assert first.token != service_account(cluster, "web", "shop", bound_to=pod).token
    assert first is service_account(cluster, "web", "shop")
    clock += 500
    later = service_account(cluster, "web", "shop")
    assert first.token != later.token
    issuer.refuses.add(later.token)
    assert later.token != service_account(cluster, "web", "shop").token
