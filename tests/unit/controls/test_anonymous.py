"""What anybody without credentials is given by the API server."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.clusters.rbac_objects import RBAC, binding, named_subject, rule
from pytest_k8ssec.controls.api import anon_data as anon_module
from pytest_k8ssec.controls.api import rules_of, ways_up
from pytest_k8ssec.controls.api.anon_data import test_api_anon_data as anon_data
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.evidence import Outcome, Source
from pytest_k8ssec.stack import ServiceAccount
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import FakeVantage, evidence, without

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_k8ssec.agent.vantage import NetworkVantage
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.pods.pool import Pod, Pool


@dataclass
class World:
    """A cluster of one node and two namespaces; it is its own API, its own pool and its own attacker."""

    status: int
    """What a request without credentials is answered."""
    but: dict[str, int]
    """By path, behind its method where that is not GET."""
    objects: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """RBAC's, by plural."""
    refusal: str = 'secrets is forbidden: User "system:anonymous" cannot patch resource "secrets"'
    """The words of a 403."""
    listing: bool = True
    """Whether RBAC's objects can be listed."""
    sent: list[dict[str, Any]] = field(default_factory=list)
    probe_image: str = "probe:1"
    spaces: tuple[str, ...] = ("web", "kube-system")
    nodes: tuple[Node, ...] = (Node("node", "10.0.0.2", control_plane=True),)
    run_id: str = "1"
    only_at: str = ""
    """The only address that gives more; "" for all."""

    @property
    def api(self) -> World:
        """Itself."""
        return self

    cluster = api

    def list(self, path: str) -> list[dict[str, Any]]:
        """The namespaces, and RBAC's objects."""
        if "/api/v1/namespaces" != path:
            if not self.listing:
                raise ClusterError("HTTP 403")
            return self.objects.get(path.rpartition("/")[2], [])
        return [{"metadata": {"name": name}} for name in self.spaces]

    def call(self, *_: object, **__: object) -> dict[str, Any]:
        """A token."""
        return {"status": {"token": "e30.e30.e30"}}

    def namespace(self, _purpose: str) -> str:
        """One of ours."""
        return "ours"

    def remember(self, _what: str, _find_out: Callable[[], str]) -> str:
        """What was granted before."""
        return "auditor"

    @property
    def vantage(self) -> FakeVantage:
        """Where all is asked from."""
        return FakeVantage(self.said)

    def said(self, task: dict[str, Any]) -> dict[str, Any]:
        """Who shows a token is given what it asks for."""
        if "Authorization" in task["headers"] or task["path"] == "/livez":
            return {"outcome": "http", "status": 200}
        self.sent.append(task)
        key = task["path"] if task["method"] == "GET" else f"{task['method']} {task['path']}"
        there = self.only_at in ("", task["host"])
        status = self.but.get(key, self.status) if there else self.status
        body = json.dumps({"kind": "Status", "message": self.refusal if status == 403 else "else"})
        return {"outcome": "http", "status": status, "body": body[: task["keep"]]}

    def verdict(self) -> Verdict:
        """What the control says of it."""
        return self.judge().verdict()[0]

    def judge(self) -> Judge:
        """What the control records."""
        judge = Judge(("source", "node", "address", "verb", "resource", "namespace"))
        anon_data(
            judge, cast("Cluster", self), None, cast("Pool", self), lambda: cast("Pod", self),
            cast("NetworkVantage", FakeVantage(self.said, Source("outside", "beside"))),
        )  # fmt: skip
        return judge


@pytest.mark.parametrize("kind", ["secrets", "configmaps", "pods"])
@pytest.mark.parametrize("status", [401, 403])
def test_a_namespace_that_is_open_is_seen(kind: str, status: int) -> None:
    """A role bound in it gives nothing in the cluster as a whole."""
    path = f"/api/v1/namespaces/web/{kind}?limit=1"
    assert Verdict.HELD is World(status, {}).verdict()
    assert Verdict.BREACHED is World(status, {path: 200}).verdict()
    assert Verdict.INCONCLUSIVE is World(status, {path: 429}).verdict()


_MADE_UP = "k8ssec-no-such"
_SELECTED = f"fieldSelector=metadata.name%3D{_MADE_UP}"


@pytest.mark.parametrize("kind", ["secrets", "configmaps", "pods"])
@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (f"/{_MADE_UP}", 404),
        (f"?watch=true&timeoutSeconds=1&{_SELECTED}", 200),
        (f"PATCH /{_MADE_UP}?dryRun=All", 404),
        (f"PUT /{_MADE_UP}?dryRun=All", 404),
        (f"DELETE /{_MADE_UP}?dryRun=All", 404),
        (f"DELETE ?dryRun=All&{_SELECTED}", 200),
        ("POST ?dryRun=All", 201),
    ],
    ids=["get", "watch", "patch", "update", "delete", "deletecollection", "create"],
)
def test_each_verb_that_answers_with_objects_is_tried(kind: str, request_line: str, status: int) -> None:
    """Alone, in one namespace."""
    method, _, rest = request_line.rpartition(" ")
    path = f"{method} /api/v1/namespaces/web/{kind}{rest}".strip()
    assert Verdict.BREACHED is World(403, {path: status}).verdict()


@pytest.mark.parametrize("address", ["10.0.0.2", "fd00::2", "10.0.0.3"])
def test_one_address_of_one_api_server_is_enough(address: str) -> None:
    """Each has flags of its own, and a firewall may stand before one address."""
    nodes = (
        Node("node", "10.0.0.2", control_plane=True, further=("fd00::2",)),
        Node("other", "10.0.0.3", control_plane=True),
    )
    path = "/api/v1/namespaces/web/secrets?limit=1"
    judge = World(403, {path: 200}, nodes=nodes, only_at=address).judge()
    assert Verdict.BREACHED is judge.verdict()[0]
    assert {address} == {dict(each.tries[0])["address"] for each in judge.attacks if each.got_through}


@pytest.mark.parametrize(
    "hole", ["deletecollection", "configmaps", "kube-system", "outside", "/metrics", "secrets/bank"]
)
def test_what_is_not_asked_is_missed(monkeypatch: pytest.MonkeyPatch, hole: str) -> None:
    """By its name; what exists is known from the namespaces and from what RBAC names."""
    role = {
        "metadata": {"name": "one", "namespace": "web"},
        "rules": [{**rule("get", "secrets"), "resourceNames": ["bank"]}],
    }
    bound = binding("one", named_subject("User", "system:anonymous"), "one", kind="Role", namespace="web")
    monkeypatch.setattr(Case, "attack", without(Case.attack, hole))
    verdict, why = World(403, {}, {"roles": [role], "rolebindings": [bound]}).judge().verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert hole in why.partition("not tried: ")[2]


@pytest.mark.parametrize("whom", [("User", "system:anonymous"), ("Group", "system:unauthenticated")])
@pytest.mark.parametrize(
    ("verb", "request_line"),
    [
        ("get", "/bank"),
        ("patch", "PATCH /bank?dryRun=All"),
        ("update", "PUT /bank?dryRun=All"),
        ("delete", "DELETE /bank?dryRun=All"),
        ("list", "?limit=1&fieldSelector=metadata.name%3Dbank"),
        ("watch", "?watch=true&timeoutSeconds=1&fieldSelector=metadata.name%3Dbank"),
    ],
)
def test_one_object_that_a_binding_names_is_tried(whom: tuple[Any, str], verb: str, request_line: str) -> None:
    """A made-up name does not find it out."""
    role = {
        "metadata": {"name": "one", "namespace": "web"},
        "rules": [{**rule(verb, "secrets"), "resourceNames": ["bank"]}],
    }
    bound = binding("one", named_subject(*whom), "one", kind="Role", namespace="web")
    objects = {"roles": [role], "rolebindings": [bound]}
    method, _, rest = request_line.rpartition(" ")
    path = f"{method} /api/v1/namespaces/web/secrets{rest}".strip()
    assert Verdict.BREACHED is World(403, {path: 200}, objects).verdict()
    assert Verdict.HELD is World(403, {path: 200}).verdict()


def test_what_nodes_that_join_read_is_no_leak() -> None:
    """The ConfigMap that kubeadm lets everybody get: api-anon-minimal looks at it."""
    role = {
        "metadata": {"name": "info", "namespace": "kube-public"},
        "rules": [{**rule("get", "configmaps"), "resourceNames": ["cluster-info"]}],
    }
    bound = binding("info", named_subject("User", "system:anonymous"), "info", kind="Role", namespace="kube-public")
    world = World(403, {}, {"roles": [role], "rolebindings": [bound]}, spaces=("kube-public",))
    assert Verdict.HELD is world.verdict()
    assert not any(each["path"].endswith("/cluster-info") for each in world.sent)


@pytest.mark.parametrize("refusal", ["pods is forbidden: ValidatingAdmissionPolicy 'no' denied request: no", ""])
def test_a_write_that_admission_refuses_is_no_lack_of_rights(refusal: str) -> None:
    """Another one may be let in."""
    assert Verdict.INCONCLUSIVE is World(403, {}, refusal=refusal).verdict()


def test_bindings_that_can_not_be_read_leave_it_open() -> None:
    """They may name objects."""
    assert Verdict.INCONCLUSIVE is World(403, {}, listing=False).verdict()


def test_no_request_writes_or_brings_data_back() -> None:
    """What is not a GET is a dry run of metadata; of a GET no body is kept."""
    world = World(403, {})
    world.verdict()
    assert {"GET", "PATCH", "PUT", "DELETE", "POST"} == {each["method"] for each in world.sent}
    for each in world.sent:
        connects = any(part in each["path"] for part in ("/exec", "/attach", "/portforward", "/proxy", "/token"))
        if each["method"] == "GET":
            assert 0 == each["keep"] or connects
        elif connects:
            assert "/k8ssec-no-such/" in each["path"]
        else:
            assert "dryRun=All" in each["path"]
            assert "PartialObjectMetadata" in each["headers"]["Accept"]


def given(*rules: dict[str, Any], place: str = "web") -> dict[str, list[dict[str, Any]]]:
    """RBAC's objects, where anybody has these in one namespace."""
    role = {"metadata": {"name": "one", "namespace": place}, "rules": list(rules)}
    return {
        "roles": [role],
        "rolebindings": [
            binding("one", named_subject("User", "system:anonymous"), "one", kind="Role", namespace=place)
        ],
    }


_POLICIES = "/apis/networking.k8s.io/v1/namespaces/web/networkpolicies"
_DELETE = rule("delete", "networkpolicies", group="networking.k8s.io")


def test_what_leads_further_is_tried_where_rbac_gives_it() -> None:
    """And only what comes of it counts."""
    request = f"DELETE {_POLICIES}/k8ssec-no-such?dryRun=All"
    assert Verdict.BREACHED is World(403, {request: 404}, given(_DELETE)).verdict()
    assert Verdict.HELD is World(403, {request: 404}).verdict()
    for status in (401, 403):
        assert Verdict.HELD is World(status, {}, given(_DELETE)).verdict()


@pytest.mark.parametrize(
    "rules",
    [
        [{**_DELETE, "resourceNames": ["that"]}],
        [rule("bind", "roles", group=RBAC), rule("patch", "rolebindings", group=RBAC)],
        [rule("bind", "clusterroles", group=RBAC), rule("update", "rolebindings", group=RBAC)],
    ],
    ids=["by name", "asked for", "by change"],
)
def test_what_no_request_shows_is_told_by_rbac(rules: list[dict[str, Any]]) -> None:
    """Where requests without credentials get as far as to be authorised; each right that it takes must be given."""
    assert Verdict.BREACHED is World(403, {}, given(*rules)).verdict()
    assert Verdict.HELD is World(401, {}, given(*rules)).verdict()
    for left in rules if len(rules) > 1 else ():
        assert Verdict.HELD is World(403, {}, given(*(each for each in rules if each is not left))).verdict()


def test_what_rbac_does_not_know_is_found_out() -> None:
    """One way of each place is tried all the same; where an authorizer beside RBAC lets it through, all are."""
    world = World(403, {})
    assert Verdict.HELD is world.verdict()
    usual = len(world.sent)
    nothing = rules_of(frozenset(), evidence(Outcome.DONE))
    ways = ways_up("web", ServiceAccount("default", _MADE_UP), "probe:1")
    climb = anon_module._Climb("web", nothing, ways)
    (sample,) = climb.tried().values()
    ask = climb.ask(sample)
    world = World(403, {ask.path if ask.method == "GET" else f"{ask.method} {ask.path}": 404})
    assert Verdict.BREACHED is world.verdict()
    assert len(world.sent) > usual + 20
