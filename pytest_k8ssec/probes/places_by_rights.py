"""In which places an account tries what it may, where accounts and namespaces are too many to try each in each.

A *place* is a namespace, or ("") the cluster. Accounts to which RBAC's objects give the same rules in a place are one class
there, and places in which they give an account the same rules are one class to it: what the authorizer answers one of them
it answers the others. So one pair of account and place of each class is tried, and some more by chance. Each account is asked
for its own rules: where the API server's list of them is not complete, as beside an authorizer that can't list, or is another
one than the objects give, nothing of that account is told by class, and it tries every place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.facts.rbac_rights import GrantedRights, granted_rights, rule_set
from pytest_k8ssec.probes.identities import RbacRules
from pytest_k8ssec.stack import ServiceAccount

PAIRS_MAX = 200
"""Up to so many pairs of an account and a namespace all are tried; with two dozen requests for each, that takes seconds."""
ChooseSome = Callable[[Sequence[Hashable], str], frozenset[int]]
"""Chooses one of each class, and some of the others: from the class of each, and the name of it all; their indices."""


@dataclass(frozen=True, slots=True)
class RightsClass:
    """What all pairs of one class have in common."""

    rules: Hashable
    of_cluster: bool


@dataclass(slots=True)
class PlacesByRights:
    """Which pairs of account and place are tried, and what came of those of each class."""

    namespaces: Sequence[str]
    granted: GrantedRights | None
    """None where each account tries each place."""
    chosen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By account, the places that it tries whatever comes of them."""
    answers: dict[RightsClass, dict[bool | None, str]] = field(default_factory=dict)
    """By class, what came of the pairs that were tried (whether anything got through, None where that can't be told), and
    the first pair of which that is true, in words."""
    tried: int = 0
    """Pairs; so is the next one."""
    by_class: int = 0
    untold: list[str] = field(default_factory=list)
    """Accounts of which nothing is told by class."""

    def agrees(self, account: ServiceAccount, rules: Mapping[str, RbacRules]) -> bool:
        """Whether the API server's own lists of an account's rules, by namespace, are what RBAC's objects give."""
        known = self.granted
        if known is None:
            return False
        return all(
            told.evidence.status == 201
            and told.complete
            and rule_set(told.rules) == known.of(account.namespace, account.name, where)
            for where, told in rules.items()
        )

    def classes_of(self, account: ServiceAccount) -> dict[RightsClass, list[str]]:
        """An account's places, by their class to it; its own namespace comes first."""
        assert self.granted is not None
        found: dict[RightsClass, list[str]] = {}
        for where in sorted((*self.namespaces, ""), key=lambda name: name != account.namespace):
            found.setdefault(_class_of(self.granted, account, where), []).append(where)
        return found

    def note(self, account: ServiceAccount, where: str, *, through: bool | None) -> None:
        """Note what came of one pair that was tried."""
        assert self.granted is not None
        words = f"{account} in {where or 'the cluster'}"
        self.answers.setdefault(_class_of(self.granted, account, where), {}).setdefault(through, words)

    @property
    def words(self) -> str:
        """How much is told by class, and by what; "" where all was tried, as it always is of a few."""
        if self.granted is None:
            return ""
        untold = (
            f"; of {len(self.untold)} accounts nothing is, as the API server lists other rules of theirs than these objects give,"
            f" or can't list them all: {', '.join(self.untold[:5])}"
            if self.untold
            else ""
        )
        return (
            f"{self.tried} pairs of an account and a place (a namespace, or the cluster) were tried, and of {self.by_class} it is told"
            f" by class: RBAC's objects give them one of {len(self.answers)} sets of rules, and of each set some pairs were tried"
            + untold
        )


def places_by_rights(
    api: KubeApi, accounts: Iterable[ServiceAccount], namespaces: Sequence[str], choose: ChooseSome, *, limit: float
) -> PlacesByRights:
    """What each of these accounts tries of these namespaces and in the cluster.

    Args:
        choose: what chance decides.
        limit: up to so many pairs of account and namespace all are tried.
    """
    accounts = list(accounts)
    granted = granted_rights(api) if len(accounts) * len(namespaces) > limit else None
    if granted is None:
        return PlacesByRights(namespaces, None)
    pairs = [(account, where) for account in accounts for where in (*namespaces, "")]
    at = choose([_class_of(granted, *pair) for pair in pairs], "rights")
    chosen: dict[str, tuple[str, ...]] = {}
    for account, where in (pairs[number] for number in sorted(at)):
        chosen[str(account)] = (*chosen.get(str(account), ()), where)
    return PlacesByRights(namespaces, granted, chosen)


def pairs_limit(limit: float) -> float:
    """How many pairs are too many to try all, where so many pods are: infinity for those who want nothing by class."""
    return math.inf if math.isinf(limit) else PAIRS_MAX


def _class_of(granted: GrantedRights, account: ServiceAccount, where: str) -> RightsClass:
    return RightsClass(granted.of(account.namespace, account.name, where), of_cluster=not where)
