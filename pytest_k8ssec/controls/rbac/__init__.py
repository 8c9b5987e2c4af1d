"""Controls of the family RBAC, and what they share: each puts every service account of the stack on trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.probes.escalation import WayUp
from pytest_k8ssec.probes.identities import Identity, RbacRules, service_account
from pytest_k8ssec.stack import ServiceAccount, Stack
from pytest_k8ssec.verdict import Case, Judge


def accounts_on_trial(
    judge: Judge, cluster: Cluster, stack: Stack, allowed: Mapping[str, str]
) -> Iterator[tuple[ServiceAccount, Identity, Case]]:
    """Each service account that is not declared, with a token of its own and a case that shows that the token is valid.

    Raises:
        ProbeError: no token was issued, or no HTTP answer came.
    """
    judge.not_applicable("the stack has no service account that is not declared")
    for account in stack.identities():
        if str(account) in allowed:
            judge.note(f"{account} is declared: {allowed[str(account)]}")
            continue
        identity = service_account(cluster, account.namespace, account.name)
        case = judge.case(f"service account {account}")
        known = identity.who_am_i()
        case.positive("its token is valid", known, succeeded=identity.is_itself(known))
        yield account, identity, case


def by_change(identity: Identity, step: WayUp, namespace: str, rules: RbacRules) -> Evidence | None:
    """For an account that may make no binding or role: its right to change an existing one to the same end, else None.

    The API server is asked for this right: to try it, somebody else's object would have to be named.

    Raises:
        ProbeError: no HTTP answer came, or one that says nothing.
    """
    verb, resource, group = step.right
    if verb not in ("bind", "escalate"):
        return None
    name = "cluster-admin" if verb == "bind" else ""
    if identity.may(verb, resource, group=group, namespace=namespace, name=name).outcome is not Outcome.DONE:
        return None
    made = step.rules[0]["resources"][0]
    for change in ("update", "patch"):
        for one in ("", *rules.names(change, made, group=group)):
            known = identity.may(change, made, group=group, namespace=namespace, name=one)
            if known.outcome is Outcome.DONE:
                return known
    return None
