"""What api-authz makes of an API server's refusals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.clusters.rbac_objects import RBAC, rule
from pytest_k8ssec.controls.api import authz
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.probes.identities import RbacRules
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.controls.test_further_rights import request_of
from tests.unit.fakes import evidence, without

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.pods.pool import Pool

NO_RIGHT = (
    'x is forbidden: User "system:serviceaccount:a:b" cannot create resource "x" in API group "" at the cluster scope'
)


SPACES = ("web", "shop", "kube-system")


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

    def list(self, _path: str) -> list[dict[str, Any]]:
        """The namespaces."""
        return [{"metadata": {"name": name}} for name in SPACES]


@dataclass
class Stranger:
    """An account without rights, but that its writes may be refused by somebody else, and one server may let it in."""

    writes: str = NO_RIGHT
    open_at: str = ""
    api: Api = field(default_factory=Api)
    user: str = "system:serviceaccount:a:b"
    granted: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By namespace, the rules that it has there."""
    lists: bool = True
    """Whether the API server lists them."""
    tried: list[str] = field(default_factory=list)
    """Paths that were asked for."""

    def who_am_i(self) -> Evidence:
        """Itself."""
        return evidence(Outcome.HTTP, status=201)

    def is_itself(self, _answer: Evidence) -> bool:
        """Always."""
        return True

    def rules(self, namespace: str) -> RbacRules:
        """As the API server lists them."""
        listed = self.granted.get(namespace, []) if self.lists else []
        return RbacRules(evidence(Outcome.HTTP, status=201), tuple(listed))

    def may(self, verb: str, resource: str, *, group: str = "", namespace: str = "", name: str = "") -> Evidence:
        """By its rules, whatever is listed."""
        rules = RbacRules(evidence(Outcome.DONE), tuple(self.granted.get(namespace, [])))
        may = rules.grants(verb, resource, group=group) or name in rules.names(verb, resource, group=group)
        return evidence(Outcome.DONE if may else Outcome.ABSENT)

    def attempt(self, method: str, path: str, **options: Any) -> Evidence:
        """Refused, but for what its rules say."""
        self.tried.append(f"{method} {path}")
        if self.open_at and self.open_at in self.api.server:
            return evidence(Outcome.HTTP, status=200)
        if path.startswith("/api") and "Upgrade" not in (options.get("headers") or {}):
            asked = request_of(method, path, dict(options.get("params") or {"fieldSelector": "x", "dryRun": "All"}))
            may = self.may(asked.verb, asked.resource, group=asked.group, namespace=asked.namespace, name=asked.name)
            if may.outcome is Outcome.DONE and "selfsubject" not in path:
                return evidence(Outcome.HTTP, status=404)
        return evidence(Outcome.HTTP, status=403, detail=NO_RIGHT if method == "GET" else self.writes)


@dataclass
class OneCluster:
    """Its API servers."""

    nodes: tuple[Node, ...]
    probe_image: str = "probe:1"
    api: Api = field(default_factory=Api)


def judge_of(monkeypatch: pytest.MonkeyPatch, stranger: Stranger, servers: int = 1) -> Judge:
    """What comes of his attempts."""
    monkeypatch.setattr(authz, "nobody", lambda _pool: stranger)
    nodes = tuple(Node(f"cp{number}", f"10.0.0.{number}", control_plane=True) for number in range(servers))
    judge, nothing = Judge(("server", "place", "attempt")), cast("Any", None)
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


def through(judge: Judge) -> set[str]:
    """What it was let do."""
    return {each.what for each in judge.attacks if each.got_through}


@pytest.mark.parametrize("place", SPACES)
@pytest.mark.parametrize(
    ("right", "words"),
    [
        (rule("delete", "networkpolicies", group="networking.k8s.io"), "undo what NetworkPolicies keep out (delete networkpolicies)"),
        (rule("create", "pods"), "create a Pod"),
        (rule("create", "pods/portforward"), "reach a pod's ports past NetworkPolicies (create pods/portforward)"),
        (rule("patch", "namespaces"), "undo a namespace's Pod Security level (patch namespaces)"),
    ],
)  # fmt: skip
def test_what_everybody_may_in_one_namespace_is_found(
    monkeypatch: pytest.MonkeyPatch, place: str, right: dict[str, Any], words: str
) -> None:
    """Whichever it is: its rules there are others than elsewhere, so it is a class of its own."""
    judge = judge_of(monkeypatch, Stranger(granted={place: [right]}))
    assert Verdict.BREACHED is judge.verdict()[0]
    assert {f"{words}, in {place}"} == through(judge)


def test_a_right_on_one_object_is_asked_for_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A made-up one is refused."""
    right = {**rule("delete", "networkpolicies", group="networking.k8s.io"), "resourceNames": ["that"]}
    judge = judge_of(monkeypatch, Stranger(granted={"web": [right]}))
    words = "undo what NetworkPolicies keep out (delete networkpolicies), that by name, in web"
    assert {words} == through(judge)


def test_a_binding_that_is_there_may_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no new one may be made."""
    rights = [rule("bind", "clusterroles", group=RBAC), rule("patch", "rolebindings", group=RBAC)]
    judge = judge_of(monkeypatch, Stranger(granted={"web": rights}))
    assert {"bind itself to cluster-admin, by changing what is there, in web"} == through(judge)


def test_namespaces_with_the_same_rules_are_one_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not tried itself is spoken for by what is, and each place that is tried checks the list by one request."""
    monkeypatch.setattr("tests.unit.controls.test_api_authz.SPACES", tuple(f"team-{n}" for n in range(20)))
    stranger = Stranger()
    judge = judge_of(monkeypatch, stranger)
    assert Verdict.HELD is judge.verdict()[0]
    assert 8 + 3 >= len(stranger.tried)
    right = rule("delete", "networkpolicies", group="networking.k8s.io")
    judge = judge_of(monkeypatch, Stranger(granted={"team-7": [right]}))
    assert Verdict.BREACHED is judge.verdict()[0]


def test_a_list_that_says_nothing_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of what it does not grant is tried, and where that gets through, all is."""
    everything = [{"verbs": ["*"], "resources": ["*"], "apiGroups": ["*"]}]
    judge = judge_of(monkeypatch, Stranger(granted={"web": everything}, lists=False))
    assert Verdict.BREACHED is judge.verdict()[0]
    assert len(through(judge)) > 20


def test_a_place_that_is_not_tried_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the cluster there is no other of its class."""
    monkeypatch.setattr(Case, "attack", without(Case.attack, "ways up in the cluster"))
    verdict, why = judge_of(monkeypatch, Stranger()).verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert "place (the cluster)" in why
