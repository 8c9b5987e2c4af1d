"""Who may lower a namespace's Pod Security level: by whichever part of it, of whichever namespace."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.clusters.api_servers import ApiServer
from pytest_k8ssec.clusters.rbac_objects import account_subject, binding, rule
from pytest_k8ssec.controls.adm import psa
from pytest_k8ssec.plugin.waiving.waive import waive
from pytest_k8ssec.probes.identities import account_user
from pytest_k8ssec.probes.podsecurity import CHECKS, IN_INIT, Check
from pytest_k8ssec.settings.waivers import Waiver
from pytest_k8ssec.stack import ServiceAccount
from pytest_k8ssec.verdict import Judge, Verdict
from tests.unit.controls.test_further_rights import request_of
from tests.unit.fakes import evidence

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.interface import Cluster

_WEB, _SHOP = ServiceAccount("web", "one"), ServiceAccount("shop", "two")
_REFUSED = 'namespaces "it" is forbidden: User "system:serviceaccount:web:one" cannot patch resource "namespaces" in'
_POLICY = "namespaces \"it\" is forbidden: ValidatingAdmissionPolicy 'level' with binding 'level' denied request: no"


@dataclass
class World:
    """An API server that lets each account do some things."""

    may: set[tuple[str, str, str, str]] = field(default_factory=set)
    """Account, verb, resource and namespace."""
    message: str = _REFUSED
    objects: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """RBAC's, by plural."""
    sent: list[tuple[str, str]] = field(default_factory=list)

    @property
    def api(self) -> World:
        """Itself."""
        return self

    def call(self, _method: str, path: str, **_: object) -> dict[str, Any]:
        """A token that says whose it is."""
        return {"status": {"token": path.split("/")[-2]}}

    def get(self, path: str) -> dict[str, Any]:
        """A namespace."""
        return {"metadata": {"name": path.rpartition("/")[2], "labels": {}}}

    def list(self, path: str) -> list[dict[str, Any]]:
        """RBAC's objects."""
        return self.objects.get(path.rpartition("/")[2], [])

    def request(self, method: str, path: str, *, token: str | None = None, **more: Any) -> Response:
        """What it answers an account."""
        name = str(token).rpartition("/")[2]
        account = next(each for each in (_WEB, _SHOP) if each.name == name)
        if path.endswith("selfsubjectreviews"):
            user = account_user(account.namespace, account.name)
            return Response(201, {"status": {"userInfo": {"username": user}}}, 1.0)
        self.sent.append((method, path))
        asked = request_of(method, path, more["params"])
        if (name, asked.verb, asked.resource, asked.namespace) in self.may:
            return Response(200, {}, 1.0)
        return Response(403, {"kind": "Status", "message": self.message}, 1.0)


def judged(world: World) -> Judge:
    """What comes of two accounts, and two namespaces."""
    judge, server = Judge(), ApiServer("cp", cast("Any", world))
    alike = psa._alike(cast("Cluster", world), [_WEB, _SHOP], ["web", "shop"])
    psa._relabel(judge, cast("Cluster", world), server, psa._chosen(alike))
    return judge


@pytest.mark.parametrize("namespace", ["web", "shop"])
@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("patch", "namespaces"),
        ("update", "namespaces"),
        ("patch", "namespaces/status"),
        ("update", "namespaces/status"),
        ("update", "namespaces/finalize"),
    ],
)
def test_each_way_to_a_label_is_tried(verb: str, resource: str, namespace: str) -> None:
    """Alone, in its own namespace and in another one."""
    assert Verdict.HELD is judged(World()).verdict()[0]
    judge = judged(World({("one", verb, resource, namespace)}))
    assert Verdict.BREACHED is judge.verdict()[0]
    assert 1 == sum(bool(each.got_through) for each in judge.attacks)


def test_only_the_authorizer_or_a_policy_refuses() -> None:
    """A policy that denies just this change keeps the label; any other 403 says nothing."""
    assert Verdict.HELD is judged(World(message=_POLICY)).verdict()[0]
    assert Verdict.INCONCLUSIVE is judged(World(message="namespaces is forbidden: quota")).verdict()[0]


def test_of_many_pairs_some_of_each_class_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each account in its own namespace, and a pair of which the rules are others than those of the rest."""
    monkeypatch.setattr(psa, "PAIRS_MAX", 1)
    role = {"metadata": {"name": "r", "namespace": "shop"}, "rules": [rule("patch", "namespaces")]}
    bound = binding("r", account_subject("web", "one"), "r", kind="Role", namespace="shop")
    world = World({("one", "patch", "namespaces", "shop")}, objects={"roles": [role], "rolebindings": [bound]})
    alike = psa._alike(cast("Cluster", world), [_WEB, _SHOP], ["web", "shop"])
    assert 2 == len(set(alike.values()))
    assert {_WEB: ["web", "shop"], _SHOP: ["shop"]} == {
        account: [each for each in names if each in ("shop", account.namespace)]
        for account, names in psa._chosen(alike).items()
    }
    assert Verdict.BREACHED is judged(world).verdict()[0]


@pytest.mark.parametrize("check", [*CHECKS, *IN_INIT], ids=lambda check: str(check.name))
def test_each_check_of_a_namespace_can_be_waived(check: Check) -> None:
    """By the names by which it could be allowed; in an init container by the same as elsewhere."""
    asked = psa._Asked("monitoring", {}, (check,), cast("Any", None))
    (names,) = psa._used(asked, check)
    assert names == (f"monitoring:{check.of or check.name}", f"Namespace monitoring:{check.of or check.name}")
    judge = Judge()
    case = judge.case("namespace monitoring (enforces baseline)")
    case.attack(f"{check.name}: create such a pod", evidence(), through=True, used=[names])
    waive(judge, [Waiver("adm-psa", names[0], "an agent", "ops", dt.date(2027, 1, 31), "", "")], dt.date(2027, 1, 1))
    assert judge.verdict()[0] is Verdict.WAIVED
