"""Who keeps a bad pod out, on a real API server: Pod Security, a policy of the team's own, or only a quota that is full."""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.headers import MERGE_PATCH
from pytest_k8ssec.clusters.kind import KindCluster
from pytest_k8ssec.pods.manifests import ENFORCE
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.admission import await_admission
from pytest_k8ssec.probes.guises import in_guises
from pytest_k8ssec.probes.podsecurity import CHECKS, offered_pod
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.stack.resource import Resource
from pytest_k8ssec.verdict import Judge, Verdict

RUN = f"refusals-{secrets.token_hex(3)}"
BY_POLICY, FULL, CLOSED = (f"{RUN}-{name}" for name in ("policy", "full", "closed"))
_SECURITY = "(object.spec.containers + object.spec.?initContainers.orValue([])).all(c, {})"
BASELINE = (
    *(f"!object.spec.?{name}.orValue(false)" for name in ("hostNetwork", "hostPID", "hostIPC")),
    "object.spec.?volumes.orValue([]).all(v, !has(v.hostPath))",
    "object.spec.?securityContext.?sysctls.orValue([]).size() == 0",
    _SECURITY.format("!c.?securityContext.?privileged.orValue(false)"),
    _SECURITY.format("c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0)"),
    _SECURITY.format("c.?securityContext.?capabilities.?add.orValue([]).size() == 0"),
    _SECURITY.format("c.?securityContext.?seccompProfile.?type.orValue('') != 'Unconfined'"),
    _SECURITY.format("c.?securityContext.?appArmorProfile.?type.orValue('') != 'Unconfined'"),
)
"""Pod Security's level ``baseline`` in a policy's own words."""


def quota(namespace: str, pods: int) -> Body:
    """One that is named as if it denied something."""
    meta = {"name": "denied", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": {"pods": str(pods)}}}


def objects(image: str) -> Iterator[Body]:
    """The namespaces and what guards each."""
    for name, labels in ((BY_POLICY, {}), (FULL, {}), (CLOSED, {ENFORCE: "baseline"})):
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    group = "admissionregistration.k8s.io/v1"
    yield {
        "apiVersion": group, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": RUN},
        "spec": {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": rules},
                 "validations": [{"expression": each} for each in BASELINE]},
    }  # fmt: skip
    match = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": BY_POLICY}}}
    yield {
        "apiVersion": group, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": RUN},
        "spec": {"policyName": RUN, "validationActions": ["Deny"], "matchResources": match},
    }  # fmt: skip
    pod = offered_pod(image)
    pod["metadata"] = {"name": "there", "namespace": FULL}
    pod["spec"]["containers"][0]["command"] = ["sleep", "3600"]
    yield pod
    yield quota(FULL, 1)
    yield quota(CLOSED, 0)


@pytest.fixture(scope="module")
def stack(cluster: KindCluster) -> Iterator[Stack]:
    """All of them, in force."""
    for made in objects(cluster.probe_image):
        if made["kind"] == "Pod":  # its namespace's account comes a moment after the namespace
            accounts = f"/api/v1/namespaces/{FULL}/serviceaccounts"
            cluster.api.wait(accounts, "default", lambda found: found is not None, deadline=60, what="no account")
        cluster.api.create(made)
    pods = f"/api/v1/namespaces/{BY_POLICY}/pods"
    hosts = next(each for each in CHECKS if each.name == "hostPath")
    await_admission(cluster, pods, offered_pod(cluster.probe_image, hosts), let_in=False)

    def counted(found: Body | None) -> bool:
        return (found or {}).get("status", {}).get("used", {}).get("pods") in ("0", "1")

    for namespace in (FULL, CLOSED):
        path = f"/api/v1/namespaces/{namespace}/resourcequotas"
        cluster.api.wait(path, "denied", counted, deadline=60, what="quota: is not counted")
    spaces = tuple(Resource(f"urn:{name}", "kubernetes:core/v1:Namespace", name) for name in (BY_POLICY, FULL, CLOSED))
    yield Stack("refusals", "refusals", {}, spaces, True, 0, cluster.api)
    for kind in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
        cluster.api.delete(f"/apis/admissionregistration.k8s.io/v1/{kind}/{RUN}")
    for name in (BY_POLICY, FULL, CLOSED):
        cluster.api.delete(f"/api/v1/namespaces/{name}")


def verdicts(cluster: KindCluster, stack: Stack, control: str) -> tuple[dict[str, Verdict], str]:
    """A control's, by namespace; and what it tried, for who has to see why."""
    judge, found = Judge(), next(each for each in packaged_controls() if each.id == control)
    pool = Pool(cluster, f"refusals-{secrets.token_hex(3)}", lambda: ())
    given: dict[str, Any] = {
        "judge": judge, "cluster": cluster, "stack": stack, "pool": pool, "twin": pool.twin, "allowed": {},
    }  # fmt: skip
    try:
        found.function(**{each: given[each] for each in inspect.signature(found.function).parameters})
    finally:
        pool.close()
    tried = "\n".join(f"{each.case}: {each.what}: {each.evidence} {each.through}" for each in judge.attacks)
    cases = [each for each in judge.cases if each.name.startswith("namespace ")]
    return {each.name.split()[1]: each.verdict()[0] for each in cases}, tried


def test_a_bad_pod_is_refused_by_a_policy_as_well_as_by_pod_security(cluster: KindCluster, stack: Stack) -> None:
    """A quota that is full refuses the pod too, whatever its name says; where it has no room for anybody, Pod Security counts."""
    found, tried = verdicts(cluster, stack, "adm-psa")
    assert {BY_POLICY: Verdict.HELD, FULL: Verdict.BREACHED, CLOSED: Verdict.HELD} == found, tried


def test_a_policy_may_spare_one_namespace(cluster: KindCluster, stack: Stack) -> None:
    """What keeps bad pods out of all others keeps them out of ours too: that is no reason not to try where it does not."""
    spared = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [FULL, "kube-system"]}
    binding: Body = {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": f"{RUN}-all"},
        "spec": {"policyName": RUN, "validationActions": ["Deny"],
                 "matchResources": {"namespaceSelector": {"matchExpressions": [spared]}}},
    }  # fmt: skip
    cluster.api.create(binding)
    hosts = next(each for each in CHECKS if each.name == "hostPath")
    try:
        await_admission(
            cluster, "/api/v1/namespaces/default/pods", offered_pod(cluster.probe_image, hosts), let_in=False
        )
        found, tried = verdicts(cluster, stack, "adm-psa")
    finally:
        cluster.api.delete(f"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/{RUN}-all")
    assert {BY_POLICY: Verdict.HELD, FULL: Verdict.BREACHED, CLOSED: Verdict.HELD} == found, tried


@pytest.mark.parametrize(
    "spared",
    [
        "'system:serviceaccounts:kube-system' in request.userInfo.groups",
        "request.userInfo.username == 'system:serviceaccount:kube-system:job-controller'",
        "object.metadata.?labels['checked-by'].orValue('') == 'hand'",
        "has(object.metadata.annotations) && 'skip' in object.metadata.annotations",
    ],
    ids=["group", "user", "label", "annotation"],
)
def test_whom_a_condition_spares_is_tried(cluster: KindCluster, stack: Stack, spared: str) -> None:
    """Nothing but the condition changes, so that plain pods are refused as before."""
    path = f"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/{RUN}"
    hosts = next(each for each in CHECKS if each.name == "hostPath")
    pods, bad = f"/api/v1/namespaces/{BY_POLICY}/pods", offered_pod(cluster.probe_image, hosts)
    conditions = [{"name": "spared", "expression": f"!({spared})"}]
    cluster.api.call("PATCH", path, body={"spec": {"matchConditions": conditions}}, headers=MERGE_PATCH)
    guise = next(each for each in in_guises(cluster) if each.named)
    try:
        await_admission(cluster, pods, bad, let_in=True, guise=guise)
        found, tried = verdicts(cluster, stack, "adm-psa")
    finally:
        cluster.api.call("PATCH", path, body={"spec": {"matchConditions": None}}, headers=MERGE_PATCH)
        await_admission(cluster, pods, bad, let_in=False, guise=guise)
    assert Verdict.BREACHED is found[BY_POLICY], tried
    assert Verdict.HELD is found[CLOSED], tried


def test_a_full_quota_asks_for_no_registry(cluster: KindCluster, stack: Stack) -> None:
    """Nor does a policy on other things; where no pod may ever be, nobody knows what one would find."""
    found, tried = verdicts(cluster, stack, "sup-registry")
    assert {BY_POLICY: Verdict.BREACHED, FULL: Verdict.BREACHED, CLOSED: Verdict.INCONCLUSIVE} == found, tried
