"""Which verbs of an account rbac-secrets-read takes for a way to Secrets."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.clusters.rbac_objects import rule
from pytest_k8ssec.controls.rbac.secrets_read import test_rbac_secrets_read as secrets_read
from pytest_k8ssec.probes.identities import account_user
from pytest_k8ssec.reach.sampling import Sampling
from pytest_k8ssec.stack import ServiceAccount
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import judge_of, without

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.stack import Stack

_WEB = ServiceAccount("web", "shop")
_USER = account_user(_WEB.namespace, _WEB.name)


@dataclass
class World:
    """A stack of one account, and an API server that authorises it by its rules in one namespace."""

    rules: list[dict[str, Any]] = field(default_factory=list)
    refusal: str = f'secrets is forbidden: User "{_USER}" cannot do resource "secrets" in API group ""'
    where: str = "web"
    admin_status: int = 200
    sent: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    namespaces: tuple[str, ...] = ("web",)

    @property
    def api(self) -> World:
        """Itself."""
        return self

    def identities(self) -> tuple[ServiceAccount, ...]:
        """The one."""
        return (_WEB,)

    def call(self, *_: object, **__: object) -> dict[str, Any]:
        """A token."""
        return {"status": {"token": "e30.e30.e30"}}

    def request(self, method: str, path: str, *, body: Any = None, token: str | None = None, **more: Any) -> Response:
        """What is answered to the account, or to the administrator."""
        if path.endswith("selfsubjectreviews"):
            return Response(201, {"status": {"userInfo": {"username": _USER}}}, 1.0)
        if path.endswith("selfsubjectrulesreviews"):
            rules = self.rules if body["spec"]["namespace"] == self.where else []
            return Response(201, {"status": {"resourceRules": rules, "incomplete": False}}, 1.0)
        if token is None:
            return Response(self.admin_status, {}, 1.0)
        params = more.get("params") or {}
        self.sent.append((method, path, params))
        collection, _, name = path.partition("/secrets")
        name = name.strip("/")
        verb = {"GET": "get" if name else "watch" if "watch" in params else "list", "PATCH": "patch", "DELETE": "deletecollection"}[method]  # fmt: skip
        if verb in ("list", "watch"):
            name = params.get("fieldSelector", "").partition("=")[2]
        may = collection.endswith(f"/{self.where}") and any(
            verb in each["verbs"] and (not each.get("resourceNames") or name in each["resourceNames"])
            for each in self.rules
        )
        return Response(200, {}, 1.0) if may else Response(403, {"kind": "Status", "message": self.refusal}, 1.0)

    def verdict(self) -> tuple[Verdict, Judge]:
        """What the control says of it."""
        judge = judge_of(secrets_read)
        secrets_read(judge, cast("Cluster", self), cast("Stack", self), {}, k8ssec_sampling=Sampling(limit=math.inf))
        return judge.verdict()[0], judge


@pytest.mark.parametrize("where", ["web", "kube-system"])
@pytest.mark.parametrize("verb", ["get", "list", "watch", "patch", "deletecollection"])
def test_each_verb_that_answers_with_secrets_is_tried(verb: str, where: str) -> None:
    """Alone, and in a namespace that is not the account's own."""
    verdict, judge = World([rule(verb, "secrets")], where=where).verdict()
    assert Verdict.BREACHED is verdict
    assert all(attack.what.startswith(verb) for attack in judge.attacks if attack.got_through)


@pytest.mark.parametrize("verb", ["get", "list", "watch", "patch"])
def test_one_secret_by_its_name_is_enough(verb: str) -> None:
    """As its rules name it; a name that does not exist is refused."""
    verdict, judge = World([{**rule(verb, "secrets"), "resourceNames": ["bank"]}]).verdict()
    assert Verdict.BREACHED is verdict
    assert all("bank" in attack.what for attack in judge.attacks if attack.got_through)


@pytest.mark.parametrize("verb", ["create", "update", "delete"])
def test_who_only_writes_them_reads_none(verb: str) -> None:
    """These answer with what was sent, or with no Secret."""
    assert Verdict.HELD is World([rule(verb, "secrets")]).verdict()[0]


def test_nothing_is_written() -> None:
    """What is not a GET is a dry run, whatever the account may."""
    world = World([rule("*", "secrets"), {**rule("patch", "secrets"), "resourceNames": ["bank"]}])
    world.verdict()
    writing = [params for method, _, params in world.sent if method != "GET"]
    assert writing
    assert all("All" == params["dryRun"] for params in writing)


@pytest.mark.parametrize("refusal", ["secrets is forbidden: ValidatingAdmissionPolicy 'no' denied request: no", ""])
def test_what_admission_refuses_is_no_lack_of_rights(refusal: str) -> None:
    """A policy may refuse service accounts one request, and let the same right be used by another."""
    assert Verdict.INCONCLUSIVE is World(refusal=refusal).verdict()[0]


def test_what_an_administrator_may_not_either_proves_nothing() -> None:
    """Then something else than the account's rights is in the way."""
    assert Verdict.INCONCLUSIVE is World(admin_status=503).verdict()[0]


@pytest.mark.parametrize(
    ("namespace", "verb"), [("web", "deletecollection"), ("kube-system", "patch"), ("default", "get"), ("", "watch")]
)
def test_a_verb_that_nobody_tried_is_named(monkeypatch: pytest.MonkeyPatch, namespace: str, verb: str) -> None:
    """In one place."""
    place = namespace or "(the cluster)"
    assert Verdict.HELD is World().verdict()[0]
    monkeypatch.setattr(Case, "attack", without(Case.attack, f"'namespace': '{place}', 'check': '{verb}'"))
    verdict, judge = World().verdict()
    assert Verdict.INCONCLUSIVE is verdict
    named = f"account web/shop, check {verb}, namespace {place}"
    assert f"not tried: {named} (no attack tried it)" == judge.verdict()[1]
