"""Admission refuses, in each of the stack's namespaces, every pod that its Pod Security level forbids.

A pod that is privileged, mounts the host's file system or shares its namespaces *is* root on its node. What keeps it
out is one label on the namespace, or a policy that says the same. For each check of the Pod Security Standards a pod
that differs from a compliant one in that single field is offered to each namespace, as a dry run; what a container breaks
by itself is tried in an init container too. Where there are several API servers, each is asked by itself. Pod Security
admission must refuse it and name the check, or a ValidatingAdmissionPolicy or a webhook, such as Kyverno's, must deny
it: a 403 from RBAC, a LimitRange or a 422 from validation proves nothing, and what only a full quota keeps out counts
as let in. The same bad pod is offered to a namespace of ours without restrictions, where it must be let in, and the
compliant pod to the stack's, where it must be let in too: so the denial is about that field. Where a policy keeps it
out of ours as well, it is still offered to the stack's, which that policy may spare; let in there, it is a breach.
Controllers make the pods of workloads, and rules spare some of them, or what wears a label: so the same is offered by
each controller that makes pods, as each user and member of a group that the exemptions and rules of admission name, and
with each label, annotation and runtime class of theirs; who may create no pod there is left out, and who may do
everything. And no service account of the stack may change the labels of one of these namespaces: each tries to lower each
one's level, by a patch and by an update of the namespace, of its status and of its finalizers, as a dry run.
With more than 200 pairs of account and namespace, pairs to which RBAC's objects give the same rules are one class: each account
tries its own namespace, and of each class some pairs are tried.

The stack's namespaces are those that it declares, and those that its workloads run in. Each is judged by the level that it
enforces, at least `baseline`. Deployments are not looked at: admission judges pods, not templates.

A namespace that has to let in more is declared in `[tool.k8ssec.allow.adm-psa]` as `"namespace" = "reason"`, or one
check of it, by the name that the report has, as `"namespace:hostPath" = "reason"`.

Remediation: label each namespace `pod-security.kubernetes.io/enforce: restricted` (and `enforce-version`), and give no
service account the verbs `update` and `patch` on namespaces, namespaces/status and namespaces/finalize.

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
from dataclasses import dataclass, replace
from itertools import product
from typing import Any
from zlib import crc32

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.catalogue.declared import Declared
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.api_servers import ApiServer
from pytest_k8ssec.clusters.headers import MERGE_PATCH, MERGE_PATCH_TYPE
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.clusters.rbac_objects import rule
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.evidence.causes import FieldCheck, Fields, ObjectName, Right
from pytest_k8ssec.facts.rbac_rights import RuleSet, granted_rights
from pytest_k8ssec.pods.manifests import ENFORCE
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.pods.resources import Resources
from pytest_k8ssec.pods.unrestricted import unrestricted_namespace
from pytest_k8ssec.probes.admission import admitted, admitted_but_for_room
from pytest_k8ssec.probes.escalation import has_the_right
from pytest_k8ssec.probes.guises import PLAIN, Guise, in_guises
from pytest_k8ssec.probes.identities import api_evidence, service_account
from pytest_k8ssec.probes.nodes_in_reach import servers_to_judge
from pytest_k8ssec.probes.places_by_rights import PAIRS_MAX
from pytest_k8ssec.probes.podsecurity import (
    CHECKS,
    IN_INIT,
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
from pytest_k8ssec.sabotages.grants import granted
from pytest_k8ssec.sabotages.proofs import changing, set_to
from pytest_k8ssec.stack import ServiceAccount, Stack
from pytest_k8ssec.verdict import Case, Judge

_NAMES_THE_POLICY = "violates PodSecurity"
_REFUSED = (400, 403, 422)
"""How an API server says that it never takes such a pod; what was only not answered says nothing."""
_MERGE, _JSON = MERGE_PATCH_TYPE, "application/json"
_WRITES = (
    ("PATCH", "", _MERGE), ("PUT", "", _JSON), ("PATCH", "/status", _MERGE), ("PUT", "/status", _JSON), ("PUT", "/finalize", _JSON),
)  # fmt: skip
"""How a label is changed: the method, the part of the namespace that is written, and how. Each is a right of its own, and a
namespace's labels are taken from whichever part is written."""


@control(
    severity=Severity.CRITICAL,
    subject="stack",
    cis=tuple(f"5.2.{number}" for number in range(1, 13)),
    others=("C-0192", "C-0193", "C-0203"),
    dimensions=("server", "namespace", "guise", "check"),
    blames=(Fields, Right),
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
    asked = [_asked_of(cluster, namespace, declared) for namespace in namespaces]
    declared.tell_unused()
    accounts = [each for each in stack.identities() if each.namespace in namespaces]
    canary, guises = unrestricted_namespace(pool), in_guises(cluster)
    servers = servers_to_judge(judge, cluster)
    for server, namespace in product(servers, asked):
        for guise, check in _to_offer(namespace, guises):
            judge.coverage.exists(**_at(server, namespace.name, guise, check.name))
    alike = _alike(cluster, accounts, namespaces)
    for server, (account, where), (method, part, _) in product(servers, alike, _WRITES):
        kind = alike[account, where]
        same = f"{server.name}, rights {kind}: {method}{part}" if kind else ""
        judge.coverage.exists(alike=same, **_at_label(server, account, where, f"{method}{part}"))
    for server in servers:
        _offer_all(judge, server, cluster.probe_image, canary, asked, guises)
        _relabel(judge, cluster, server, _chosen(alike))


_ENFORCES_NOTHING = FieldCheck((("metadata", "labels", ENFORCE),), bad=("privileged",), unset=True)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A namespace, and what it has to refuse."""

    name: str
    labels: Mapping[str, str]
    checks: tuple[Check, ...]
    room: Resources

    @property
    def level(self) -> str:
        """The Pod Security level that it enforces."""
        return self.labels.get(ENFORCE, "privileged")

    @property
    def cause(self) -> Fields:
        """What may let in a pod that a level forbids: its label."""
        return Fields("Namespace", "v1", "", self.name, (_ENFORCES_NOTHING,))


def _asked_of(cluster: Cluster, namespace: str, declared: Declared) -> _Asked:
    """What a namespace has to refuse: at least what `baseline` does, but for what is declared."""
    labels = cluster.api.get(f"/api/v1/namespaces/{namespace}")["metadata"].get("labels", {})
    level = LEVELS.index(labels.get(ENFORCE, "privileged"))
    checks = []
    for each in (*CHECKS, *IN_INIT):
        subject = f"{namespace}:{each.of or each.name}"
        if LEVELS.index(each.level) <= max(1, level) and not declared.covers(subject, f"Namespace {subject}"):
            checks.append(each)
    return _Asked(namespace, labels, tuple(checks), room_in(cluster, namespace))


def _at(server: ApiServer, namespace: str, guise: Guise, check: str) -> dict[str, Any]:
    return {"server": server.name, "namespace": namespace, "guise": guise.kind, "check": check}


def _at_label(server: ApiServer, account: ServiceAccount, namespace: str, how: str) -> dict[str, Any]:
    """Where no pod is offered: an account's attempt at the label of a namespace."""
    return _at(server, namespace, Guise(f"as service account {account}"), f"its level, lowered by {how}")


def _alike(
    cluster: Cluster, accounts: Sequence[ServiceAccount], namespaces: Sequence[str]
) -> dict[tuple[ServiceAccount, str], str]:
    """Each pair of account and namespace, and the class of those to which RBAC's objects give the same rules; "" for none."""
    pairs = [*product(accounts, namespaces)]
    granted = granted_rights(cluster.api) if len(pairs) > PAIRS_MAX else None
    numbers: dict[RuleSet, int] = {}
    return {
        (account, where): str(numbers.setdefault(granted.of(account.namespace, account.name, where), len(numbers) + 1))
        if granted
        else ""
        for account, where in pairs
    }


def _chosen(alike: Mapping[tuple[ServiceAccount, str], str]) -> dict[ServiceAccount, list[str]]:
    """The namespaces that each account tries: its own, and of each class of pairs the first and one more."""
    classes: dict[str, list[tuple[ServiceAccount, str]]] = {}
    for pair, kind in alike.items():
        classes.setdefault(kind or repr(pair), []).append(pair)
    some = {one for kind, all_of_it in classes.items() for one in _some(kind, all_of_it)}
    found: dict[ServiceAccount, list[str]] = {}
    for account, where in alike:
        if where == account.namespace or (account, where) in some:
            found.setdefault(account, []).append(where)
    return found


def _some(kind: str, pairs: Sequence[tuple[ServiceAccount, str]]) -> Iterator[tuple[ServiceAccount, str]]:
    yield pairs[0]
    yield pairs[crc32(f"{kind} of {len(pairs)}".encode()) % len(pairs)]


def _to_offer(namespace: _Asked, guises: Iterable[Guise]) -> Iterator[tuple[Guise, Check]]:
    """In which guise what is to be offered to a namespace."""
    yield from ((PLAIN, check) for check in namespace.checks)
    yield from ((guise, check) for guise in guises for check in _in_guise(guise, namespace.checks))


def _in_guise(guise: Guise, checks: Sequence[Check]) -> Sequence[Check]:
    """Who is exempt is so from all of it; what a rule spares it may spare in one point, and in any container alike."""
    whole = not guise.named and {*OF_WHOLE} <= {check.name for check in checks}
    return [WHOLE] if whole else [check for check in checks if not check.of]


def _offer_all(
    judge: Judge, server: ApiServer, image: str, canary: str, asked: Iterable[_Asked], guises: Iterable[Guise]
) -> None:
    """Offer one API server all that each namespace has to refuse, and each of it to ours, where nothing is enforced."""
    admitted = {check: offer(server, canary, offered_pod(image, check)) for check in (*CHECKS, *IN_INIT)}
    for check, evidence in admitted.items():
        if evidence.status != 201:
            judge.note(f"{check.name}: such a pod is not let in where nothing is enforced either: {evidence.detail}")
    table = judge.table("Pod Security check by namespace")
    for namespace in asked:
        pinned = _pinned(namespace.labels)
        case = judge.case(f"namespace {namespace.name} (enforces {namespace.level}){server.words}")
        fine = offer(server, namespace.name, offered_pod(image, room=namespace.room))
        case.positive(f"a compliant pod is let in{pinned}", fine, succeeded=fits(fine))
        for check in namespace.checks:
            answer = offer(server, namespace.name, offered_pod(image, check, room=namespace.room))
            through, at = _let_in(answer, check), _at(server, namespace.name, PLAIN, check.name)
            if admitted[check].status == 201:
                case.positive(f"{check.name}: let in where nothing is enforced", admitted[check], succeeded=True)
            elif through is False or answer.status == admitted[check].status in _REFUSED:
                judge.coverage.absent("this API server lets in such a pod nowhere", **at)
                continue
            case.attack(
                f"{check.name}: create such a pod{pinned}", answer, through=through, at=at, cause=namespace.cause,
                used=_used(namespace, check),
            )  # fmt: skip
            table.put(check.name, namespace.name + server.words, answer, breach=through)
        for guise in guises:
            _offer_in_guise(judge, case, server, image, namespace, guise)


def _offer_in_guise(judge: Judge, case: Case, server: ApiServer, image: str, namespace: _Asked, guise: Guise) -> None:
    """The same in a guise in which a compliant pod is let in: in any other one nobody brings a pod there."""
    fine = offer(server, namespace.name, offered_pod(image, room=namespace.room), guise)
    at = {check: _at(server, namespace.name, guise, check.name) for check in _in_guise(guise, namespace.checks)}
    may = may_bring(fine)
    if may is None:
        case.attack(f"create a pod{guise}", fine, through=None, at=[*at.values()])
    for check, where in at.items():
        if may:
            answer = offer(server, namespace.name, offered_pod(image, check, room=namespace.room), guise)
            through, cause = _let_in(answer, check), namespace.cause
            what, used = f"{check.name}: create such a pod{guise}", _used(namespace, check)
            case.attack(what, answer, through=through, at=where, cause=cause, used=used)
        elif may is False:
            judge.coverage.absent("nobody brings any pod there so", **where)


def _used(namespace: _Asked, check: Check) -> list[tuple[str, ...]]:
    """One check of one namespace, by the names that a waiver may have for it."""
    subject = f"{namespace.name}:{check.of or check.name}"
    return [(subject, f"Namespace {subject}")]


def _pinned(labels: Mapping[str, str]) -> str:
    """The version that a namespace is judged by, where that is not the cluster's: it may refuse what came later."""
    version = labels.get(f"{ENFORCE}-version", "latest")
    return "" if version == "latest" else f" (the namespace pins {ENFORCE}-version: {version})"


def _let_in(answer: Evidence, check: Check) -> bool | None:
    """Whether it would run. Of refusals only those count that are about the pod: by Pod Security's own words, or a policy's."""
    named = answer.status == 403 and _NAMES_THE_POLICY in answer.detail and check.words in answer.detail
    return False if named else admitted_but_for_room(answer)


def _relabel(judge: Judge, cluster: Cluster, server: ApiServer, chosen: Mapping[ServiceAccount, Sequence[str]]) -> None:
    """Each service account tries to lower the level of some namespaces, in each way that is a right of its own."""
    there = {name: cluster.api.get(f"/api/v1/namespaces/{name}") for names in chosen.values() for name in names}
    for account, namespaces in chosen.items():
        identity = replace(service_account(cluster, account.namespace, account.name), api=server.api)
        case = judge.case(f"service account {account}{server.words}")
        known = identity.who_am_i()
        case.positive("its token is valid", known, succeeded=identity.is_itself(known))
        for namespace, (method, part, kind) in product(namespaces, _WRITES):
            lowered = {"metadata": {"labels": {ENFORCE: "privileged"}}}
            attempt = identity.attempt(
                method, f"/api/v1/namespaces/{namespace}{part}",
                body=lowered if method == "PATCH" else _relabelled(there[namespace]),
                params={"dryRun": "All"}, headers={"Content-Type": kind},
                what=f"{method} namespace {namespace}{part}, labelled as privileged (dry run)",
            )  # fmt: skip
            # A policy may refuse just this: what it denies is the very change, by whoever has the right to make it.
            through = False if admitted(attempt) is False else has_the_right(attempt)
            whose = "its namespace" if namespace == account.namespace else f"namespace {namespace}"
            at = _at_label(server, account, namespace, f"{method}{part}")
            case.attack(f"lower the level of {whose} by {method}{part}", attempt, through=through, at=at)


def _relabelled(namespace: Body) -> Body:
    """The namespace as it is but for its level; of no version, so that nobody's change to it meanwhile is a conflict."""
    meta = {
        key: value for key, value in namespace["metadata"].items() if key not in ("resourceVersion", "managedFields")
    }
    meta["labels"] = {**meta.get("labels", {}), ENFORCE: "privileged"}
    return {**namespace, "metadata": meta}


@sabotage(test_adm_psa, shows=("privileged: create such a pod",))
def enforce_label_removed(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """One of the stack's namespaces enforces no Pod Security level any more."""
    path = f"/api/v1/namespaces/{stack.pod_namespaces[0]}"
    headers = MERGE_PATCH
    before = cluster.api.get(path)["metadata"].get("labels", {}).get(ENFORCE)
    cluster.api.call("PATCH", path, body={"metadata": {"labels": {ENFORCE: None}}}, headers=headers)
    try:
        proof = api_evidence("", f"GET {path}: no {ENFORCE}", cluster.api.request("GET", path))
        yield changing(proof, ObjectName("Namespace", stack.pod_namespaces[0]))
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


@sabotage(
    test_adm_psa,
    shows=("lower the level of namespace",),
    kills={
        "rbac-escalation": ["undo a namespace's Pod Security level (patch namespaces/status)"],
    },
)
def account_relabels_another_namespace(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """An account of the stack may patch the status of another namespace of the stack, and with that its labels."""
    account = next(each for each in stack.service_accounts if not each.api_client)
    other = next((each for each in stack.pod_namespaces if each != account.namespace), account.namespace)
    with granted(cluster, account, rule("patch", "namespaces/status"), namespace=other) as proof:
        yield proof
