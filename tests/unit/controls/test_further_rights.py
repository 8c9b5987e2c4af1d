"""Each row of the table of further rights, by an API server that authorises what is really sent."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.clusters.rbac_objects import RBAC, rule
from pytest_k8ssec.controls.rbac.escalation import test_rbac_escalation as escalation
from pytest_k8ssec.probes.identities import account_user
from pytest_k8ssec.probes.rights_table import further_ways
from pytest_k8ssec.reach.sampling import Sampling
from pytest_k8ssec.stack import ServiceAccount
from pytest_k8ssec.verdict import Verdict
from tests.unit.fakes import judge_of

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.probes.escalation import WayUp
    from pytest_k8ssec.stack import Stack

_WEB = ServiceAccount("web", "shop")
_USER = account_user(_WEB.namespace, _WEB.name)
_NETWORK = "networking.k8s.io"
_HOOKS = "admissionregistration.k8s.io"


@dataclass(frozen=True)
class Asked:
    """What a request is to the authorizer."""

    verb: str
    resource: str
    group: str
    namespace: str
    name: str


def request_of(method: str, path: str, params: dict[str, str]) -> Asked:
    """As https://kubernetes.io/docs/reference/access-authn-authz/authorization/ says."""
    parts = path.strip("/").split("/")
    group = parts[1] if parts[0] == "apis" else ""
    rest = parts[3:] if group else parts[2:]
    namespace = ""
    if rest[0] == "namespaces":
        namespace = rest[1] if len(rest) > 1 else ""
        rest = rest[2:] if len(rest) > 2 and rest[2] not in ("status", "finalize") else rest
    resource, name, below = (*rest, "", "")[:3] if len(rest) < 3 else rest[:3]
    verb = {"POST": "create", "PUT": "update", "PATCH": "patch", "GET": "get", "DELETE": "delete"}[method]
    if verb == "delete" and not name:
        assert params["fieldSelector"]
        verb = "deletecollection"
    if below not in ("exec", "attach", "portforward", "proxy", "token"):
        assert "GET" == method or "All" == params.get("dryRun"), path
    return Asked(verb, f"{resource}/{below}" if below else resource, group, namespace, name)


@dataclass
class World:
    """A stack of one account that has some rules, in one namespace or ("") everywhere."""

    rules: list[dict[str, Any]] = field(default_factory=list)
    where: str = ""
    listed: bool = True
    complete: bool = True
    probe_image: str = "probe:1"
    namespaces: tuple[str, ...] = ("web",)
    asked: int = 0
    message: str = f'it is forbidden: User "{_USER}" cannot do resource "it" in API group ""'

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

    def list(self, _path: str) -> list[dict[str, Any]]:
        """Nothing that an offer would have to fit."""
        return []

    def may(self, asked: Asked) -> bool:
        """What the authorizer says."""
        return self.where in ("", asked.namespace) and any(
            asked.verb in each["verbs"]
            and asked.group in each["apiGroups"]
            and asked.resource in each["resources"]
            and (not each.get("resourceNames") or asked.name in each["resourceNames"])
            for each in self.rules
        )

    def request(self, method: str, path: str, *, body: Any = None, token: str | None = None, **more: Any) -> Response:
        """What is answered to the account, or to the administrator."""
        if path.endswith("selfsubjectreviews"):
            if "Impersonate-User" in (more.get("headers") or {}):
                return Response(403 if token else 201, {"kind": "Status", "message": self.message}, 1.0)
            return Response(201, {"status": {"userInfo": {"username": _USER}}}, 1.0)
        if path.endswith("selfsubjectrulesreviews"):
            mine = self.rules if self.listed and self.where in ("", body["spec"]["namespace"]) else []
            return Response(201, {"status": {"resourceRules": mine, "incomplete": not self.complete}}, 1.0)
        if path.endswith("selfsubjectaccessreviews"):
            right = body["spec"]["resourceAttributes"]
            resource = "/".join(filter(None, (right["resource"], right["subresource"])))
            asked = Asked(right["verb"], resource, right["group"], right["namespace"], right["name"])
            return Response(201, {"status": {"allowed": token is None or self.may(asked)}}, 1.0)
        if token is None:
            return Response(201, {}, 1.0)
        self.asked += 1
        if self.may(request_of(method, path, more.get("params") or {})):
            return Response(404, {}, 1.0)
        return Response(403, {"kind": "Status", "message": self.message}, 1.0)

    def verdict(self) -> tuple[Verdict, set[str]]:
        """What the control says of it, and what got through."""
        judge = judge_of(escalation)
        escalation(judge, cast("Cluster", self), cast("Stack", self), {}, k8ssec_sampling=Sampling(limit=math.inf))
        return judge.verdict()[0], {attack.what for attack in judge.attacks if attack.got_through}


_WAYS = [(way, place) for place in ("web", "kube-system", "") for way in further_ways(place)]


@pytest.mark.parametrize(("way", "place"), _WAYS, ids=[f"{way.words} in {place or 'all'}" for way, place in _WAYS])
def test_each_row_is_noticed(way: WayUp, place: str) -> None:
    """By the rights that it takes, where they are granted; with one of several left out it is not what got through."""
    verdict, through = World([*way.rules], where=place).verdict()
    assert Verdict.BREACHED is verdict
    assert f"{way.words}, {f'in {place}' if place else 'in the cluster'}" in through
    for left in way.rules if len(way.rules) > 1 else ():
        _, less = World([each for each in way.rules if each is not left], where=place).verdict()
        assert not any(way.words in each for each in less)


@pytest.mark.parametrize(
    ("verb", "resource", "group"),
    [
        ("delete", "networkpolicies", _NETWORK),
        ("patch", "networkpolicies", _NETWORK),
        ("delete", "validatingwebhookconfigurations", _HOOKS),
        ("update", "validatingadmissionpolicybindings", _HOOKS),
        ("patch", "mutatingadmissionpolicies", _HOOKS),
        ("patch", "resourcequotas", ""),
        ("create", "pods/portforward", ""),
        ("get", "services/proxy", ""),
        ("create", "nodes/proxy", ""),
        ("patch", "apiservices", "apiregistration.k8s.io"),
        ("patch", "namespaces", ""),
    ],
)
def test_one_object_by_its_name_is_enough(verb: str, resource: str, group: str) -> None:
    """A made-up name is refused; the one that the rules name is not."""
    named = {**rule(verb, resource, group=group), "resourceNames": ["that"]}
    verdict, through = World([named]).verdict()
    assert Verdict.BREACHED is verdict
    tried = (
        each for each in through if "mutatingadmissionpolicies" not in each
    )  # those are asked for by all names at once
    assert all("that" in each for each in tried)


@pytest.mark.parametrize("place", ["web", "kube-system"])
def test_a_namespace_by_its_name_is_itself(place: str) -> None:
    """Its level is undone by a patch of it, wherever the right is granted."""
    named = {**rule("patch", "namespaces"), "resourceNames": [place]}
    assert Verdict.BREACHED is World([named], where=place).verdict()[0]
    other = {**rule("patch", "namespaces"), "resourceNames": ["other"]}
    assert Verdict.HELD is World([other], where=place).verdict()[0]


def test_a_role_by_its_name_is_bound() -> None:
    """Who may bind one Role, and change one binding."""
    bind = {**rule("bind", "roles", group=RBAC), "resourceNames": ["system:controller:token-cleaner"]}
    change = {**rule("patch", "rolebindings", group=RBAC), "resourceNames": ["that"]}
    verdict, through = World([bind, change], where="kube-system").verdict()
    assert Verdict.BREACHED is verdict
    assert {"bind itself to a Role (bind roles, patch rolebindings), in kube-system"} == through
    assert Verdict.HELD is World([bind], where="kube-system").verdict()[0]


@pytest.mark.parametrize("name", ["coredns", "other"])
def test_what_the_names_are_answered_by_is_one_object(name: str) -> None:
    """Others of that kind, and its namesake elsewhere, lead nowhere."""
    named = {**rule("patch", "configmaps"), "resourceNames": [name]}
    expected = Verdict.BREACHED if name == "coredns" else Verdict.HELD
    assert expected is World([named], where="kube-system").verdict()[0]
    assert Verdict.HELD is World([named], where="web").verdict()[0]


def test_a_list_that_is_not_complete_clears_nothing() -> None:
    """Then each row is tried."""
    right = rule("delete", "networkpolicies", group=_NETWORK)
    assert Verdict.BREACHED is World([right], listed=False, complete=False).verdict()[0]


def test_a_list_that_is_wrong_is_found_out() -> None:
    """One row that it does not grant is tried all the same, and where that gets through, all are."""
    rules = [each for way in (*further_ways("web"), *further_ways("")) for each in way.rules]
    _, through = World(rules, listed=False).verdict()
    for way in further_ways("web"):
        assert f"{way.words}, in web" in through
    for way in further_ways(""):
        assert f"{way.words}, in the cluster" in through


def test_who_may_nothing_costs_little() -> None:
    """The rows of the table are cleared by its list, but for one in each place."""
    world, all_of_it = World(), World(complete=False)
    assert Verdict.HELD is world.verdict()[0]
    assert Verdict.HELD is all_of_it.verdict()[0]
    places, rows = 4, 2 * len(further_ways("default")) + len(further_ways("kube-system")) + len(further_ways(""))
    by_request = sum(bool(way.path) for place in ("web", "default", "kube-system", "") for way in further_ways(place))
    assert rows >= by_request > 10 * places
    assert by_request - places <= all_of_it.asked - world.asked <= by_request


@pytest.mark.parametrize("refusal", ["it is forbidden: ValidatingAdmissionPolicy 'no' denied request: no", ""])
def test_what_admission_refuses_is_not_cleared(refusal: str) -> None:
    """A policy that refuses service accounts, and lets an administrator in."""
    assert Verdict.INCONCLUSIVE is World(message=refusal).verdict()[0]
