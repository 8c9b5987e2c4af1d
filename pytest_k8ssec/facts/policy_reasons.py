"""Which policy decides a connection: its kind, its name and its rule, for each direction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pytest_k8ssec.facts.admin_policies import ACCEPTS, PEERS_OF, AdminPolicy, Direction, Tier
from pytest_k8ssec.facts.bits import Bits
from pytest_k8ssec.facts.policies import Policy, policy_types
from pytest_k8ssec.facts.policy_tiers import Asked, TierRule, TierRules
from pytest_k8ssec.plain import few

_WORDS: dict[Direction, str] = {"egress": "leaving", "ingress": "entering"}


@dataclass(frozen=True, slots=True)
class _Held:
    """A NetworkPolicy in one direction."""

    name: str
    ends: Bits
    """Whom it selects, or may: sources of what leaves, targets of what enters."""
    rules: Sequence[tuple[Bits, Bits]]
    """For each rule the sources and the targets that it may be about."""


class PolicyReasons:
    """What decides each of many connections; the objects are read once, when the first is asked for.

    Args:
        policies: NetworkPolicy objects, those of all namespaces.
        admin: policies for the whole cluster.
        asked: the sources and targets, as indexed for the table.
    """

    def __init__(self, policies: Iterable[Policy], admin: Sequence[AdminPolicy], asked: Asked) -> None:
        self._asked = asked
        self._policies: dict[Direction, list[_Held]] = {"egress": [], "ingress": []}
        for policy in policies:
            for way in self._policies:
                if way.capitalize() in policy_types(policy):
                    self._policies[way].append(self._held(policy, way))
        self._tiers: dict[tuple[Tier, Direction], TierRules] = {
            (tier, way): TierRules(admin, tier, way, asked) for tier in ("Admin", "Baseline") for way in _WORDS
        }
        self._at = lru_cache(maxsize=4)(self._of_source)

    def of(self, source: int, target: int) -> str:
        """What decides a connection, in words; the part that lets it through as well as the part that does not."""
        found = [(way, self._at(way, source)) for way in _WORDS]
        said = [(_WORDS[way], words) for way, stages in found if (words := self._decided(stages, source, target, way))]
        return "; ".join(f"{way}: {words}" for way, words in said) or "no policy"

    def _held(self, policy: Policy, way: Direction) -> _Held:
        namespace, spec = policy["metadata"]["namespace"], policy["spec"]
        selector = spec.get("podSelector") or {}
        asked, egress = self._asked, way == "egress"
        mine, others = (asked.sources, asked.targets) if egress else (asked.targets, asked.sources)
        ends = mine.selected(namespace, selector) | mine.perhaps_selected(namespace, selector)
        rules: list[tuple[Bits, Bits]] = []
        for rule in spec.get(way) or ():
            peers, ports = rule.get(PEERS_OF[way]), rule.get("ports")
            named = others.named(peers, namespace) | others.perhaps_named(peers, namespace)
            opened = asked.ports.opened(ports) | asked.ports.perhaps_opened(ports)
            rules.append((ends, named & opened) if egress else (named, ends & opened))
        return _Held(f"{namespace}/{policy['metadata'].get('name', '')}", ends, rules)

    def _of_source(self, way: Direction, source: int) -> tuple[list[list[TierRule]], list[_Held], list[list[TierRule]]]:
        """What may decide for a source: the tier Admin by priority, NetworkPolicies, the tier Baseline by priority."""
        here = [each for each in self._policies[way] if way == "ingress" or each.ends >> source & 1]
        return self._groups("Admin", way, source), here, self._groups("Baseline", way, source)

    def _groups(self, tier: Tier, way: Direction, source: int) -> list[list[TierRule]]:
        return [
            [rule for rules in group for rule in rules if rule.sources >> source & 1]
            for group in self._tiers[tier, way].groups
        ]

    def _decided(
        self,
        stages: tuple[list[list[TierRule]], list[_Held], list[list[TierRule]]],
        source: int,
        target: int,
        way: Direction,
    ) -> str:
        before, policies, after = stages
        first, is_last = _by_tier(before, target, way)
        if is_last:
            return first
        held = [each for each in policies if way == "egress" or each.ends >> target & 1]
        last = _by_policies(held, source, target) if held else _by_tier(after, target, way)[0]
        return ", then ".join(each for each in (first, last) if each)


def _by_tier(groups: Sequence[Sequence[TierRule]], target: int, way: Direction) -> tuple[str, bool]:
    """The first rules that are about a target, or may be, and whether nothing after them can decide."""
    said: list[str] = []
    for group in groups:
        if about := [*_first_of_each(group, target)]:
            said.append(" or ".join(f"{_rule(rule, way)} ({rule.action})" for rule in about))
            if any(rule.targets >> target & 1 for rule in about):
                return ", then ".join(said), all(rule.action in (*ACCEPTS, "Deny") for rule in about)
    return ", then ".join(said), False


def _first_of_each(rules: Iterable[TierRule], target: int) -> Iterator[TierRule]:
    """Of each policy the first rule that is about a target, and those before it that may be."""
    settled: set[str] = set()
    for rule in rules:
        if str(rule.policy) not in settled and rule.about >> target & 1:
            yield rule
            if rule.targets >> target & 1:
                settled.add(str(rule.policy))


def _rule(rule: TierRule, way: Direction) -> str:
    name = rule.policy.rules(way)[rule.number - 1].get("name")
    return f"{rule.policy}, rule {rule.number}{f' {name!r}' if name else ''}"


def _by_policies(held: Sequence[_Held], source: int, target: int) -> str:
    fits = [
        f"NetworkPolicy {each.name}, rule {number}"
        for each in held
        for number, (sources, targets) in enumerate(each.rules, 1)
        if sources >> source & 1 and targets >> target & 1
    ]
    return few(fits) if fits else f"no rule of NetworkPolicy {few([each.name for each in held])}"
