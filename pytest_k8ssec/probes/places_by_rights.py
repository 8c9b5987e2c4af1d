"""In which namespaces an account tries what it may, where accounts and namespaces are too many to try each in each.

Namespaces in which RBAC's objects give an account the same rules are one class to it: what the authorizer answers in one of
them it answers in the others. Every account tries its own namespace and one of each class, and some more are tried by
chance. In each of these the API server is asked for its own list of the account's rules. Where that list is not complete,
as beside an authorizer that can't list, or is another one than the objects give, nothing is known by class, and the
account tries every namespace.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.facts.rbac_rights import GrantedRights, granted_rights, rule_set
from pytest_k8ssec.probes.identities import Identity, RbacRules
from pytest_k8ssec.stack import ServiceAccount

PAIRS_MAX = 200
"""Up to so many pairs of an account and a namespace all are tried; with two dozen requests for each, that takes seconds."""
ChooseSome = Callable[[Sequence[Hashable], str], frozenset[int]]
"""Chooses one of each class, and some of the others: from the class of each, and the name of it all; their indices."""


@dataclass(slots=True)
class PlacesByRights:
    """The namespaces that each account tries, and how much of it all was told by class."""

    namespaces: Sequence[str]
    granted: GrantedRights | None
    """None where each account tries each namespace."""
    chosen: frozenset[tuple[str, str]] = frozenset()
    """Pairs of account and namespace."""
    tried: int = 0
    """Pairs; so is the next one."""
    by_class: int = 0
    untold: list[str] = field(default_factory=list)
    """Accounts for which nothing is known by class."""

    def of(self, account: ServiceAccount, identity: Identity) -> dict[str, RbacRules]:
        """The namespaces that an account has to try, each with its rules there as the API server lists them.

        Raises:
            ProbeError: no HTTP answer came.
        """
        known = self.granted
        rules: dict[str, RbacRules] = {}
        if known is not None:
            mine = [name for name in self.namespaces if (str(account), name) in self.chosen]
            rules = {name: identity.rules(name) for name in mine}
            if any(not _agree(told, known, account, name) for name, told in rules.items()):
                self.untold.append(str(account))
                known = None
        if known is None:
            rules = {name: rules.get(name) or identity.rules(name) for name in self.namespaces}
        self.tried += len(rules)
        self.by_class += len(self.namespaces) - len(rules)
        return rules

    @property
    def words(self) -> str:
        """How much is told by class, and by what; "" where all was tried, as it always is of a few."""
        if self.granted is None:
            return ""
        untold = (
            f"; the API server lists other rules than its objects give, or can't list them all, for {len(self.untold)}"
            f" accounts, which tried every namespace: {', '.join(self.untold[:5])}"
            if self.untold
            else ""
        )
        return (
            f"{self.tried} pairs of account and namespace were tried, {self.by_class} are told by class: an account tried its own"
            " namespace and one of each that RBAC gives it the same rules in, and some more by chance" + untold
        )


def places_by_rights(
    api: KubeApi, accounts: Iterable[ServiceAccount], namespaces: Sequence[str], chosen: ChooseSome, *, limit: float
) -> PlacesByRights:
    """What each of these accounts tries of these namespaces.

    Args:
        chosen: what chance decides.
        limit: up to so many pairs all are tried.
    """
    pairs = [(account, name) for account in accounts for name in namespaces]
    granted = granted_rights(api) if len(pairs) > limit else None
    if granted is None:
        return PlacesByRights(namespaces, None)
    classes = [(str(account), granted.of(account.namespace, account.name, name)) for account, name in pairs]
    at = chosen(classes, "rights")
    mine = {number for number, (account, name) in enumerate(pairs) if name == account.namespace}
    return PlacesByRights(
        namespaces, granted, frozenset((str(pairs[number][0]), pairs[number][1]) for number in at | mine)
    )


def pairs_limit(limit: float) -> float:
    """How many pairs are too many to try all, where so many pods are: infinity for those who want nothing by class."""
    return math.inf if math.isinf(limit) else PAIRS_MAX


def _agree(told: RbacRules, known: GrantedRights, account: ServiceAccount, where: str) -> bool:
    return (
        told.evidence.status == 201
        and told.complete
        and rule_set(told.rules) == known.of(account.namespace, account.name, where)
    )
