"""Controls of the family RBAC, and what they share: each puts every service account of the stack on trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_k8ssec.catalogue.declared import Declared
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.probes.identities import Identity, service_account
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
    declared, accounts = Declared(judge, allowed), stack.identities()
    left = [each for each in accounts if not declared.covers(str(each), f"ServiceAccount {each}")]
    declared.tell_unused()
    for account in left:
        identity = service_account(cluster, account.namespace, account.name)
        case = judge.case(f"service account {account}")
        known = identity.who_am_i()
        case.positive("its token is valid", known, succeeded=identity.is_itself(known))
        yield account, identity, case
