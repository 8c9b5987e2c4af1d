"""What the rules of one tier of cluster-wide policies decide, among many sources and many ports at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from pytest_k8ssec.evidence import JSON
from pytest_k8ssec.facts.admin_policies import ACCEPTS, PEERS_OF, AdminPolicy, Direction, Tier, peer_of, ports_of
from pytest_k8ssec.facts.bits import Bits, union
from pytest_k8ssec.facts.policies import Labels
from pytest_k8ssec.facts.policy_index import EndIndex, PortIndex


@dataclass(frozen=True, slots=True)
class TierRule:
    """One rule: from these sources to these targets."""

    policy: AdminPolicy
    number: int
    """Counted from 1, in its policy and direction."""
    action: str
    sources: Bits
    targets: Bits
    perhaps: Bits
    """Further targets that it may be about: names of domains may lead anywhere."""

    @property
    def about(self) -> Bits:
        """All targets that it may be about."""
        return self.targets | self.perhaps


@dataclass(frozen=True, slots=True)
class Asked:
    """What rules are asked about."""

    sources: EndIndex
    targets: EndIndex
    ports: PortIndex
    nodes: Mapping[str, Labels]
    """The labels of each node."""


class TierRules:
    """The rules of one tier in one direction.

    Args:
        policies: cluster-wide ones, of every tier.
    """

    def __init__(self, policies: Iterable[AdminPolicy], tier: Tier, way: Direction, asked: Asked) -> None:
        mine = sorted((each for each in policies if each.tier == tier), key=attrgetter("priority"))
        self.groups: list[list[list[TierRule]]] = [
            [_rules(policy, way, asked) for policy in group] for _, group in groupby(mine, key=attrgetter("priority"))
        ]
        """By priority the policies, and the rules of each in their order."""
        self.columns: list[Bits] = [rule.sources for group in self.groups for rules in group for rule in rules]
        """The sources of each rule."""
        ends = asked.sources if way == "egress" else asked.targets
        self.subjects: Bits = union(ends.peer(each.subject, "") for each in mine if each.rules(way))
        """The ends that some rule is for."""

    def decided(self, about: Iterable[int], live: Bits) -> tuple[Bits, Bits, Bits]:
        """What is perhaps accepted, what is perhaps denied, and what may go on to the next tier.

        Of policies of one priority any may come first.

        Args:
            about: for each rule in the order of :attr:`columns`, whether its sources have the source in question.
            live: the targets that are asked about.
        """
        flags = iter(about)
        accepted = denied = passed = 0
        for group in self.groups:
            rest = live
            for rules in group:
                left = live
                for rule in rules:
                    if not next(flags):
                        continue
                    hit = rule.about & left
                    if rule.action in ACCEPTS:
                        accepted |= hit
                    elif rule.action == "Deny":
                        denied |= hit
                    else:
                        passed |= hit
                    left &= ~rule.targets
                rest &= left
            live = rest
        return accepted, denied, passed | live


def _rules(policy: AdminPolicy, way: Direction, asked: Asked) -> list[TierRule]:
    ends = asked.sources if way == "egress" else asked.targets
    subject = ends.peer(policy.subject, "")
    found: list[TierRule] = []
    for number, rule in enumerate(policy.rules(way), 1):
        opened, also_opened = asked.ports.opened(ports_of(rule)), asked.ports.perhaps_opened(ports_of(rule))
        peers: Sequence[Mapping[str, JSON]] = rule[PEERS_OF[way]]
        if way == "ingress":
            named = union(peer_ends(each, asked.sources, asked.nodes) for each in peers)
            found.append(TierRule(policy, number, rule["action"], named, subject & opened, 0))
            continue
        named = union(peer_ends(each, asked.targets, asked.nodes) for each in peers)
        anywhere = asked.targets.all if any("domainNames" in each for each in peers) else named
        perhaps = anywhere & (opened | also_opened) & ~(named & opened)
        found.append(TierRule(policy, number, rule["action"], subject, named & opened, perhaps))
    return found


def peer_ends(peer: Mapping[str, JSON], ends: EndIndex, nodes: Mapping[str, Labels]) -> Bits:
    """The ends that a peer of a cluster-wide policy surely names.

    Args:
        nodes: the labels of each node.
    """
    if "networks" in peer:
        return union(ends.peer({"ipBlock": {"cidr": each}}, "") for each in peer["networks"])
    if "nodes" in peer:
        return ends.of_nodes(peer["nodes"], nodes)
    return 0 if "domainNames" in peer else ends.peer(peer_of(peer), "")
