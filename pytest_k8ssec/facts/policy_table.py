"""What policies should give between many sources and many ports at once.

Each rule is asked once which sources and which ports it is about. Sources that the same rules are about are one class, and
what the rules give is computed once for a class; what depends on the two ends alone (a pod reaches itself, a node its
pods) is added for each source. So the work grows with rules, classes and ports, and not with pods squared.

Where Kubernetes leaves something open, each answer is counted that a network may give: what is let through *surely* is let
through by all of them, and what is not let through even *perhaps* by none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress, groupby, islice
from types import MappingProxyType
from typing import NamedTuple

from pytest_k8ssec.facts.admin_policies import AdminPolicy
from pytest_k8ssec.facts.bits import Bits, alike, either_of, union
from pytest_k8ssec.facts.policies import End, Labels, Policy, policy_types
from pytest_k8ssec.facts.policy_index import EndIndex, PortIndex
from pytest_k8ssec.facts.policy_reasons import PolicyReasons
from pytest_k8ssec.facts.policy_tiers import Asked, TierRules

EndPort = tuple[End, int, str]
"""A port of an end, by number and protocol. It is the target pod's own: policies are applied after a Service's address was
translated."""
ANSWERS: tuple[bool | None, ...] = (False, True, None)
"""What a byte of a row means: blocked; let through; left to the network by Kubernetes, as where a pod leaves for the node
that it runs on, or where an end is a pod in its node's network."""


@dataclass(slots=True)
class _Rules:
    """What the rules of one direction let through, and whom policies hold there: targets, or for egress sources."""

    surely: dict[Bits, Bits] = field(default_factory=dict)
    """By sources, the targets that a rule is about."""
    perhaps: dict[Bits, Bits] = field(default_factory=dict)
    """The same where the network may take the rule to be about both."""
    held: Bits = 0
    perhaps_held: Bits = 0
    """Pods in their nodes' network that policies select, if they select such pods."""

    def add(self, sources: Bits, targets: Bits, also_sources: Bits, also_targets: Bits) -> None:
        """Add a rule; what is also there is only perhaps."""
        self.surely[sources] = self.surely.get(sources, 0) | targets
        if also_sources:
            self.perhaps[also_sources] = self.perhaps.get(also_sources, 0) | targets | also_targets
        if also_targets:
            self.perhaps[sources] = self.perhaps.get(sources, 0) | also_targets


class _Tiers(NamedTuple):
    """The rules of policies for the whole cluster, by direction: before NetworkPolicies, and after them."""

    admin_in: TierRules
    admin_out: TierRules
    baseline_in: TierRules
    baseline_out: TierRules

    @classmethod
    def of(cls, admin: Sequence[AdminPolicy], asked: Asked) -> _Tiers:
        """Those of some policies."""
        return cls(
            TierRules(admin, "Admin", "ingress", asked),
            TierRules(admin, "Admin", "egress", asked),
            TierRules(admin, "Baseline", "ingress", asked),
            TierRules(admin, "Baseline", "egress", asked),
        )


class PolicyTable:
    """Whether connections are let through; both what leaves and what enters must be.

    Args:
        policies: NetworkPolicy objects, those of all namespaces.
        sources: who sends.
        targets: what is sent to.
        admin: policies for the whole cluster, which come before and after those.
        nodes: the labels of each node.

    Raises:
        ValueError: an address, or a block of addresses, is none.
    """

    def __init__(
        self,
        policies: Iterable[Policy],
        sources: Sequence[End],
        targets: Sequence[EndPort],
        admin: Sequence[AdminPolicy] = (),
        nodes: Mapping[str, Labels] = MappingProxyType({}),
    ) -> None:
        self._sources = sources
        self._count = len(targets)
        self._policies, self._admin = tuple(policies), admin
        self._from = EndIndex((1 << number, end) for number, end in enumerate(sources))
        self._to = EndIndex(_grouped(targets))
        self._ports = PortIndex(targets)
        self._asked = Asked(self._from, self._to, self._ports, nodes)
        self._tiers = _Tiers.of(admin, self._asked)
        self._entering, self._leaving = _Rules(), _Rules()
        for policy in self._policies:
            types = policy_types(policy)
            if "Ingress" in types:
                self._enter(policy)
            if "Egress" in types:
                self._leave(policy)
        entering, leaving = self._entering, self._leaving
        sets = [*entering.surely, *entering.perhaps, *leaving.surely, *leaving.perhaps]
        tiers = [column for tier in self._tiers for column in tier.columns]
        self.classes, kinds = alike([*sets, leaving.held, leaving.perhaps_held, *tiers], len(sources))
        """By source: the number of its class."""
        about = [[*each.values()] for each in (entering.surely, entering.perhaps, leaving.surely, leaving.perhaps)]
        self._given = [self._of_kind(kind, about) for kind in kinds]

    def _enter(self, policy: Policy) -> None:
        """Take in what a policy lets into the pods that it selects."""
        namespace, spec = policy["metadata"]["namespace"], policy["spec"]
        selector = spec.get("podSelector") or {}
        held, perhaps = self._to.selected(namespace, selector), self._to.perhaps_selected(namespace, selector)
        if not (everyone := held | perhaps):
            return
        self._entering.held |= held
        self._entering.perhaps_held |= perhaps
        for rule in spec.get("ingress") or ():
            peers, ports = rule.get("from"), rule.get("ports")
            self._entering.add(
                self._from.named(peers, namespace),
                everyone & self._ports.opened(ports),
                self._from.perhaps_named(peers, namespace),
                everyone & self._ports.perhaps_opened(ports),
            )

    def _leave(self, policy: Policy) -> None:
        """Take in what a policy lets out of the pods that it selects."""
        namespace, spec = policy["metadata"]["namespace"], policy["spec"]
        selector = spec.get("podSelector") or {}
        held, perhaps = self._from.selected(namespace, selector), self._from.perhaps_selected(namespace, selector)
        if not (everyone := held | perhaps):
            return
        self._leaving.held |= held
        self._leaving.perhaps_held |= perhaps
        for rule in spec.get("egress") or ():
            named, opened = self._to.named(rule.get("to"), namespace), self._ports.opened(rule.get("ports"))
            also_named = self._to.perhaps_named(rule.get("to"), namespace)
            also_opened = self._ports.perhaps_opened(rule.get("ports"))
            surely = named & opened
            self._leaving.add(everyone, surely, 0, (named | also_named) & (opened | also_opened) & ~surely)

    def _of_kind(self, kind: Iterable[int], about: Sequence[Sequence[Bits]]) -> tuple[Bits, Bits]:
        """What a class of sources surely and what it perhaps gets through to, by the rules that are about them.

        Args:
            about: the targets of each rule: of those that surely let in, perhaps let in, surely let out, perhaps let out.
        """
        flags = iter(kind)
        entered, also_entered, left, also_left = (union(compress(each, islice(flags, len(each)))) for each in about)
        held, perhaps_held = (self._to.all if each else 0 for each in islice(flags, 2))
        to, tiers = self._entering, self._tiers
        before_in, before_out, after_in, after_out = ([*islice(flags, len(tier.columns))] for tier in tiers)
        enters = self._given_by(
            (tiers.admin_in, before_in),
            (entered, also_entered),
            (to.held, to.perhaps_held),
            (tiers.baseline_in, after_in),
        )
        leaves = self._given_by(
            (tiers.admin_out, before_out), (left, also_left), (held, perhaps_held), (tiers.baseline_out, after_out)
        )
        return enters[0] & leaves[0], enters[1] & leaves[1]

    def _given_by(
        self,
        admin: tuple[TierRules, Sequence[int]],
        rules: tuple[Bits, Bits],
        held: tuple[Bits, Bits],
        baseline: tuple[TierRules, Sequence[int]],
    ) -> tuple[Bits, Bits]:
        """What one direction surely and what it perhaps lets through, tier after tier.

        Args:
            admin: the rules before NetworkPolicies, and which of them are about the source.
            rules: the targets that rules of NetworkPolicies surely and perhaps let through, where they hold.
            held: the targets for which NetworkPolicies surely and perhaps hold.
            baseline: the rules after NetworkPolicies, and which of them are about the source.
        """
        surely, also = rules
        accepted, denied, live = admin[0].decided(admin[1], self._to.all)
        here = live & (held[0] | held[1])
        accepted |= here & (surely | also)
        denied |= here & ~surely
        more, fewer, rest = baseline[0].decided(baseline[1], live & ~held[0])
        accepted |= more | rest
        return accepted & ~(denied | fewer), accepted

    def row(self, source: int) -> bytes:
        """One byte for each target, in their order: an index of :data:`ANSWERS`."""
        surely, perhaps = self._sets(source)
        return either_of(surely, perhaps & ~surely, self._count)

    def answer(self, source: int, target: int) -> bool | None:
        """One connection; for many of a source, ask for its row."""
        surely, perhaps = (bool(each >> target & 1) for each in self._sets(source))
        return surely if surely is perhaps else None

    def _sets(self, source: int) -> tuple[Bits, Bits]:
        """The targets that a source is surely let through to, and those that it perhaps is."""
        end = self._sources[source]
        surely, perhaps = self._given[self.classes[source]]
        always: Bits = 0
        # What leaves for its own node Kubernetes leaves open; to a pod in its node's network, what reaches that node's pods.
        left_open = self._to.nodes_own.get(end.node, 0)
        if end.pod is not None:
            always = self._to.at_address.get(end.address, 0)  # a pod always reaches itself
        elif end.node and end.hosted is None:
            always = self._to.on_node.get(end.node, 0)  # and its node always reaches a pod
        elif end.node:
            left_open = self._to.on_node.get(end.node, 0)
        return surely | always, perhaps | always | left_open

    @cached_property
    def _reasons(self) -> PolicyReasons:
        return PolicyReasons(self._policies, self._admin, self._asked)

    def decided_by(self, source: int, target: int) -> str:
        """Which policies and rules decide a connection, in words."""
        end, bit = self._sources[source], 1 << target
        if end.pod is not None and self._to.at_address.get(end.address, 0) & bit:
            return "no policy: a pod always reaches itself"
        if end.pod is None and end.hosted is None and end.node and self._to.on_node.get(end.node, 0) & bit:
            return "no policy: a node always reaches what runs on it"
        return self._reasons.of(source, target)

    def isolates_source(self, source: int) -> bool:
        """Whether some policy selects a source for what leaves it, or may: only then anything is forbidden there."""
        subjects = self._tiers.admin_out.subjects | self._tiers.baseline_out.subjects
        return bool((self._leaving.held | self._leaving.perhaps_held | subjects) >> source & 1)

    def isolates_target(self, target: int) -> bool:
        """The same of a target, for what enters."""
        subjects = self._tiers.admin_in.subjects | self._tiers.baseline_in.subjects
        return bool((self._entering.held | self._entering.perhaps_held | subjects) >> target & 1)


def _grouped(targets: Sequence[EndPort]) -> Iterable[tuple[Bits, End]]:
    """Each end once, where its ports come one after the other."""
    first = 0
    for _, ports in groupby(targets, key=lambda each: id(each[0])):
        ends = [end for end, _, _ in ports]
        yield ((1 << len(ends)) - 1) << first, ends[0]
        first += len(ends)
