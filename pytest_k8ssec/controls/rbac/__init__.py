"""Controls of the family RBAC, and what they share: each puts every service account of the stack on trial."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.probes.escalation import tried_namespaces
from pytest_k8ssec.probes.identities import Identity, RbacRules, service_account
from pytest_k8ssec.probes.places_by_rights import pairs_limit, places_by_rights
from pytest_k8ssec.reach.sampling import Sampling
from pytest_k8ssec.stack import ServiceAccount, Stack
from pytest_k8ssec.verdict import Case, Judge


def accounts_on_trial(
    judge: Judge, cluster: Cluster, stack: Stack, allowed: Mapping[str, str]
) -> Iterator[tuple[ServiceAccount, Identity, Case]]:
    """Each service account that is not declared, with a token of its own and a case that shows that the token is valid.

    Raises:
        ProbeError: no token was issued, or no HTTP answer came.
    """
    yield from _on_trial(judge, cluster, _undeclared(judge, stack, allowed))


def accounts_in_places(
    judge: Judge, cluster: Cluster, stack: Stack, allowed: Mapping[str, str], sampling: Sampling
) -> Iterator[tuple[ServiceAccount, Identity, Case, Mapping[str, RbacRules]]]:
    """The same, each with the namespaces that it has to try, and its rules in each of them.

    Many accounts in many namespaces try some of them, which is noted: see ``places_by_rights``.

    Raises:
        ProbeError: no token was issued, or no HTTP answer came.
    """
    accounts = _undeclared(judge, stack, allowed)
    limit = pairs_limit(sampling.limit)
    places = places_by_rights(cluster.api, accounts, tried_namespaces(stack), sampling.chosen, limit=limit)
    for account, identity, case in _on_trial(judge, cluster, accounts):
        rules = places.of(account, identity)
        for told in rules.values():
            case.positive("its rules can be read", told.evidence, succeeded=told.evidence.status == 201)
        yield account, identity, case, rules
    if places.words:
        judge.note(f"{places.words} (seed {sampling.seed})")


def _undeclared(judge: Judge, stack: Stack, allowed: Mapping[str, str]) -> list[ServiceAccount]:
    """The accounts to try; what is said of the others is noted."""
    judge.not_applicable("the stack has no service account that is not declared")
    accounts = stack.identities()
    for account in accounts:
        if str(account) in allowed:
            judge.note(f"{account} is declared: {allowed[str(account)]}")
    return [account for account in accounts if str(account) not in allowed]


def _on_trial(
    judge: Judge, cluster: Cluster, accounts: Iterable[ServiceAccount]
) -> Iterator[tuple[ServiceAccount, Identity, Case]]:
    for account in accounts:
        identity = service_account(cluster, account.namespace, account.name)
        case = judge.case(f"service account {account}")
        known = identity.who_am_i()
        case.positive("its token is valid", known, succeeded=identity.is_itself(known))
        yield account, identity, case
