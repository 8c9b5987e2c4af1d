"""Admission refuses, in each of the stack's namespaces, every pod that its Pod Security level forbids.

A pod that is privileged, mounts the host's file system or shares its namespaces *is* root on its node. What keeps it
out is one label on the namespace, or a policy that says the same. For each check of the Pod Security Standards a pod
that differs from a compliant one in that single field is offered to each namespace, as a dry run. Pod Security
admission must refuse it and name the check, or a ValidatingAdmissionPolicy or a webhook, such as Kyverno's, must deny
it: a 403 from RBAC, a LimitRange or a 422 from validation proves nothing, and what only a full quota keeps out counts
as let in. The same bad pod is offered to a namespace of ours without restrictions, where it must be let in, and the
compliant pod to the stack's, where it must be let in too: so the denial is about that field. Where a policy keeps it
out of ours as well, it is still offered to the stack's, which that policy may spare; let in there, it is a breach.
Controllers make the pods of workloads, and rules spare some of them, or what wears a label: so the same is offered by
each controller that makes pods, as each user and member of a group that the exemptions and rules of admission name, and
with each label, annotation and runtime class of theirs; who may create no pod there is left out, and who may do
everything. And no service account of the stack may change its namespace's labels.

The stack's namespaces are those that it declares, and those that its workloads run in. Each is judged by the level that it
enforces, at least `baseline`. Deployments are not looked at: admission judges pods, not templates.

A namespace that has to let in more is declared in `[tool.k8ssec.allow.adm-psa]` as `"namespace" = "reason"`, or one
check of it, by the name that the report has, as `"namespace:hostPath" = "reason"`.

Remediation: label each namespace `pod-security.kubernetes.io/enforce: restricted` (and `enforce-version`), and give no
service account the verbs `update` and `patch` on namespaces.

```yaml
apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/enforce-version: latest
```

Sources: CIS Kubernetes Benchmark 5.2.1 to 5.2.12; https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.catalogue.declared import Declared
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.headers import MERGE_PATCH, MERGE_PATCH_TYPE
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.pods.manifests import ENFORCE
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.pods.resources import Resources
from pytest_k8ssec.pods.unrestricted import unrestricted_namespace
from pytest_k8ssec.probes.admission import admitted_but_for_room
from pytest_k8ssec.probes.guises import Guise, in_guises
from pytest_k8ssec.probes.identities import api_evidence, service_account
from pytest_k8ssec.probes.podsecurity import (
    CHECKS,
    LEVELS,
    OF_WHOLE,
    WHOLE,
    Check,
    fits,
    may_bring,
    offer,
    offered_pod,
    room_in,
)
from pytest_k8ssec.sabotages.proofs import set_to
from pytest_k8ssec.stack import ServiceAccount, Stack
from pytest_k8ssec.verdict import Case, Judge

_NAMES_THE_POLICY = "violates PodSecurity"


@control(
    severity=Severity.CRITICAL,
    subject="stack",
    cis=tuple(f"5.2.{number}" for number in range(1, 13)),
    others=("C-0192", "C-0193", "C-0203"),
)
def test_adm_psa(judge: Judge, cluster: Cluster, stack: Stack, pool: Pool, allowed: Mapping[str, str]) -> None:
    """Offer each namespace a pod that breaks one rule, for every rule of its level."""
    if not stack.pod_namespaces:  # what becomes of labels says nothing of pods, so it alone must not hold
        judge.not_applicable("the stack has no namespace, and no workload in another one")
        return
    declared = Declared(judge, allowed, "to let in what a level forbids")
    namespaces = [each for each in stack.pod_namespaces if not declared.covers(each, f"Namespace {each}")]
    if not namespaces:
        declared.tell_unused()
        judge.not_applicable("the stack has no namespace that is not declared")
        return
    canary = unrestricted_namespace(pool)
    admitted = {check: offer(cluster, canary, offered_pod(cluster.probe_image, check)) for check in CHECKS}
    for check, evidence in admitted.items():
        if evidence.status != 201:
            judge.note(f"{check.name}: such a pod is not let in where nothing is enforced either: {evidence.detail}")
    guises = in_guises(cluster)
    table = judge.table("Pod Security check by namespace")
    for namespace in namespaces:
        labels = cluster.api.get(f"/api/v1/namespaces/{namespace}")["metadata"].get("labels", {})
        level = labels.get(ENFORCE, "privileged")
        case = judge.case(f"namespace {namespace} (enforces {level})")
        room = room_in(cluster, namespace)
        fine = offer(cluster, namespace, offered_pod(cluster.probe_image, room=room))
        case.positive(f"a compliant pod is let in{_pinned(labels)}", fine, succeeded=fits(fine))
        asked = _asked_of(level, namespace, declared)
        for check in asked:
            answer = offer(cluster, namespace, offered_pod(cluster.probe_image, check, room=room))
            through = _let_in(answer, check)
            if admitted[check].status == 201:
                case.positive(f"{check.name}: let in where nothing is enforced", admitted[check], succeeded=True)
            elif not through:
                continue  # this API server lets in such a pod nowhere
            case.attack(f"{check.name}: create such a pod{_pinned(labels)}", answer, through=through)
            table.put(check.name, namespace, answer, breach=through)
        _in_guises(case, cluster, namespace, room, guises, asked)
    declared.tell_unused()
    _relabel(judge, cluster, [each for each in stack.identities() if each.namespace in namespaces])


def _in_guises(
    case: Case, cluster: Cluster, namespace: str, room: Resources, guises: Iterable[Guise], checks: Sequence[Check]
) -> None:
    """The same in each guise in which a compliant pod is let in: in any other one nobody brings a pod there."""
    for guise in guises:
        fine = offer(cluster, namespace, offered_pod(cluster.probe_image, room=room), guise)
        if (may := may_bring(fine)) is None:
            case.attack(f"create a pod{guise}", fine, through=None)
        # Who is exempt is so from all of it; what a rule spares it may spare in one point.
        whole = not guise.named and {*OF_WHOLE} <= {check.name for check in checks}
        for check in ([WHOLE] if whole else checks) if may else ():
            answer = offer(cluster, namespace, offered_pod(cluster.probe_image, check, room=room), guise)
            case.attack(f"{check.name}: create such a pod{guise}", answer, through=_let_in(answer, check))


def _asked_of(level: str, namespace: str, declared: Declared) -> list[Check]:
    """What a namespace of a level has to refuse: at least what `baseline` does, but for what is declared."""
    found = [each for each in CHECKS if LEVELS.index(each.level) <= max(1, LEVELS.index(level))]
    names = {each.name: (f"{namespace}:{each.name}", f"Namespace {namespace}:{each.name}") for each in found}
    return [each for each in found if not declared.covers(*names[each.name])]


def _pinned(labels: Mapping[str, str]) -> str:
    """The version that a namespace is judged by, where that is not the cluster's: it may refuse what came later."""
    version = labels.get(f"{ENFORCE}-version", "latest")
    return "" if version == "latest" else f" (the namespace pins {ENFORCE}-version: {version})"


def _let_in(answer: Evidence, check: Check) -> bool | None:
    """Whether it would run. Of refusals only those count that are about the pod: by Pod Security's own words, or a policy's."""
    named = answer.status == 403 and _NAMES_THE_POLICY in answer.detail and check.words in answer.detail
    return False if named else admitted_but_for_room(answer)


def _relabel(judge: Judge, cluster: Cluster, accounts: Iterable[ServiceAccount]) -> None:
    """Each service account tries to change the label of its own namespace: `patch` and `update` are rights of their own."""
    for account in accounts:
        identity = service_account(cluster, account.namespace, account.name)
        case = judge.case(f"service account {account}")
        known = identity.who_am_i()
        case.positive("its token is valid", known, succeeded=identity.is_itself(known))
        path = f"/api/v1/namespaces/{account.namespace}"
        for method, body, kind in (
            ("PATCH", {"metadata": {"labels": {ENFORCE: "privileged"}}}, MERGE_PATCH_TYPE),
            ("PUT", _relabelled(cluster.api.get(path)), "application/json"),
        ):
            attempt = identity.attempt(
                method, path, body=body, params={"dryRun": "All"}, headers={"Content-Type": kind},
                what=f"{method} namespace {account.namespace}, labelled as privileged (dry run)",
            )  # fmt: skip
            through = {200: True, 403: False}.get(attempt.status or 0)
            case.attack(f"lower the level of its namespace by {method}", attempt, through=through)


def _relabelled(namespace: Body) -> Body:
    """The namespace as it is but for its level; of no version, so that nobody's change to it meanwhile is a conflict."""
    meta = {
        key: value for key, value in namespace["metadata"].items() if key not in ("resourceVersion", "managedFields")
    }
    meta["labels"] = {**meta.get("labels", {}), ENFORCE: "privileged"}
    return {**namespace, "metadata": meta}


@sabotage(test_adm_psa)
def enforce_label_removed(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """One of the stack's namespaces enforces no Pod Security level any more."""
    path = f"/api/v1/namespaces/{stack.pod_namespaces[0]}"
    headers = MERGE_PATCH
    before = cluster.api.get(path)["metadata"].get("labels", {}).get(ENFORCE)
    cluster.api.call("PATCH", path, body={"metadata": {"labels": {ENFORCE: None}}}, headers=headers)
    try:
        yield api_evidence("", f"GET {path}: no {ENFORCE}", cluster.api.request("GET", path))
    finally:
        cluster.api.call("PATCH", path, body={"metadata": {"labels": {ENFORCE: before}}}, headers=headers)


_EXEMPTIONS = """apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
  - name: PodSecurity
    configuration:
      apiVersion: pod-security.admission.config.k8s.io/v1
      kind: PodSecurityConfiguration
      exemptions:
        usernames: ["system:serviceaccount:kube-system:statefulset-controller"]
"""
_EXEMPTIONS_PLACE = "/etc/kubernetes/hardening/admission.yaml"


def _exempts(cluster: Cluster) -> Evidence:
    return set_to(cluster, "kube-apiserver", "admission-control-config-file", _EXEMPTIONS_PLACE)


@sabotage(test_adm_psa, proof=_exempts)
def controller_exempt(config: KindConfig) -> None:
    """Who makes the pods of StatefulSets is exempt from Pod Security."""
    config.replace("control-plane/admission.yaml", _EXEMPTIONS)
    config.api_server(admission_control_config_file=_EXEMPTIONS_PLACE)
