"""No service account of the stack has a right that leads to further rights.

Some verbs are worth more than they look: whoever may create pods has every account and every volume of the namespace,
whoever may `bind`, `escalate` or `impersonate` can get every right, and a webhook sees every Secret that is written.
Each of the stack's service accounts tries each of these, with a token of its own, in its namespace and in the others:
as a dry run, or on a name that does not exist, where 404 means that it might, and 403 in the authorizer's own words
that it may not: a 403 of admission says nothing of rights, so it is inconclusive. What the table of further rights has,
among it what undoes a defence (NetworkPolicies, admission webhooks and policies, Pod Security levels, quotas), is tried
as far as the API server's own list of the account's rules may grant it, and of the rest one more, to check that list;
what can't be tried without harm, such as to bind itself to a Role that is there, is asked for. Rights on single objects
are read from the account's rules and asked for by name. If an account may make no binding or role, the API server is
asked whether it may change an existing one. An administrator sends the same requests, which shows that nothing but the
account's rights is in the way.

With more than 200 pairs of account and namespace, pairs to which RBAC's objects give the same rules are one class. One
pair of each class is tried, and some more by chance; each account is asked for the API server's own list of its rules,
which must be the same. The others are cleared by their class alone, which is said in their case; where one of a class
gets through, each account of it tries for itself.

A command over a WebSocket is a GET: up to Kubernetes 1.34 `get` on pods/exec was enough for it, later ones ask for
`create` too.

Remediation: give the account a Role with the verbs and resources that it uses, and none of these. An operator that
needs one is declared in `[tool.k8ssec.allow.rbac-escalation]` as `"namespace/serviceaccount" = "reason"`.

```yaml
# kubectl apply -n shop -f watcher.yaml
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: watcher
rules:
  - apiGroups: [""]
    resources: [pods, services]
    verbs: [get, list, watch]
  - apiGroups: [apps]
    resources: [deployments]
    verbs: [get, list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: watcher
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: watcher}
subjects:
  - {kind: ServiceAccount, name: watcher, namespace: shop}
```

Sources: CIS Kubernetes Benchmark 5.1.4, 5.1.8, 5.1.9, 5.1.11 to 5.1.13;
https://kubernetes.io/docs/concepts/security/rbac-good-practices/#privilege-escalation-risks
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.rbac_objects import rule
from pytest_k8ssec.controls.rbac import PLACE_DIMENSIONS, AccountSuspect, try_places
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.evidence.causes import Right
from pytest_k8ssec.pods.resources import Resources
from pytest_k8ssec.probes.escalation import WayUp, by_change, in_cluster, in_namespace
from pytest_k8ssec.probes.identities import NOBODY, Administrator, Identity, RbacRules, administrator
from pytest_k8ssec.probes.podsecurity import room_in
from pytest_k8ssec.probes.rights_table import (
    asked_way,
    by_names,
    further_ways,
    gets_through,
    may_be_granted,
    try_ways,
)
from pytest_k8ssec.reach.sampling import Sampling
from pytest_k8ssec.sabotages.grants import default_account, granted
from pytest_k8ssec.stack import ServiceAccount, Stack
from pytest_k8ssec.verdict import Case, Judge


@control(
    severity=Severity.HIGH,
    subject="stack",
    cis=("5.1.4", "5.1.8", "5.1.9", "5.1.11", "5.1.12", "5.1.13"),
    others=("C-0188", "C-0191", "C-0278", "C-0280", "C-0281", "C-0282", "KSV-0043"),
    apart=True,
    dimensions=PLACE_DIMENSIONS,
    blames=(Right,),
    finding="{case} can {attack}",
)
def test_rbac_escalation(
    judge: Judge, cluster: Cluster, stack: Stack, allowed: Mapping[str, str], k8ssec_sampling: Sampling
) -> None:
    """Let each service account try each way to further rights, in each namespace and in the cluster."""
    shown: dict[str, Evidence] = {}
    further: dict[tuple[str, str], Evidence] = {}
    room: dict[str, Resources] = {}

    def attempt(suspect: AccountSuspect, namespace: str) -> None:
        account, identity, case = suspect.account, suspect.identity, suspect.case
        if namespace and namespace not in room:
            room[namespace] = room_in(cluster, namespace)
        image = cluster.probe_image
        steps = in_namespace(account, namespace, image, room[namespace]) if namespace else in_cluster()
        where = f"in {namespace}" if namespace else "in the cluster"
        if namespace not in shown:
            shown[namespace] = _administrator(cluster, steps)
        known = shown[namespace]
        case.positive(f"an administrator may do all this {where}", known, succeeded=gets_through(known))
        rules = suspect.rules(namespace or account.namespace)
        answers = _ask_all(identity, steps, namespace, rules)
        _attack(suspect, namespace, steps, answers)
        for step in steps:
            answer = answers[step.words]
            if gets_through(answer) is not True and (changes := by_change(identity, step, namespace, rules)):
                case.attack(f"{step.words}, by changing what is there, {where}", changes, through=True)
                answer = changes
            judge.table(f"ways up {where}").put(step.words, str(account), answer, breach=gets_through(answer))
            verb, resource, group = step.right
            for name in rules.names(verb, resource, group=group):
                _by_name(case, identity, step, namespace, name)
        for step, answer in _further(suspect, namespace, rules):
            if (namespace, step.words) not in further:
                further[namespace, step.words] = _administrator_may(cluster, step, namespace)
            known = further[namespace, step.words]
            case.positive(f"an administrator may {step.words} {where}", known, succeeded=gets_through(known))
            if (through := gets_through(answer)) is not False:
                judge.table(f"ways up {where}").put(step.words, str(account), answer, breach=through)

    try_places(judge, cluster, stack, allowed, k8ssec_sampling, attempt, _checks)


@cache
def _checks(namespace: str) -> tuple[str, ...]:
    """The ways up that there are in a place, whoever tries them."""
    steps = in_namespace(ServiceAccount(namespace, NOBODY), namespace, "") if namespace else in_cluster()
    return tuple(dict.fromkeys(step.words for step in (*steps, *further_ways(namespace))))


def _further(suspect: AccountSuspect, namespace: str, rules: RbacRules) -> list[tuple[WayUp, Evidence]]:
    """Try what the table of rights has beside these, as far as the account's own list of rules may grant it.

    Of the rest one is tried as well: where the account is not refused that, the list is not believed, and all are tried.

    Returns:
        what was tried.
    """
    account, identity, case = suspect.account, suspect.identity, suspect.case
    where = f"in {namespace}" if namespace else "in the cluster"
    ways = further_ways(namespace)
    answers, rest = try_ways(ways, rules, f"{account} {namespace}", lambda way: _ask(identity, way, namespace, rules))
    tried = [step for step in ways if step.words in answers]
    if rest:
        sample = next(step.words for step in tried if not may_be_granted(step, rules))
        detail = f"its rules grant none of them; tried all the same, and refused: {sample}"
        case.attack(
            f"{len(rest)} further ways up {where}, by its rules",
            replace(rules.evidence, detail=detail),
            through=False,
            at=suspect.at(namespace, (step.words for step in rest)),
        )
    _attack(suspect, namespace, tried, answers)
    for step in tried:
        verb, resource, group = step.right
        if by_names(step):
            for name in rules.names(verb, resource, group=group):
                _by_name(case, identity, step, namespace, name)
    return [(step, answers[step.words]) for step in tried]


def _ask_all(identity: Identity, steps: Sequence[WayUp], namespace: str, rules: RbacRules) -> dict[str, Evidence]:
    """The answers to an identity, by the steps' words."""
    return {step.words: _ask(identity, step, namespace, rules) for step in steps}


def _ask(identity: Identity, step: WayUp, namespace: str, rules: RbacRules) -> Evidence:
    what = f"{step.words}, {f'in {namespace}' if namespace else 'in the cluster'}"

    def send(way: WayUp) -> Evidence:
        return identity.attempt(way.method, way.path, what=what, **_request(way))

    return asked_way(identity, step, namespace, rules, send)


def _attack(suspect: AccountSuspect, namespace: str, steps: Sequence[WayUp], answers: Mapping[str, Evidence]) -> None:
    """Record each step; those that are refused, which are a great many, become one record that names them all."""
    case, where = suspect.case, f"in {namespace}" if namespace else "in the cluster"
    refused: dict[str, Evidence] = {}
    checks: list[str] = []
    for step in steps:
        answer = answers[step.words]
        if gets_through(answer) is False:
            refused[f"{step.words}: {step.method or 'asked for'} {step.path}".strip()] = answer
            checks.append(step.words)
        else:
            at = suspect.at(namespace, [step.words])
            case.attack(f"{step.words}, {where}", answer, through=gets_through(answer), at=at)
    if refused:
        *_, last = refused.values()
        facts = {request: answer.status for request, answer in refused.items()}
        at = suspect.at(namespace, checks)
        case.attack(f"{len(refused)} ways up {where}", replace(last, facts=facts), through=False, at=at)


def _administrator(cluster: Cluster, steps: Sequence[WayUp]) -> Evidence:
    """The first step that does not work for an administrator either, or the last one: all of them work."""
    for step in steps:
        answer = administrator(cluster, step.method, step.path, **_request(step))
        if gets_through(answer) is not True:
            break
    return answer


def _administrator_may(cluster: Cluster, step: WayUp, namespace: str) -> Evidence:
    """The same request, and the same question."""

    def send(way: WayUp) -> Evidence:
        return administrator(cluster, way.method, way.path, **_request(way))

    return asked_way(Administrator(cluster.api), step, namespace, None, send)


def _request(step: WayUp) -> dict[str, Any]:
    return {"body": step.body, "headers": step.headers, "params": step.params}


def _by_name(case: Case, identity: Identity, step: WayUp, namespace: str, name: str) -> None:
    """A right on one object: asked for, as to use it on that object would not be harmless."""
    verb, resource, group = step.right
    answer = identity.may(verb, resource, group=group, namespace=namespace, name=name)
    case.attack(f"{step.words}, {namespace}/{name} by name", answer, through=answer.outcome is Outcome.DONE)


@sabotage(test_rbac_escalation, shows=("create a Pod,",))
def may_escalate_in_its_namespace(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The default service account of one of the stack's namespaces has every dangerous right in it.

    That each of them is noticed by itself is shown in tests/cluster/test_escalation.py.
    """
    account = default_account(stack)
    rules = [each for step in in_namespace(account, account.namespace, cluster.probe_image) for each in step.rules]
    with granted(cluster, account, *rules, namespace=account.namespace) as proof:
        yield proof


@sabotage(test_rbac_escalation, shows=("impersonate a user, in the cluster",))
def may_escalate_in_the_cluster(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The default service account of one of the stack's namespaces may impersonate, approve certificates, and more."""
    account = default_account(stack)
    with granted(cluster, account, *(each for step in in_cluster() for each in step.rules)) as proof:
        yield proof


@sabotage(test_rbac_escalation, shows=("undo what NetworkPolicies keep out (delete networkpolicies)",))
def may_delete_network_policies(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The default service account of one of the stack's namespaces may delete the NetworkPolicies there."""
    account = default_account(stack)
    right = rule("delete", "networkpolicies", group="networking.k8s.io")
    with granted(cluster, account, right, namespace=account.namespace) as proof:
        yield proof
