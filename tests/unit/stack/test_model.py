"""A deployed stack as tests see it."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from pytest_k8ssec.clusters.api import KubeApi, Response
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import StackError
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.plugin.judged import tell_gone
from pytest_k8ssec.stack import API_CLIENT, Resource, Secret, Stack
from pytest_k8ssec.stack.existing import find_existing
from pytest_k8ssec.stack.helm_releases import tell_unseen
from pytest_k8ssec.stack.source import StackSource
from pytest_k8ssec.verdict import Judge, Verdict
from tests.unit.fakes import evidence

_URN = "urn:pulumi:dev::shop::{}::{}"


@dataclass
class _Api:
    """Answers with the objects that it has, under the paths that the real client would ask for."""

    objects: dict[str, Any] = field(default_factory=dict)

    def path(self, version: str, kind: str, namespace: str = "", name: str = "") -> str:
        return f"{version}/{kind}/{namespace}/{name}"

    def request(self, method: str, path: str) -> Response:
        assert method == "GET"
        return Response(200, self.objects[path], 1) if path in self.objects else Response(404, {}, 1)

    def list(self, path: str, **_: str) -> list[Any]:
        return list(self.objects.get(path, []))


def _resource(type_: str, name: str, namespace: str = "", **more: Any) -> Resource:
    return Resource(_URN.format(type_, name), type_, name, namespace, **more)


def _stack(*resources: Resource, api: _Api | None = None) -> Stack:
    return Stack("dev", "shop", {}, resources, True, 1.0, cast("KubeApi", api or _Api()))


def test_a_secret_shows_only_when_it_is_asked_to() -> None:
    """str, repr, format and f-strings give [secret]; reveal gives the value."""
    secret = Secret("hush")
    assert {str(secret), repr(secret), f"{secret}", f"{secret!r:>8}", str([secret])[1:-1]} == {"[secret]"}
    assert secret.reveal() == "hush"


def test_a_secret_does_not_travel() -> None:
    """Neither pickle nor JSON take a secret along."""
    with pytest.raises(TypeError):
        pickle.dumps(Secret("hush"))
    with pytest.raises(TypeError):
        json.dumps(Secret("hush"))


def test_namespaces_are_those_declared_and_those_used() -> None:
    """A namespace counts if the stack declares it or has an object in it; what it only reads does not count."""
    stack = _stack(
        _resource("kubernetes:core/v1:ConfigMap", "a", "used"),
        _resource("kubernetes:core/v1:Namespace", "declared"),
        _resource("kubernetes:discovery.k8s.io/v1:EndpointSlice", "kubernetes", "default", external=True),
        _resource("random:index/randomPet:RandomPet", "pet"),
    )
    assert stack.namespaces == ("declared", "used")
    assert stack.created_namespaces == ("declared",)


def test_pods_are_in_namespaces_declared_and_in_those_of_workloads() -> None:
    """A workload in a namespace that the stack does not declare runs there all the same; a RoleBinding runs nowhere."""
    stack = _stack(
        _resource("kubernetes:apps/v1:Deployment", "shop", "default"),
        _resource("kubernetes:core/v1:Namespace", "declared"),
        _resource("kubernetes:core/v1:Pod", "bare", "declared"),
        _resource("kubernetes:rbac.authorization.k8s.io/v1:RoleBinding", "b", "kube-system"),
        _resource("kubernetes:apps/v1:DaemonSet", "agent", "theirs", external=True),
    )
    assert stack.pod_namespaces == ("declared", "default")


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("kubernetes:apps/v1:Deployment", "Deployment"),
        ("kubernetes:helm.sh/v3:Release", ""),
        ("kubernetes:yaml/v2:ConfigFile", ""),
        ("aws:s3/bucket:Bucket", ""),
        ("my:component:Thing", ""),
    ],
)
def test_only_kubernetes_objects_have_a_kind(type_: str, kind: str) -> None:
    """Components, charts and other clouds' resources are no objects in the cluster."""
    assert _resource(type_, "x").kind == kind


def test_service_accounts_include_the_default_ones_and_declared_clients() -> None:
    """Each namespace's default account is there once, and a declared API client carries its reason."""
    stack = _stack(
        _resource("kubernetes:core/v1:Namespace", "web"),
        _resource("kubernetes:core/v1:ServiceAccount", "shop", "web", annotations={API_CLIENT: "reads leases"}),
        _resource("kubernetes:core/v1:ServiceAccount", "default", "batch"),
    )
    found = {str(one): one.api_client for one in stack.service_accounts}
    assert found == {"web/shop": "reads leases", "web/default": "", "batch/default": ""}


def test_identities_include_those_that_only_its_workloads_name() -> None:
    """An account that another stack supplies is used here all the same; a declared one stays what it was declared as."""
    api = _Api(
        {
            f"v1/Pod/web/{account}": {"metadata": {}, "spec": {"serviceAccountName": account, "containers": []}}
            for account in ("shop", "operator")
        }
    )
    stack = _stack(
        _resource("kubernetes:core/v1:ServiceAccount", "shop", "web", annotations={API_CLIENT: "reads leases"}),
        _resource("kubernetes:core/v1:Pod", "shop", "web"),
        _resource("kubernetes:core/v1:Pod", "operator", "web"),
        api=api,
    )
    found = {str(one): one.api_client for one in stack.identities()}
    assert found == {"web/shop": "reads leases", "web/default": "", "web/operator": ""}


def _live(name: str, account: str, owner: str, phase: str = "Running", **annotations: str) -> dict[str, Any]:
    owners = [{"kind": "DaemonSet", "name": owner, "controller": True}]
    metadata = {"name": name, "ownerReferences": owners, "annotations": annotations}
    return {"metadata": metadata, "spec": {"serviceAccountName": account}, "status": {"phase": phase}}


def test_identities_include_those_that_live_pods_have() -> None:
    """Admission gave a pod another account, or it waits for a rollout: it counts until it has ended, if it is the workload's."""
    spec = {"serviceAccountName": "shop", "containers": []}
    pods = [
        _live("as-declared", "shop", "agent"),
        _live("before-the-rollout", "operator", "agent"),
        _live("ended", "once", "agent", "Failed"),
        _live("somebody's", "stranger", "other"),
        _live("ours", "twin", "agent", **{"k8ssec.dev/purpose": "twin"}),
        _live("gone", "removed", "agent"),
    ]
    objects: dict[str, Any] = {
        "apps/v1/DaemonSet/web/agent": {
            "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {}, "spec": spec}}
        },
        "/api/v1/namespaces/web/pods": pods,
    }
    for name in ("shop", "operator", "once", "stranger", "twin"):
        objects[f"/api/v1/namespaces/web/serviceaccounts/{name}"] = {}
    stack = _stack(_resource("kubernetes:apps/v1:DaemonSet", "agent", "web"), api=_Api(objects))
    assert {"web/default", "web/shop", "web/operator"} == {str(one) for one in stack.identities()}


def test_what_a_release_makes_is_not_held() -> None:
    """Its objects are Helm's: whatever else is held, the verdict is not, unless somebody says why that may be."""
    release = _resource("kubernetes:helm.sh/v3:Release", "prometheus")
    for allowed, expected in (({}, Verdict.INCONCLUSIVE), ({"Release prometheus": "audited"}, Verdict.HELD)):
        judge = Judge()
        tell_unseen(judge, _stack(release, _resource("kubernetes:helm.sh/v4:Chart", "seen")), allowed)
        case = judge.case("all else")
        case.attack("connect", evidence(Outcome.REFUSED), through=False)
        case.positive("it listens", evidence(Outcome.OPEN), succeeded=True)
        verdict, why = judge.verdict()
        assert verdict is expected
        assert ("what Release prometheus made" in why) == (verdict is Verdict.INCONCLUSIVE)


def test_workloads_are_read_from_the_cluster() -> None:
    """Selector, labels and pod template are those that the API server has."""
    spec = {"serviceAccountName": "shop", "containers": []}
    template = {"metadata": {"labels": {"app": "shop"}}, "spec": spec}
    live = {"spec": {"selector": {"matchLabels": {"app": "shop"}}, "template": template}}
    api = _Api({"apps/v1/Deployment/web/shop": live, "v1/Pod/web/bare": {"metadata": {}, "spec": {"containers": []}}})
    stack = _stack(
        _resource("kubernetes:apps/v1:Deployment", "shop", "web"),
        _resource("kubernetes:core/v1:Pod", "bare", "web"),
        _resource("kubernetes:core/v1:ConfigMap", "not-running", "web"),
        api=api,
    )
    shop, bare = stack.workloads()
    assert (str(shop), shop.labels, shop.service_account) == ("Deployment web/shop", {"app": "shop"}, "shop")
    assert shop.template == template
    assert (bare.kind, bare.selector, bare.service_account) == ("Pod", {}, "default")


def test_a_cron_job_s_template_is_that_of_its_jobs() -> None:
    """A CronJob's pods stand two levels deeper."""
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}
    api = _Api({"batch/v1/CronJob/web/c": {"spec": {"jobTemplate": {"spec": {"template": template}}}}})
    (found,) = _stack(_resource("kubernetes:batch/v1:CronJob", "c", "web"), api=api).workloads()
    assert found.template == template


def test_a_workload_that_is_gone_is_an_error() -> None:
    """Nothing is concluded about a workload that the cluster does not have."""
    with pytest.raises(StackError, match=r"Deployment web/shop is not on the cluster \(HTTP 404\)"):
        _stack(_resource("kubernetes:apps/v1:Deployment", "shop", "web")).workloads()


def test_a_job_that_is_gone_is_noted_and_the_rest_is_judged() -> None:
    """It has ended, and removed itself or been removed; a Job that is there is a workload, ended or not."""
    template: dict[str, Any] = {"spec": {"containers": []}}
    api = _Api(
        {
            "batch/v1/Job/web/kept": {"spec": {"template": template}},
            "apps/v1/Deployment/web/shop": {"spec": {"template": template}},
        }
    )
    stack = _stack(
        _resource("kubernetes:batch/v1:Job", "gone", "web"),
        _resource("kubernetes:batch/v1:Job", "kept", "web"),
        _resource("kubernetes:apps/v1:Deployment", "shop", "web"),
        api=api,
    )
    assert ["kept", "shop"] == [each.name for each in stack.workloads()]
    judge = Judge()
    tell_gone(judge, stack)
    assert ("Job web/gone is not judged: it has ended, and is gone from the cluster",) == judge.notes
    assert Verdict.INCONCLUSIVE is judge.verdict()[0], "a note is no verdict"


def test_a_job_that_can_not_be_read_is_an_error() -> None:
    """It may be there."""

    class Refusing(_Api):
        def request(self, method: str, path: str) -> Response:
            return Response(503, {}, 1)

    with pytest.raises(StackError, match=r"Job web/clean is not on the cluster \(HTTP 503\)"):
        _stack(_resource("kubernetes:batch/v1:Job", "clean", "web"), api=Refusing()).workloads()


def test_a_stack_that_was_only_read_may_have_a_job_that_is_gone() -> None:
    """Any other object that is not there means that this is the wrong cluster."""
    cluster = cast("Cluster", type("C", (), {"api": _Api(), "name": "theirs"}))
    job = _resource("kubernetes:batch/v1:Job", "gone", "web")
    assert (job,) == find_existing([job], cluster, cast("StackSource", "infra"))
    with pytest.raises(StackError, match="is not on cluster theirs"):
        find_existing(
            [_resource("kubernetes:apps/v1:Deployment", "shop", "web")], cluster, cast("StackSource", "infra")
        )


def test_a_workload_s_repr_holds_no_template() -> None:
    """A password in a variable does not get into an assertion message by a workload's repr."""
    container = {"env": [{"name": "KEY", "value": "hush"}]}
    live = {"spec": {"selector": {}, "template": {"spec": {"containers": [container]}}}}
    api = _Api({"apps/v1/Deployment/web/shop": live})
    assert "hush" not in repr(_stack(_resource("kubernetes:apps/v1:Deployment", "shop", "web"), api=api).workloads())
