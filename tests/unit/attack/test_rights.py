"""What an identity may do: tried where it is listed or the list is not complete, refuted by the list else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_k8ssec.attack import inferred
from pytest_k8ssec.attack.graph import CLUSTER_ADMIN, Edge, Kind, Status, Vertex
from pytest_k8ssec.attack.meter import Bounds, Meter
from pytest_k8ssec.attack.rights import _status, edges_by_rights
from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.clusters.rbac_objects import rule
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.probes.escalation import in_cluster, in_namespace, to_cluster_admin
from pytest_k8ssec.stack import ServiceAccount
from tests.unit.attack.graphs import ACCOUNT, INFERRED, KEY, NODE, PROVEN, REFUTED, UNKNOWN, FakeApi, FakeCluster, named
from tests.unit.fakes import evidence

_HOOKS, _RBAC = "admissionregistration.k8s.io", "rbac.authorization.k8s.io"
_WEB = "/api/v1/namespaces/web"
_LISTS: dict[str, list[dict[str, Any]]] = {
    f"{_WEB}/secrets": [named("key")],
    f"{_WEB}/serviceaccounts": [named("default"), named("shop")],
    f"{_WEB}/pods": [
        named("shop-1", status={"phase": "Running"}, spec={"nodeName": "k8ssec-1-worker", "containers": [{}]}),
        named("gone", status={"phase": "Succeeded"}, spec={"containers": [{}]}),
    ],
}


def walked(*rules: dict[str, Any], **options: Any) -> tuple[dict[str, list[Edge]], FakeApi]:
    """The edges by kind, and what was asked."""
    api = FakeApi(list(rules), lists=_LISTS, **options)
    found: dict[str, list[Edge]] = {}
    for edge in edges_by_rights(FakeCluster(api).suspect()):
        found.setdefault(edge.kind.name, []).append(edge)
    return found, api


def statuses(edges: list[Edge]) -> set[Status]:
    """How these edges are known."""
    return {edge.status for edge in edges}


def test_who_may_nothing_costs_a_handful_of_requests() -> None:
    """All is refuted by the list of rights, and the shortest way of all by a try."""
    found, api = walked()
    assert 2 == len(api.sent)
    assert {REFUTED} == {
        edge.status for kind, edges in found.items() for edge in edges if kind != "permission-discover"
    }
    assert {"secrets-get", "pod-exec", "pod-create", "kubelet-exec", "impersonate"} <= set(found)


def test_a_list_that_is_not_complete_refutes_nothing() -> None:
    """Then each way is tried, and the answers decide."""
    found, api = walked(incomplete=True)
    assert 40 < len(api.sent)
    assert {REFUTED} == statuses(found["pod-create"])
    assert all(edge.evidence.status == 403 for edges in found.values() for edge in edges if edge.status is REFUTED)


def test_cluster_admin_ends_the_search() -> None:
    """What is left to find is less than what was found."""
    path = to_cluster_admin(ServiceAccount("web", "shop")).path
    found, api = walked(rule("*", "*", group="*"), statuses={f"POST {path}": 201})
    assert [(CLUSTER_ADMIN, PROVEN)] == [(edge.target, edge.status) for edge in found["role-bind"]]
    assert 2 == len(api.sent)


@pytest.mark.parametrize(
    ("right", "kind", "targets"),
    [
        (rule("get", "secrets"), "secrets-get", {KEY}),
        (rule("list", "secrets"), "secrets-list", {KEY}),
        (rule("watch", "secrets"), "secrets-list", {KEY}),
        (rule("deletecollection", "secrets"), "secrets-list", {KEY}),
        (rule("patch", "secrets"), "secrets-get", {KEY}),
        (rule("create", "pods"), "pod-create", {Vertex(Kind.NAMESPACE, "web")}),
        (rule("patch", "deployments", group="apps"), "pod-patch", {Vertex(Kind.NAMESPACE, "web")}),
        (rule("create", "pods/exec"), "pod-exec", {Vertex(Kind.POD, "web/shop-1")}),
        (rule("patch", "pods/ephemeralcontainers"), "pod-patch", {Vertex(Kind.POD, "web/shop-1")}),
        (
            rule("create", "serviceaccounts/token"),
            "token-request",
            {ACCOUNT, Vertex(Kind.IDENTITY, "system:serviceaccount:web:default")},
        ),
        (
            rule("get", "nodes/proxy"),
            "kubelet-exec",
            {Vertex(Kind.KUBELET, "worker"), Vertex(Kind.KUBELET, "control-plane")},
        ),
    ],
)
def test_a_right_is_tried_and_leads_somewhere(right: dict[str, Any], kind: str, targets: set[Vertex]) -> None:
    """404 and 200 prove it; nothing else is open."""
    found, _ = walked(right, default=404)
    opened = {edge.target for edge in found[kind] if edge.status is PROVEN}
    assert targets == opened
    # The way to bind cluster-admin is always tried, and this API server answers 404 to everything.
    others = {edge.kind.name for edges in found.values() for edge in edges if edge.open}
    assert {kind, "permission-discover", "role-bind"} | (
        {"pod-privileged"} if targets == {Vertex(Kind.NAMESPACE, "web")} else set()
    ) == others


@pytest.mark.parametrize("names", [(), ("shop",)])
@pytest.mark.parametrize("verb", ["update", "patch"])
def test_who_changes_a_template_is_tried_for_a_privileged_pod(verb: str, names: tuple[str, ...]) -> None:
    """A controller makes the pod, so it is offered by our administrator: inferred."""
    right = {**rule(verb, "deployments", group="apps"), **({"resourceNames": list(names)} if names else {})}
    says = {f"POST {_WEB}/pods": 'pods "x" is forbidden: violates PodSecurity "baseline:latest": privileged'}
    for status, expected in ((201, INFERRED), (403, REFUTED)):
        found, api = walked(right, default=404, ours={f"POST {_WEB}/pods": status}, messages=says)
        assert {expected} == statuses(found["pod-privileged"])
        assert f"POST {_WEB}/pods" not in api.sent


def test_who_changes_pods_that_are_there_is_still_tried_for_their_makers() -> None:
    """The one gives another image, the other any pod: neither hides the other, or the privileged pod behind it."""
    pods, makers = rule("patch", "pods"), rule("patch", "deployments", group="apps")
    both, api = walked(pods, makers, default=404, ours={f"POST {_WEB}/pods": 201})
    assert "PATCH /apis/apps/v1/namespaces/web/deployments/k8ssec-no-such" in api.sent
    assert {INFERRED} == statuses(both["pod-privileged"])
    found, _ = walked(pods, default=404)
    assert "pod-privileged" not in found


def test_a_privileged_pod_is_offered_by_whoever_makes_pods() -> None:
    """Its own answer counts for its own pods."""
    found, api = walked(rule("create", "pods"), statuses={f"POST {_WEB}/pods": 201}, ours={f"POST {_WEB}/pods": 403})
    assert {PROVEN} == statuses(found["pod-privileged"])
    assert 2 == api.sent.count(f"POST {_WEB}/pods")


@pytest.mark.parametrize(
    ("right", "request_", "kind"),
    [
        (rule("get", "pods/exec"), f"GET {_WEB}/pods/k8ssec-no-such/exec", "pod-exec"),
        (rule("create", "nodes/proxy"), "POST /api/v1/nodes/k8ssec-1-worker/proxy/healthz", "kubelet-exec"),
        (
            rule("patch", "certificatesigningrequests/approval", group="certificates.k8s.io"),
            "PATCH /apis/certificates.k8s.io/v1/certificatesigningrequests/k8ssec-no-such/approval",
            "certificate-approve",
        ),
        (
            rule("update", "mutatingwebhookconfigurations", group=_HOOKS),
            f"PUT /apis/{_HOOKS}/v1/mutatingwebhookconfigurations/k8ssec-no-such",
            "webhook-create",
        ),
        (
            rule("patch", "validatingwebhookconfigurations", group=_HOOKS),
            f"PATCH /apis/{_HOOKS}/v1/validatingwebhookconfigurations/k8ssec-no-such",
            "webhook-create",
        ),
        (
            rule("update", "pods/ephemeralcontainers"),
            f"PUT {_WEB}/pods/k8ssec-no-such/ephemeralcontainers",
            "pod-patch",
        ),
    ],
)
def test_the_right_that_matters_is_tried_by_itself(right: dict[str, Any], request_: str, kind: str) -> None:
    """Whatever usually goes along with it: only an answer refutes it."""
    found, api = walked(right, statuses={request_: 404})
    assert request_ in api.sent
    assert any(edge.open for edge in found[kind])
    found, _ = walked(right)
    assert {REFUTED} == statuses(found[kind])


@pytest.mark.parametrize("verb", ["update", "patch"])
@pytest.mark.parametrize(
    ("matters", "what", "kind"),
    [
        ("escalate clusterroles", "clusterroles", "role-escalate"),
        ("bind clusterroles", "clusterrolebindings", "role-bind"),
    ],
)
def test_to_change_what_is_there_is_as_good_as_to_create(verb: str, matters: str, what: str, kind: str) -> None:
    """The dry run of a new one is refused; the API server is asked for the rest, so it is inferred."""
    right = rule(*matters.split(), group=_RBAC)
    found, _ = walked(right, rule(verb, what, group=_RBAC), may=(matters, f"{verb} {what}"))
    assert [(CLUSTER_ADMIN, INFERRED)] == [(edge.target, edge.status) for edge in found[kind] if edge.open]
    named_ = {**rule(verb, what, group=_RBAC), "resourceNames": ["that"]}
    found, _ = walked(right, named_, may=(matters, f"{verb} {what} that"))
    assert [(CLUSTER_ADMIN, INFERRED)] == [(edge.target, edge.status) for edge in found[kind] if edge.open]
    found, _ = walked(right, may=(matters,))
    assert {REFUTED} == statuses(found[kind])


def test_a_right_to_bind_one_role_is_enough() -> None:
    """It is listed by the role's name, and cluster-admin is the one that leads up."""
    bind = {**rule("bind", "clusterroles", group=_RBAC), "resourceNames": ["cluster-admin"]}
    may = ("bind clusterroles cluster-admin", "update clusterrolebindings")
    found, _ = walked(bind, rule("update", "clusterrolebindings", group=_RBAC), may=may)
    assert (CLUSTER_ADMIN, INFERRED) in [(edge.target, edge.status) for edge in found["role-bind"]]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ('pods "k8ssec-no-such" is forbidden: exceeded quota: small, requested: pods=1, used: pods=4, limited: pods=4', UNKNOWN),
        ('pods "k8ssec-no-such" is forbidden: failed quota: small: must specify requests.storage', UNKNOWN),
        ('pods "k8ssec-no-such" is forbidden: minimum cpu usage per Container is 1, but request is 5m', UNKNOWN),
        ('pods "k8ssec-no-such" is forbidden: violates PodSecurity "baseline:latest": privileged', REFUTED),
        ('admission webhook "validation.gatekeeper.sh" denied the request: [team] you must provide labels: {"team"}', UNKNOWN),
        ("pods \"k8ssec-no-such\" is forbidden: ValidatingAdmissionPolicy 'team' with binding 'team' denied request: no team", UNKNOWN),
        ('admission webhook "relay" denied the request: pods is forbidden: User "relay" cannot create resource "pods"', UNKNOWN),
        ("pods \"k8ssec-no-such\" is forbidden: ValidatingAdmissionPolicy 'a' denied request: forbidden: User \"a\" cannot get path ", UNKNOWN),
        ('pods "k8ssec-no-such" is forbidden: error looking up service account web/default: not found', UNKNOWN),
        ('pods is forbidden: User "system:serviceaccount:web:shop" cannot create resource "pods" in API group "" in the namespace "web"', REFUTED),
    ],
)  # fmt: skip
def test_only_who_refuses_the_right_or_any_such_pod_refutes(words: str, expected: Status) -> None:
    """Of a quota our twins take room, and a policy may want no more than a label: the next attacker's pod may have it."""
    found, _ = walked(
        rule("create", "pods"), statuses={f"POST {_WEB}/pods": 403}, messages={f"POST {_WEB}/pods": words}
    )
    assert {expected} == statuses(found["pod-create"])


@pytest.mark.parametrize(
    "words",
    [
        f'roles.rbac.authorization.k8s.io "x" is forbidden: user "{ACCOUNT.name}" (groups=["system:serviceaccounts" "system:',
        f'users "k8ssec-no-such" is forbidden: User "{ACCOUNT.name}" cannot impersonate resource "users" in API group "" at',
        f'clusterroles.rbac.authorization.k8s.io is forbidden: User "{ACCOUNT.name}" cannot create resource "clusterroles" in',
        f'forbidden: User "{ACCOUNT.name}" cannot get path "/logs"',
    ],
)
def test_the_authorizer_refutes(words: str) -> None:
    """An escalation too, whose words are cut off where an account's name is long."""
    assert REFUTED is _status(evidence(Outcome.HTTP, status=403, detail=words))


@pytest.mark.parametrize(("compliant", "expected"), [(201, REFUTED), (403, UNKNOWN)])
def test_a_webhook_refuses_privileges_where_it_lets_in_a_pod_without(compliant: int, expected: Status) -> None:
    """Where it refuses that one as well, it is about something else in what we offer."""
    says = 'admission webhook "guard.example.com" denied the request: no'

    class Guard(FakeApi):
        def request(
            self, method: str, path: str, *, body: Any = None, token: str | None = None, **more: Any
        ) -> Response:
            if token is None and method == "POST" and path == f"{_WEB}/pods":
                privileged = body["spec"]["containers"][0]["securityContext"].get("privileged")
                return Response(403 if privileged else compliant, {"kind": "Status", "message": says}, 1.0)
            return super().request(method, path, body=body, token=token, **more)

    api = Guard([rule("patch", "deployments", group="apps")], lists=_LISTS, default=404)
    found = [edge for edge in edges_by_rights(FakeCluster(api).suspect()) if edge.kind.name == "pod-privileged"]
    assert {expected} == statuses(found)


def test_a_right_that_is_listed_and_refused_is_refuted() -> None:
    """The list is where to look, the answer is what counts."""
    found, _ = walked(rule("get", "secrets"))
    assert {REFUTED} == statuses(found["secrets-get"])


def test_an_answer_that_says_nothing_is_unknown() -> None:
    """Neither too many requests nor a server's error is a denial."""
    found, _ = walked(rule("get", "secrets"), default=429)
    assert {UNKNOWN} == statuses(found["secrets-get"])


def test_rights_in_the_cluster_are_inferred_to_lead_on() -> None:
    """That an approved certificate makes an administrator is not tried."""
    right = rule("update", "certificatesigningrequests/approval", group="certificates.k8s.io")
    found, _ = walked(right, default=404)
    assert [INFERRED] == [edge.status for edge in found["certificate-approve"] if edge.open]


def test_rights_on_one_object_are_found_by_its_name() -> None:
    """A made-up name would be told 403."""
    secret = {**rule("get", "secrets"), "resourceNames": ["key"]}
    found, _ = walked(secret, statuses={f"GET {_WEB}/secrets/key": 200})
    assert [KEY] == [edge.target for edge in found["secrets-get"] if edge.status is PROVEN]
    execs = {**rule("create", "pods/exec"), "resourceNames": ["shop-1"]}
    found, _ = walked(execs, default=404)
    assert {PROVEN} == statuses([edge for edge in found["pod-exec"] if edge.target.kind is Kind.POD])


def test_rights_in_the_cluster_are_found_by_name_too() -> None:
    """Who may act as one user, by its name, may do what that one may."""
    found, _ = walked({**rule("impersonate", "users"), "resourceNames": ["admin"]}, default=404)
    assert INFERRED in statuses(found["impersonate"])
    found, _ = walked({**rule("impersonate", "users"), "resourceNames": ["admin"]})
    assert {REFUTED} == statuses(found["impersonate"])


def test_a_secret_may_hold_the_token_of_an_account() -> None:
    """Its annotation says whose, and no value is read."""
    token = {"metadata": {"name": "t", "annotations": {"kubernetes.io/service-account.name": "shop"}}}
    scene = FakeCluster(FakeApi(lists={f"{_WEB}/secrets": [token, named("key")]})).scene("web")
    assert [ACCOUNT] == [edge.target for edge in inferred.of_secret(scene, Vertex(Kind.SECRET, "web/t"))]
    assert [] == list(inferred.of_secret(scene, KEY))


def test_each_step_of_the_verb_matrix_is_a_kind_of_edge() -> None:
    """Nothing that rbac-escalation looks for leads nowhere here."""
    account = ServiceAccount("web", "shop")
    rules = [each for step in (*in_namespace(account, "web", "probe:1"), *in_cluster()) for each in step.rules]
    found, _ = walked(*rules, default=404)
    for kind in ("role-bind", "role-escalate", "pod-create", "pod-patch", "pod-exec", "token-request", "impersonate",
                 "certificate-approve", "webhook-create", "volume-create", "pod-privileged"):  # fmt: skip
        assert any(edge.open for edge in found[kind]), kind


def test_what_follows_from_placement_is_inferred() -> None:
    """A node has its pods, a control plane the cluster; a namespace its accounts and Secrets."""
    scene = FakeCluster(FakeApi(lists=_LISTS)).scene("web")
    worker, master = Vertex(Kind.NODE, "worker"), Vertex(Kind.NODE, "control-plane")
    assert Vertex(Kind.POD, "web/shop-1") in {edge.target for edge in inferred.of_node(scene, worker)}
    assert CLUSTER_ADMIN not in {edge.target for edge in inferred.of_node(scene, worker)}
    assert CLUSTER_ADMIN in {edge.target for edge in inferred.of_node(scene, master)}
    inside = list(inferred.of_namespace(scene, Vertex(Kind.NAMESPACE, "web")))
    assert {KEY, ACCOUNT} <= {edge.target for edge in inside}
    assert {INFERRED} == statuses(inside)


def placed(name: str, node: str, namespace: str = "kube-system", **spec: Any) -> dict[str, Any]:
    """A running pod of a DaemonSet's."""
    owner = {"kind": "DaemonSet", "name": name, "controller": True}
    return {
        "metadata": {"name": f"{name}-{node}", "namespace": namespace, "ownerReferences": [owner]},
        "spec": {"nodeName": f"k8ssec-1-{node}", "containers": [{}], **spec},
        "status": {"phase": "Running"},
    }


@pytest.mark.parametrize(
    "spec",
    [
        {"hostPID": True},
        {"volumes": [{"name": "logs", "hostPath": {"path": "/var/log"}}]},
        {"containers": [{}, {"securityContext": {"privileged": True}}]},
    ],
)
def test_a_pod_that_owns_its_node_leads_there_and_to_no_other(spec: dict[str, Any]) -> None:
    """From a node or its kubelet to that node's pod alone; who may command any of its pods has all their nodes."""
    pods = [placed("agent", node, **spec) for node in ("worker", "control-plane")]
    scene = FakeCluster(FakeApi(lists={"/api/v1/namespaces/kube-system/pods": pods})).scene("web")
    (there,) = (edge.target for edge in inferred.of_kubelet(scene, Vertex(Kind.KUBELET, "worker")))
    assert {("pod-owns", NODE)} == {(edge.kind.name, edge.target) for edge in inferred.inferred_from_pod(scene, there)}
    every = {edge.target for edge in inferred.inferred_from_pod(scene, Vertex(Kind.POD, "kube-system/agent"))}
    assert {NODE, Vertex(Kind.NODE, "control-plane")} == every


def test_a_pod_that_owns_nothing_leads_to_no_node() -> None:
    """It has neither files nor processes of its node, and no privileges."""
    pods = [placed("dns", "worker")]
    scene = FakeCluster(FakeApi(lists={"/api/v1/namespaces/kube-system/pods": pods})).scene("web")
    assert [] == list(inferred.inferred_from_pod(scene, Vertex(Kind.POD, "kube-system/dns")))


def test_a_certificate_of_any_node_is_a_node_and_what_their_pods_have() -> None:
    """So it counts against the budget of nodes, and leads on by the accounts of pods."""
    token = {"name": "token", "projected": {"sources": [{"serviceAccountToken": {}}]}}
    pods = [placed("shop", "worker", "web", serviceAccountName="shop", volumes=[token])]
    scene = FakeCluster(FakeApi(lists={f"{_WEB}/pods": pods})).scene("web")
    found = {edge.target for edge in inferred.inferred_from_identity(scene, Vertex(Kind.IDENTITY, "any node"))}
    assert {Kind.NODE, Kind.IDENTITY} == {target.kind for target in found}
    assert ACCOUNT in found
    own = Vertex(Kind.IDENTITY, "system:node:worker")
    assert [ACCOUNT] == [edge.target for edge in inferred.inferred_from_identity(scene, own)]
    assert [] == list(inferred.inferred_from_identity(scene, Vertex(Kind.IDENTITY, "system:node:control-plane")))


def test_who_may_bind_any_role_is_as_good_as_an_administrator() -> None:
    """Reviewed for accounts that are not the stack's."""
    scene = FakeCluster(FakeApi(may=("bind clusterroles",))).scene()
    assert [CLUSTER_ADMIN] == [edge.target for edge in inferred.inferred_from_identity(scene, ACCOUNT)]


def test_a_powerful_account_that_is_not_the_stacks_is_inferred_to_be_one() -> None:
    """By our administrator's review, as no token of it was found."""
    scene = FakeCluster(FakeApi(powerful=(ACCOUNT.name,))).scene()
    assert [CLUSTER_ADMIN] == [edge.target for edge in inferred.inferred_from_identity(scene, ACCOUNT)]
    assert [] == list(inferred.inferred_from_identity(FakeCluster().scene(), ACCOUNT))


def test_pods_are_named_after_what_made_them() -> None:
    """A pod's own name differs between runs, and so does a node's."""
    owned = [
        (
            "shop-7d9f-x2",
            {"kind": "ReplicaSet", "name": "shop-7d9f", "controller": True},
            {"pod-template-hash": "7d9f"},
        ),
        ("etcd-k8ssec-1-control-plane", {"kind": "Node", "name": "n", "controller": True}, {}),
        ("proxy-abcde", {"kind": "DaemonSet", "name": "proxy", "controller": True}, {}),
    ]
    items = [
        {
            "metadata": {"name": name, "namespace": "web", "ownerReferences": [owner], "labels": labels},
            "spec": {"nodeName": "k8ssec-1-control-plane", "containers": [{}]},
            "status": {"phase": "Running"},
        }
        for name, owner, labels in owned
    ]
    scene = FakeCluster(FakeApi(lists={f"{_WEB}/pods": items})).scene("web")
    assert ["web/shop", "web/etcd", "web/proxy"] == [pod.vertex.name for pod in scene.pods("web")]
    assert 3 == len(scene.pods_on("control-plane"))


_MANY = ("web", "default", "kube-system", *(f"team-{number}" for number in range(30)))
_READS = [rule("get", "secrets")]
_GIVEN = {"team-7": _READS}
_BOUND: dict[str, list[dict[str, Any]]] = {
    f"/apis/{_RBAC}/v1/roles": [named("reader", "team-7", rules=[rule("get", "secrets")])],
    f"/apis/{_RBAC}/v1/rolebindings": [
        named(
            "shop",
            "team-7",
            roleRef={"kind": "Role", "name": "reader"},
            subjects=[{"kind": "ServiceAccount", "name": "shop", "namespace": "web"}],
        )
    ],
    "/api/v1/namespaces/team-7/secrets": [named("key", "team-7")],
}


class _ByNamespace(FakeApi):
    """Lists other rules in some namespaces."""

    given: dict[str, list[dict[str, Any]]]
    partly: tuple[str, ...] = ()
    asked: list[str]

    def request(self, method: str, path: str, *, body: Any = None, token: str | None = None, **more: Any) -> Response:
        if path.endswith("selfsubjectrulesreviews"):
            namespace = body["spec"]["namespace"]
            self.asked.append(namespace)
            told = {"resourceRules": self.given.get(namespace, []), "incomplete": namespace in self.partly}
            return Response(201, {"status": told}, 1.0)
        return super().request(method, path, body=body, token=token, **more)


def _among_many(
    given: dict[str, list[dict[str, Any]]],
    lists: dict[str, list[dict[str, Any]]],
    *,
    partly: tuple[str, ...] = (),
    seed: int | None = 13,
    token: str = "token",
    **options: Any,
) -> tuple[set[Vertex], list[str], dict[str, int]]:
    """The Secrets that are got, in which namespaces the API server was asked for the rules, and in how many if not in all."""
    api = _ByNamespace(
        lists=lists, statuses={f"GET /api/v1/namespaces/{each}/secrets/k8ssec-no-such": 404 for each in given}
    )
    api.given, api.partly, api.asked = given, partly, []
    suspect = FakeCluster(api).suspect(**options)
    suspect.identity = replace(suspect.identity, token=token)
    suspect.scene.namespaces, suspect.scene.seed = _MANY, seed
    suspect.meter = Meter(Bounds(requests=9999, per_second=1e6))
    found = {edge.target for edge in edges_by_rights(suspect) if edge.kind.name == "secrets-get" and edge.open}
    return found, api.asked, suspect.scene.asked_in


def test_of_many_namespaces_some_of_each_class_are_asked() -> None:
    """Of those in which RBAC's objects give the same rules two, besides those that every cluster has; and that is noted."""
    found, asked, noted = _among_many(_GIVEN, _BOUND)
    assert found == {Vertex(Kind.SECRET, "team-7/key")}
    assert {"web", "default", "kube-system", "team-7"} <= set(asked)
    assert len(asked) == len(set(asked)) <= 6
    assert noted == {ACCOUNT.name: len(asked)}
    drawn = {tuple(_among_many(_GIVEN, _BOUND, seed=seed)[1]) for seed in range(9)}
    assert len(drawn) > 3, "another seed asks in others"


@pytest.mark.parametrize(
    ("given", "lists", "options", "keys"),
    [
        ({}, _BOUND, {}, set()),
        (_GIVEN, _BOUND, {"partly": ("web",)}, {"team-7/key"}),
        (_GIVEN, _BOUND, {"believing": False}, {"team-7/key"}),
        (_GIVEN, _BOUND, {"seed": None}, {"team-7/key"}),
        ({"kube-system": _READS}, {"/api/v1/namespaces/kube-system/secrets": [named("ca", "kube-system")]}, {},
         {"kube-system/ca"}),
        ({"web": _READS}, {"/api/v1/namespaces/web/secrets": [named("own")]}, {}, {"web/own"}),
    ],
    ids=["not what is bound", "not all listed", "not believed", "nothing by class", "beside RBAC", "beside RBAC, at home"],
)  # fmt: skip
def test_where_the_lists_say_something_else_each_namespace_is_asked(
    given: dict[str, list[dict[str, Any]]],
    lists: dict[str, list[dict[str, Any]]],
    options: dict[str, Any],
    keys: set[str],
) -> None:
    """An authorizer beside RBAC, or one that can't list, gives what no object of RBAC tells. No question is asked twice."""
    found, asked, noted = _among_many(given, lists, **options)
    assert sorted(_MANY) == sorted(asked)
    assert keys == {each.name for each in found}
    assert not noted


def test_who_shows_a_certificate_is_asked_in_each_namespace() -> None:
    """It may say that somebody with an account's name is in other groups than accounts are."""
    _, asked, _ = _among_many(_GIVEN, _BOUND, token="")
    assert sorted(_MANY) == sorted(asked)
