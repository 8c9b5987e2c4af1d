"""Whose labels an attacker wears, where those that policies let in somewhere are too many to wear all of them.

From a namespace of ours all attackers send whatever they wear. Labels for which every selector and every peer of every policy
answers alike there are one class: no policy tells them apart. One of each class is worn, and some more by chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pytest_k8ssec.facts.admin_policies import AdminPolicy
from pytest_k8ssec.facts.pod_classes import NO_PORT, pod_classes
from pytest_k8ssec.facts.policies import End, Labels, Peer, Policy
from pytest_k8ssec.facts.policy_kinds import OtherPolicies
from pytest_k8ssec.reach.sampling import Sampling

ATTEMPTS_MAX = 400
"""Up to so many connections (of one whose labels are worn, to one target) all are tried; what takes time are the pods, one for
each set of labels."""
WORN_BY_CHANCE = 12
"""How many of those are worn too that are like another one: if one in five behaves unlike its class, one of those is among 12
with a probability of 93 %."""


def worn(
    clients: Mapping[str, Labels],
    targets: int,
    policies: Iterable[Policy],
    home: tuple[str, Labels],
    sampling: Sampling,
    others: OtherPolicies | None = None,
) -> tuple[dict[str, Labels], str]:
    """The labels to wear, by whose they are: each set once.

    Args:
        clients: the labels of all whom some policy lets in somewhere.
        targets: how many ports are tried by each.
        policies: those of all namespaces that are tried.
        home: the attackers' namespace and its labels.
        sampling: what chance decides; infinity as its limit wears all.
        others: the policies that are no NetworkPolicies. Where some of them are not read, nobody knows the classes: all are worn.

    Returns:
        the labels, and in words how many are not worn; "" where all are.
    """
    whose: dict[frozenset[tuple[str, str]], str] = {}
    for name, labels in clients.items():
        whose.setdefault(frozenset(labels.items()), name)
    names = list(whose.values())
    few_enough = len(names) * targets <= ATTEMPTS_MAX
    if math.isinf(sampling.limit) or few_enough or (others is not None and others.strange):
        return {name: clients[name] for name in names}, ""
    classes = label_classes([clients[name] for name in names], policies, home, others.admin if others else ())
    some = replace(sampling, sample=WORN_BY_CHANCE)
    chosen = {names[number]: clients[names[number]] for number in sorted(some.chosen(classes, "worn labels"))}
    words = (
        f"{len(chosen)} of {len(names)} sets of labels of allowed clients were worn: one of each of {len(set(classes))} classes"
        f" that policies tell apart, and the others by chance (seed {sampling.seed}); of the rest it is told by class"
    )
    return chosen, words if len(chosen) < len(names) else ""


def label_classes(
    worn_ones: Sequence[Labels],
    policies: Iterable[Policy],
    home: tuple[str, Labels],
    admin: Iterable[AdminPolicy] = (),
) -> list[int]:
    """The number of each one's class, in their order; where an attacker's address would be in a block is not known yet."""
    number, protocol = NO_PORT
    ends = [(End("", pod=Peer(*home, labels)), number, protocol) for labels in worn_ones]
    return pod_classes(policies, ends, admin)
