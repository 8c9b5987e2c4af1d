"""What came with a stack: each object once, with its origin; what is somebody else's, the cluster's or ours is not among it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from pytest_k8ssec.clusters.api import FIELD_MANAGER, KubeApi, Response
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.stack import Resource, Stack
from pytest_k8ssec.stack.found import footprint
from pytest_k8ssec.stack.found.footprint import Before, Footprint
from pytest_k8ssec.stack.found.listing import Listing, list_objects
from pytest_k8ssec.stack.found.unlisted import tell_unlisted
from pytest_k8ssec.stack.types import RELEASE
from pytest_k8ssec.verdict import Judge, Verdict

_KINDS = {
    "v1": {
        "Pod": "pods", "Namespace": "namespaces", "ServiceAccount": "serviceaccounts", "ConfigMap": "configmaps",
        "Secret": "secrets", "Node": "nodes", "Event": "events",
    },
    "apps/v1": {"Deployment": "deployments", "ReplicaSet": "replicasets"},
    "rbac.authorization.k8s.io/v1": {"RoleBinding": "rolebindings"},
    "db.example.dev/v1": {"Database": "databases"},
}  # fmt: skip
_CLUSTER_SCOPED = ("Namespace", "Node")
_URN = "urn:pulumi:dev::shop::{}::{}"


@dataclass
class _Api:
    """A cluster of metadata; a kind may answer with a status instead, and an API may be down."""

    objects: list[dict[str, Any]] = field(default_factory=list)
    broken: dict[str, int] = field(default_factory=dict)
    """By plural, or by path."""
    down: tuple[str, ...] = ()
    numbers: Any = field(default_factory=itertools.count)
    asked: list[str] = field(default_factory=list)
    created: set[str] = field(default_factory=set)

    def add(self, kind: str, name: str, namespace: str = "web", *, by: str = "some-operator", owner: Any = None,
            **more: Any) -> dict[str, Any]:  # fmt: skip
        """Create an object; ``owner`` is another one, or that and whether it is its controller."""
        version = next(version for version, kinds in _KINDS.items() if kind in kinds)
        meta = {"name": name, "uid": f"uid-{next(self.numbers)}", "managedFields": [{"manager": by}], **more}
        if kind not in _CLUSTER_SCOPED:
            meta["namespace"] = namespace
        if owner is not None:
            above, controls = owner if isinstance(owner, tuple) else (owner, True)
            meta["ownerReferences"] = [
                {
                    "apiVersion": above["apiVersion"], "kind": above["kind"], "name": above["metadata"]["name"],
                    "uid": above["metadata"]["uid"], "controller": controls,
                }
            ]  # fmt: skip
        made = {"apiVersion": version, "kind": kind, "metadata": meta}
        self.objects.append(made)
        return made

    def path(self, version: str, kind: str, namespace: str = "", name: str = "") -> str:
        if kind not in _KINDS.get(version, {}):
            raise ClusterError(f"{kind}: the API server does not serve it")
        scope = f"/namespaces/{namespace}" if namespace and kind not in _CLUSTER_SCOPED else ""
        return f"{_root(version)}{scope}/{_KINDS[version][kind]}" + (f"/{name}" if name else "")

    def request(
        self, _method: str, path: str, *, params: Mapping[str, str] | None = None, headers: Any = None
    ) -> Response:
        self.asked.append(path)
        if path in ("/api", "/apis"):
            return Response(200, {"items": list(self._groups(path == "/api"))}, 1)
        if status := self.broken.get(path) or self.broken.get(path.rpartition("/")[2]):
            return Response(status, {"kind": "Status", "reason": "Broken"}, 1)
        for each in self.objects:
            meta = each["metadata"]
            if path == self.path(each["apiVersion"], each["kind"], meta.get("namespace", ""), meta["name"]):
                spec: dict[str, Any] = {"template": {"spec": {"containers": []}}, "containers": []}
                if each["kind"] != "Pod":
                    spec["selector"] = {"matchLabels": {"app": meta["name"]}}
                return Response(200, {**each, "spec": spec, "status": {}}, 1)
        for version, kinds in _KINDS.items():
            for kind, plural in kinds.items():
                if path == f"{_root(version)}/{plural}":
                    assert "PartialObjectMetadataList" in headers["Accept"], "nobody needs a Secret's contents"
                    return self._page([one for one in self.objects if one["kind"] == kind], params or {})
        return Response(404, {}, 1)

    def list(self, path: str, **_: Any) -> Any:
        """Pods, as far as accounts are read of them."""
        assert path.endswith("/pods")
        return [{**one, "spec": {}, "status": {}} for one in self.objects if one["kind"] == "Pod"]

    def _page(self, found: Sequence[dict[str, Any]], params: Mapping[str, str]) -> Response:
        """Two at a time."""
        start = int(params.get("continue", 0))
        more = {"continue": str(start + 2)} if len(found) > start + 2 else {}
        return Response(
            200, {"items": [{"metadata": one["metadata"]} for one in found[start : start + 2]], "metadata": more}, 1
        )

    def _groups(self, core: bool) -> Any:
        for version, kinds in _KINDS.items():
            group, _, number = version.rpartition("/")
            if bool(group) is core:
                continue
            resources = [
                {
                    "resource": plural, "responseKind": {"kind": kind}, "verbs": ["list", "get"],
                    "scope": "Cluster" if kind in _CLUSTER_SCOPED else "Namespaced",
                }
                for kind, plural in kinds.items()
            ]  # fmt: skip
            yield {
                "metadata": {"name": group} if group else {},
                "versions": [{"version": number, "resources": resources}],
            }
        for version in () if core else self.down:
            group, _, number = version.rpartition("/")
            yield {"metadata": {"name": group}, "versions": [{"version": number, "freshness": "Stale"}]}


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _declared(type_: str, name: str, namespace: str = "web", **more: Any) -> Resource:
    return Resource(_URN.format(type_, name), f"kubernetes:{type_}", name, namespace, **more)


_SPACE = _declared("core/v1:Namespace", "web", "")
_SHOP = _declared("apps/v1:Deployment", "shop")
_ORDERS = _declared("db.example.dev/v1:Database", "orders")


def _before(api: _Api, kept: Path | None = None) -> Before:
    made = Before(cast("KubeApi", api), kept)
    made.wait()
    return made


def _stack(api: _Api, *declared: Resource, before: Before | None = None) -> Stack:
    found = Footprint(cast("KubeApi", api), declared, before)
    found.measure()
    return Stack("dev", "shop", {}, declared, before is not None, 1.0, cast("KubeApi", api), footprint=found)


def _came(stack: Stack) -> dict[str, str]:
    return {str(one): str(one.origin) for one in stack.objects if str(one.origin) != "declared"}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for operators."""
    monkeypatch.setattr(footprint, "_QUIET", 0.0)


def test_what_came_is_told_with_its_origin() -> None:
    """Of an operator by an owner reference or without one, of Kubernetes' controllers, of a hook; the rest is not the stack's."""
    api = _Api()
    dns = api.add("ReplicaSet", "coredns-1", "kube-system", by="kube-controller-manager")
    theirs = api.add("Database", "theirs", "elsewhere")
    before = _before(api)
    api.add("Namespace", "web", by="pulumi")
    shop = api.add("Deployment", "shop", by="pulumi")
    replicas = api.add("ReplicaSet", "shop-1", owner=shop, by="kube-controller-manager")
    api.add("Pod", "shop-1-a", owner=replicas, by="kube-controller-manager")
    orders = api.add("Database", "orders", by="pulumi")
    api.add("Deployment", "orders", owner=orders)
    api.add("RoleBinding", "orders", by="OpenAPI-Generator")
    api.add("ServiceAccount", "orders", "elsewhere")
    api.add("ConfigMap", "left", annotations={"helm.sh/hook": "pre-install"})
    api.add("ConfigMap", "kube-root-ca.crt", by="kube-controller-manager")
    api.add("ServiceAccount", "default", by="kube-controller-manager")
    api.add("Pod", "coredns-1-b", "kube-system", owner=dns, by="kube-controller-manager")
    api.add("Deployment", "theirs", "elsewhere", owner=theirs)
    api.add("Pod", "helper-pod", "local-path-storage", by="local-path-provisioner")
    node = api.add("Node", "worker", by="kubectl-label")
    api.add("Pod", "kube-proxy-worker", "kube-system", owner=node, by="kubelet")
    stack = _stack(api, _SPACE, _SHOP, _ORDERS, before=before)
    assert _came(stack) == {
        "ReplicaSet web/shop-1": "of a controller",
        "Pod web/shop-1-a": "of a controller",
        "Deployment web/orders": "of an operator",
        "RoleBinding web/orders": "of an operator",
        "ServiceAccount elsewhere/orders": "of an operator",
        "ConfigMap web/left": "of a Helm hook",
    }
    assert stack.namespaces == ("web", "elsewhere")


def test_what_an_operator_made_is_judged_like_what_is_declared() -> None:
    """Its workloads and accounts count once each, whenever it makes them; a pod of a workload counts with that."""
    api = _Api()
    before = _before(api)
    shop = api.add("Deployment", "shop", by="pulumi")
    stack = _stack(api, _SHOP, before=before)
    replicas = api.add("ReplicaSet", "shop-1", owner=shop)
    api.add("Pod", "shop-1-a", owner=replicas)
    late = api.add("Deployment", "late", owner=(shop, False))
    api.add("Pod", "late-1", owner=(late, True))
    api.add("Pod", "shop-helper", owner=(replicas, False))
    api.add("ServiceAccount", "late")
    assert sorted(str(one) for one in stack.workloads()) == [
        "Deployment web/late (of an operator)",
        "Deployment web/shop",
        "Pod web/late-1 (of an operator)",  # no controller makes a pod of a Deployment
        "Pod web/shop-helper (of an operator)",  # nor one that it does not control
    ]
    assert "web/late" in {str(one) for one in stack.identities()}
    api.broken = {"/apis/apps/v1/namespaces/web/deployments/late": 404}  # it goes between two requests
    assert "Deployment web/late (of an operator)" not in {str(one) for one in stack.workloads()}


def test_what_this_package_makes_is_ours() -> None:
    """In whatever process; what is in a namespace of ours as well, and what somebody else has written too is not."""
    api = _Api()
    before = _before(api)
    space = api.add("Namespace", "k8ssec-attacker", by=FIELD_MANAGER)
    api.add("Pod", "made-by-the-agent", space["metadata"]["name"], by="Python-urllib")
    twin = api.add("ConfigMap", "ours", by=FIELD_MANAGER)
    api.add("Pod", "twin", owner=twin, by=FIELD_MANAGER)
    bare = api.add("ServiceAccount", "of-no-fields", managedFields=[])
    api.created.add(bare["metadata"]["uid"])
    both = api.add("Pod", "theirs", by="some-operator")
    both["metadata"]["managedFields"].append({"manager": FIELD_MANAGER})
    assert list(_came(_stack(api, _SHOP, before=before))) == ["Pod web/theirs"]


def test_on_a_cluster_that_is_read_owners_and_marks_tell() -> None:
    """Nobody knows what was there before: without a reference or a mark it may be anybody's."""
    api = _Api()
    orders = api.add("Database", "orders")
    theirs = api.add("Database", "theirs")
    api.add("Deployment", "orders", owner=orders)
    api.add("Deployment", "theirs", owner=theirs)
    api.add("Deployment", "nobodys")
    api.add("ServiceAccount", "gone", owner={**orders, "metadata": {"name": "orders", "uid": "of another one"}})
    marks = {"meta.helm.sh/release-name": "broker", "meta.helm.sh/release-namespace": "web"}
    api.add("Deployment", "broker", annotations=marks)
    api.add("Deployment", "other", annotations={**marks, "meta.helm.sh/release-namespace": "other"})
    api.add("Secret", "sh.helm.release.v1.broker.v1", labels={"owner": "helm", "name": "broker"})
    release = Resource(_URN.format(RELEASE, "broker"), RELEASE, "broker", "web")
    assert _came(_stack(api, _ORDERS, release)) == {
        "Secret web/sh.helm.release.v1.broker.v1": "of a Helm Release",
        "Deployment web/orders": "of an operator",
        "Deployment web/broker": "of a Helm Release",
    }


def test_what_a_patch_changes_is_not_declared_by_that() -> None:
    """An operator's workload that the stack patches is the operator's, and judged."""
    api = _Api()
    before = _before(api)
    api.add("Deployment", "orders")
    patch = _declared("apps/v1:DeploymentPatch", "orders")
    assert [str(one) for one in _stack(api, patch, before=before).workloads()] == [
        "Deployment web/orders (of an operator)"
    ]


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_can_not_be_listed_is_told(when: str) -> None:
    """Where it would be judged, nothing is held; of other kinds there is a note. And nothing is taken to have come."""
    api = _Api()
    api.add("Pod", "old", "kube-system")
    api.add("ConfigMap", "old", "kube-system")
    broken = {"pods": 403, "configmaps": 503}
    api.broken = broken if when == "before" else {}
    before = _before(api)
    api.broken = broken if when == "after" else {}
    api.add("Deployment", "orders")
    stack = _stack(api, _SPACE, before=before)
    assert list(_came(stack)) == ["Deployment web/orders"]
    judge = Judge()
    tell_unlisted(judge, stack)
    verdict, why = judge.verdict()
    assert verdict is Verdict.INCONCLUSIVE
    assert "Pod that came with the stack" in why
    assert "GET /api/v1/pods: HTTP 403" in why
    (note,) = judge.notes
    assert "ConfigMap" in note
    assert [str(one) for one in stack.workloads()] == ["Deployment web/orders (of an operator)"], "asked for the rest"


def test_an_api_that_is_down_is_told() -> None:
    """What it holds is unknown; figures of use are no objects."""
    api = _Api(down=("wardle.example.dev/v1", "metrics.k8s.io/v1beta1"))
    judge = Judge()
    tell_unlisted(judge, _stack(api, _SPACE, before=_before(api)))
    assert ["API wardle.example.dev/v1" in note for note in judge.notes] == [True]


def test_where_nothing_can_be_listed_nothing_is_held() -> None:
    """The API server does not even tell its kinds."""

    class Silent(_Api):
        def request(self, *_: Any, **__: Any) -> Response:
            return Response(503, {}, 1)

    judge = Judge()
    tell_unlisted(judge, _stack(Silent(), _SPACE, before=_before(Silent())))
    verdict, why = judge.verdict()
    assert verdict is Verdict.INCONCLUSIVE
    assert "any object that came with the stack" in why


def test_a_look_that_fails_later_is_an_error() -> None:
    """What it missed would be silently less."""
    api = _Api()
    stack = _stack(api, _SPACE, before=_before(api))
    api.broken = {"deployments": 500}
    with pytest.raises(ClusterError, match=r"Deployment\.apps: could not be listed"):
        stack.workloads()


def test_an_owner_that_nobody_can_read_is_no_owner_that_is_gone() -> None:
    """Else what a custom resource brought would be missed while its API is down."""
    api = _Api()
    far = {"apiVersion": "wardle.example.dev/v1", "kind": "Flunder", "metadata": {"name": "f", "uid": "u"}}
    api.add("Deployment", "flunder", owner=far)
    assert not _came(_stack(api, _SPACE))
    api.broken = {"/apis/wardle.example.dev/v1": 503}
    judge = Judge()
    tell_unlisted(judge, _stack(api, _SPACE))
    assert "HTTP 503" in judge.verdict()[1]


def test_an_owner_that_could_not_be_read_is_asked_for_again() -> None:
    """Until it is known whose an object is, nobody takes it for somebody else's."""
    api = _Api()
    before = _before(api)
    stack = _stack(api, _ORDERS, before=before)
    orders = api.add("Database", "orders")
    api.add("Deployment", "orders", owner=orders)
    api.broken = {"/apis/db.example.dev/v1/namespaces/web/databases/orders": 500}
    for _ in range(2):
        with pytest.raises(ClusterError, match="HTTP 500"):
            stack.workloads()
    api.broken = {}
    assert [str(one) for one in stack.workloads()] == ["Deployment web/orders (of an operator)"]


def test_processes_that_share_a_stack_share_what_was_there_before(tmp_path: Path) -> None:
    """The second one comes when the stack is up already."""
    api, kept = _Api(), tmp_path / "before.json"
    api.add("Pod", "old", "kube-system")
    _before(api, kept)
    api.add("Deployment", "orders")
    stack = _stack(api, _SPACE, before=_before(api, kept))
    assert list(_came(stack)) == ["Deployment web/orders"]


def test_a_listing_that_breaks_is_no_empty_cluster() -> None:
    """Else all that was there before would seem to have come with the stack."""

    class Odd(_Api):
        def request(self, *_: Any, **__: Any) -> Response:
            return Response(200, {"items": [{}]}, 1)

    with pytest.raises(KeyError):
        _before(Odd())


def test_operators_get_the_time_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the stack has an object of a kind of its own: what is made of it a moment later is there when tests begin."""
    monkeypatch.setattr(footprint, "_QUIET", 0.1)
    api = _Api()
    before = _before(api)
    orders = api.add("Database", "orders")
    slept: Iterator[Callable[[], object]] = iter([lambda: None, lambda: api.add("Deployment", "orders", owner=orders)])
    monkeypatch.setattr("time.sleep", lambda _: next(slept, lambda: None)())
    monkeypatch.setattr("time.monotonic", itertools.count(0, 0.04).__next__)
    assert list(_came(_stack(api, _ORDERS, before=before))) == ["Deployment web/orders"]
    asked = len(api.asked)
    _stack(api, _SPACE, before=_before(api))
    assert len(api.asked) - asked < 40, "nobody waits where there is none"


def test_what_was_listed_beside_the_preview_is_not_listed_again() -> None:
    """A cluster that is only read can be listed at once; what can't be is told as it is otherwise."""
    api = _Api()
    orders = api.add("Database", "orders")
    api.add("Deployment", "orders", owner=orders)
    listing = list_objects(cast("KubeApi", api))
    api.asked.clear()
    found = Footprint(cast("KubeApi", api), (_ORDERS,), None)
    found.measure(lambda: listing)
    assert not [path for path in api.asked if "namespaces" not in path]
    assert [(str(one), str(one.origin)) for one in found.objects] == [("Deployment web/orders", "of an operator")]

    def refused() -> Listing:
        raise ClusterError("GET /api: HTTP 503")

    found = Footprint(cast("KubeApi", api), (_ORDERS,), None)
    found.measure(refused)
    assert found.unlisted == {"any object": "GET /api: HTTP 503"}
