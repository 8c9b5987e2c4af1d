"""What the table of further rights leads to: each row an edge, by the authorizer's own words, and nothing by a wrong list."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_k8ssec.attack import further
from pytest_k8ssec.attack.further import edges_by_table, kind_of_way, of_role
from pytest_k8ssec.attack.graph import Edge, Kind, Status, Vertex
from pytest_k8ssec.attack.kinds import KINDS
from pytest_k8ssec.attack.meter import Bounds, Meter
from pytest_k8ssec.attack.rights import edges_by_rights
from pytest_k8ssec.attack.weak_pod import SHOWN_BY_RIGHTS
from pytest_k8ssec.clusters.rbac_objects import RBAC, rule
from pytest_k8ssec.probes.rights_table import further_ways
from tests.unit.attack.graphs import ACCOUNT, INFERRED, KEY, PROVEN, REFUTED, UNKNOWN, FakeApi, FakeCluster, named

_WEB = "/api/v1/namespaces/web"
_NETWORK = "networking.k8s.io"
_POLICIES = f"/apis/{_NETWORK}/v1/namespaces/web/networkpolicies"
_HOOKS = "admissionregistration.k8s.io"
_ROLES = f"/apis/{RBAC}/v1/namespaces/web/roles"
_LISTS: dict[str, list[dict[str, Any]]] = {
    f"{_WEB}/secrets": [named("key")],
    f"{_WEB}/serviceaccounts": [named("default"), named("shop")],
    f"{_WEB}/services": [named("front")],
    f"{_WEB}/pods": [
        named("shop-1", status={"phase": "Running"}, spec={"nodeName": "k8ssec-1-worker", "containers": [{}]}),
    ],
    _ROLES: [named("reader", rules=[rule("get", "secrets"), rule("create", "pods")]), named("idle")],
}
_UNDO = Vertex(Kind.POWER, "undo what NetworkPolicies keep out, in web")


def found_by(*rules: dict[str, Any], place: str = "web", **options: Any) -> tuple[list[Edge], FakeApi]:
    """The edges by the table, and what was asked, by an API server that may do more than it lists."""
    api = FakeApi(list(rules), lists=_LISTS, **options)
    suspect = FakeCluster(api).suspect()
    suspect.scene.namespaces = (place,)
    before = [*edges_by_rights(suspect)]
    return [*edges_by_table(suspect, before)], api


def opened(edges: list[Edge]) -> set[tuple[str, Vertex, Status]]:
    """Those that an attacker may use."""
    return {(edge.kind.name, edge.target, edge.status) for edge in edges if edge.open}


@pytest.mark.parametrize("place", ["web", "kube-system", ""])
def test_each_row_is_a_kind_of_edge_that_our_canary_finds(place: str) -> None:
    """And is looked for by a control, with a fix."""
    for way in further_ways(place):
        kind = KINDS[kind_of_way(way)]
        assert kind.name in SHOWN_BY_RIGHTS
        assert kind.fix
        assert kind.controls


@pytest.mark.parametrize(
    ("right", "request_", "edge"),
    [
        (rule("delete", "networkpolicies", group=_NETWORK), f"DELETE {_POLICIES}/k8ssec-no-such", ("defence-undo", _UNDO, PROVEN)),
        (rule("patch", "networkpolicies", group=_NETWORK), f"PATCH {_POLICIES}/k8ssec-no-such", ("defence-undo", _UNDO, PROVEN)),
        (
            rule("create", "pods/attach"), f"POST {_WEB}/pods/k8ssec-no-such/attach",
            ("pod-attach", Vertex(Kind.ENDPOINT, "web/shop-1:its process"), PROVEN),
        ),
        (
            rule("get", "pods/portforward"), f"GET {_WEB}/pods/k8ssec-no-such/portforward",
            ("api-proxy", Vertex(Kind.ENDPOINT, "web/shop-1:any port"), PROVEN),
        ),
        (
            rule("get", "services/proxy"), f"GET {_WEB}/services/k8ssec-no-such/proxy",
            ("api-proxy", Vertex(Kind.ENDPOINT, "web/service front:any port"), PROVEN),
        ),
        (
            rule("patch", "nodes/proxy"), "PATCH /api/v1/nodes/k8ssec-no-such/proxy",
            ("api-proxy", Vertex(Kind.ENDPOINT, "node worker:any port"), PROVEN),
        ),
        (
            rule("delete", "validatingwebhookconfigurations", group=_HOOKS),
            f"DELETE /apis/{_HOOKS}/v1/validatingwebhookconfigurations/k8ssec-no-such",
            ("defence-undo", Vertex(Kind.POWER, "undo what a ValidatingWebhookConfiguration does"), PROVEN),
        ),
        (
            rule("create", "customresourcedefinitions", group="apiextensions.k8s.io"),
            "POST /apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            ("api-answer", Vertex(Kind.POWER, "see objects by a conversion webhook, or undo a kind"), INFERRED),
        ),
    ],
)  # fmt: skip
def test_a_right_is_tried_and_leads_somewhere(
    right: dict[str, Any], request_: str, edge: tuple[str, Vertex, Status]
) -> None:
    """Only an answer opens it: without one it is refuted, though it is listed."""
    edges, api = found_by(right, statuses={request_: 404})
    assert request_ in api.sent
    assert edge in opened(edges)
    assert set() == opened(found_by(right)[0])
    assert REFUTED in {each.status for each in found_by(right)[0] if each.kind.name == edge[0]}


@pytest.mark.parametrize(
    ("rights", "may", "edge"),
    [
        (
            (rule("patch", "mutatingadmissionpolicies", group=_HOOKS),), ("patch mutatingadmissionpolicies",),
            ("policy-write", Vertex(Kind.API_SERVER), INFERRED),
        ),
        (
            (rule("bind", "roles", group=RBAC), rule("patch", "rolebindings", group=RBAC)), ("bind roles", "patch rolebindings"),
            ("role-take", Vertex(Kind.ROLE, "web/reader"), INFERRED),
        ),
    ],
)  # fmt: skip
def test_what_is_asked_for_leads_somewhere(
    rights: tuple[dict[str, Any], ...], may: tuple[str, ...], edge: tuple[str, Vertex, Status]
) -> None:
    """By the API server's own word, and each of the rights that it takes."""
    assert edge in opened(found_by(*rights, may=may)[0])
    for left in may:
        assert edge not in opened(found_by(*rights, may=tuple(each for each in may if each != left))[0])


def test_a_right_to_bind_one_role_leads_to_that_one() -> None:
    """Not to its neighbours."""
    bind = {**rule("bind", "roles", group=RBAC), "resourceNames": ["idle"]}
    edges, _ = found_by(bind, rule("patch", "rolebindings", group=RBAC), may=("bind roles idle", "patch rolebindings"))
    assert {Vertex(Kind.ROLE, "web/idle")} == {target for kind, target, _ in opened(edges) if kind == "role-take"}


def test_who_makes_and_reads_secrets_has_each_account() -> None:
    """To make one is not enough."""
    rules, made = (rule("create", "secrets"), rule("watch", "secrets")), {f"POST {_WEB}/secrets": 201}
    other = Vertex(Kind.IDENTITY, "system:serviceaccount:web:default")
    edges, _ = found_by(*rules, statuses=made, may=("watch secrets",))
    assert {("token-make", ACCOUNT, INFERRED), ("token-make", other, INFERRED)} == opened(edges)
    assert set() == opened(found_by(*rules, statuses=made)[0])


@pytest.mark.parametrize(
    ("name", "edge"),
    [
        ("shop-1", ("api-proxy", Vertex(Kind.ENDPOINT, "web/shop-1:any port"), INFERRED)),
        ("gone", None),
    ],
)
def test_one_object_by_its_name(name: str, edge: tuple[str, Vertex, Status] | None) -> None:
    """It is asked for, and leads to that one alone."""
    right = {**rule("create", "pods/portforward"), "resourceNames": [name]}
    edges, _ = found_by(right, may=(f"create pods/portforward {name}",))
    assert ({edge} if edge else set()) == opened(edges)


def test_the_names_are_answered_by_one_object() -> None:
    """coredns in kube-system; what it leads to says so."""
    right = {**rule("patch", "configmaps"), "resourceNames": ["coredns"]}
    path = "PATCH /api/v1/namespaces/kube-system/configmaps/coredns"
    edges, _ = found_by(right, place="kube-system", statuses={path: 200})
    power = Vertex(Kind.POWER, "answer everybody's questions for names, in kube-system")
    assert {("api-answer", power, INFERRED)} == opened(edges)


def test_a_list_that_is_wrong_is_found_out() -> None:
    """One row that it does not grant is tried all the same, and where that gets through, all are."""
    edges, api = found_by(default=404)
    by_list, _ = found_by()
    kinds = {kind_of_way(way) for place in ("web", "") for way in further_ways(place)}
    assert kinds | {"pod-create", "pod-exec", "secrets-get", "impersonate"} <= {kind for kind, _, _ in opened(edges)}
    assert set() == opened(by_list)
    assert kinds == {edge.kind.name for edge in by_list if edge.status is REFUTED}
    assert len(api.sent) > 20


def test_places_with_the_same_rules_are_checked_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of whichever class they are; where that one says that the list is wrong, each place is tried."""
    api = FakeApi(lists=_LISTS)
    suspect = FakeCluster(api).suspect()
    suspect.scene.namespaces = tuple(f"team-{number}" for number in range(20))
    suspect.meter = Meter(Bounds(requests=10_000, per_second=1e6))
    before = [*edges_by_rights(suspect)]
    sent = len(api.sent)
    assert not opened([*edges_by_table(suspect, before)])
    assert 2 == len(api.sent) - sent
    monkeypatch.setattr(api, "default", 404)
    powers = {target.name for kind, target, _ in opened([*edges_by_table(suspect, before)]) if kind == "defence-undo"}
    assert {f"undo what NetworkPolicies keep out, in team-{number}" for number in range(20)} <= powers


def test_who_may_nothing_costs_one_request_in_each_place() -> None:
    """In a namespace, and in the cluster."""
    _, api = found_by()
    assert 2 + 2 >= len(api.sent)


def test_admission_is_no_authorizer() -> None:
    """Behind its 403 the right may be there: unknown, and never refuted."""
    request = f"DELETE {_POLICIES}/k8ssec-no-such"
    says = {request: "networkpolicies is forbidden: ValidatingAdmissionPolicy 'no' denied request: no"}
    edges, _ = found_by(rule("delete", "networkpolicies", group=_NETWORK), messages=says)
    assert UNKNOWN in {edge.status for edge in edges if edge.kind.name == "defence-undo"}


def test_several_rights_to_one_end_are_asked_for_once() -> None:
    """The first that is there is enough."""
    rights = [rule(verb, "networkpolicies", group=_NETWORK) for verb in ("patch", "delete", "deletecollection")]
    edges, api = found_by(*rights, statuses={f"PATCH {_POLICIES}/k8ssec-no-such": 404})
    assert ("defence-undo", _UNDO, PROVEN) in opened(edges)
    assert f"DELETE {_POLICIES}/k8ssec-no-such" not in api.sent


@pytest.mark.parametrize("relabels", [True, False])
@pytest.mark.parametrize("makes", ["create pods", "patch deployments apps"])
def test_who_makes_pods_and_lowers_the_level_has_the_nodes(makes: str, relabels: bool) -> None:
    """Pod Security refuses a privileged pod as long as nobody undoes it."""
    verb, resource, *group = makes.split()
    offers = {f"POST {_WEB}/pods": 'pods "x" is forbidden: violates PodSecurity "baseline:latest": privileged'}
    made = {"POST": f"POST {_WEB}/pods", "patch": "PATCH /apis/apps/v1/namespaces/web/deployments/k8ssec-no-such"}
    rights = [rule(verb, resource, group="".join(group)), *([rule("patch", "namespaces")] if relabels else [])]

    class Guarded(FakeApi):
        def request(self, method: str, path: str, *, body: Any = None, token: str | None = None, **more: Any) -> Any:
            privileged = "'privileged': True" in str(body)
            self.messages = offers if privileged else {}
            self.statuses = {made["patch"]: 404, "PATCH /api/v1/namespaces/web": 200 if relabels else 403}
            self.statuses[made["POST"]] = 403 if privileged else 201
            self.ours = {made["POST"]: 403 if privileged else 201}
            return super().request(method, path, body=body, token=token, **more)

    suspect = FakeCluster(Guarded(rights, lists=_LISTS)).suspect()
    before = [*edges_by_rights(suspect)]
    assert REFUTED in {edge.status for edge in before if edge.kind.name == "pod-privileged"}
    edges = [*edges_by_table(suspect, before)]
    nodes = {target.name for kind, target, _ in opened(edges) if kind == "pod-privileged"}
    assert ({"worker", "control-plane"} if relabels else set()) == nodes


def test_a_role_gives_what_its_rules_say() -> None:
    """All of it inferred; one without rules gives nothing."""
    scene = FakeCluster(FakeApi(lists=_LISTS)).scene()
    role = Vertex(Kind.ROLE, "web/reader")
    edges = [*of_role(scene, role)]
    expected = {("secrets-get", KEY, INFERRED), ("pod-create", Vertex(Kind.NAMESPACE, "web"), INFERRED)}
    assert expected == opened(edges)
    assert [] == [*of_role(scene, Vertex(Kind.ROLE, "web/idle"))]


def test_who_is_cluster_admin_is_asked_no_more() -> None:
    """What is left to find is less."""
    suspect = FakeCluster(FakeApi(lists=_LISTS)).suspect()
    assert not suspect.rules
    assert [] == [*further.edges_by_table(suspect, [])]
