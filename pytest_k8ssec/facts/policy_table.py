"""What NetworkPolicies should give between many sources and many ports at once.

Each rule is asked once which sources and which ports it is about. Sources that the same rules are about are one class, and
what the rules give is computed once for a class; what depends on the two ends alone (a pod reaches itself, a node its
pods) is added for each source. So the work grows with rules, classes and ports, and not with pods squared.

Where Kubernetes leaves something open, each answer is counted that a network may give: what is let through *surely* is let
through by all of them, and what is not let through even *perhaps* by none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress, groupby, islice

from pytest_k8ssec.facts.bits import Bits, alike, either_of, union
from pytest_k8ssec.facts.policies import End, Policy, policy_types
from pytest_k8ssec.facts.policy_index import EndIndex, PortIndex

EndPort = tuple[End, int, str]
"""A port of an end, by number and protocol. It is the target pod's own: policies are applied after a Service's address was
translated."""
ANSWERS: tuple[bool | None, ...] = (False, True, None)
"""What a byte of a row means: blocked; let through; left to the network by Kubernetes, as where a pod leaves for the node
that it runs on, or where an end is a pod in its node's network."""


@dataclass(slots=True)
class _Direction:
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


class PolicyTable:
    """Whether connections are let through; both what leaves and what enters must be.

    Args:
        policies: NetworkPolicy objects, those of all namespaces.
        sources: who sends.
        targets: what is sent to.

    Raises:
        ValueError: an address, or a block of addresses, is none.
    """

    def __init__(self, policies: Iterable[Policy], sources: Sequence[End], targets: Sequence[EndPort]) -> None:
        self._sources = sources
        self._count = len(targets)
        self._from = EndIndex((1 << number, end) for number, end in enumerate(sources))
        self._to = EndIndex(_grouped(targets))
        self._ports = PortIndex(targets)
        self._entering, self._leaving = _Direction(), _Direction()
        for policy in policies:
            types = policy_types(policy)
            if "Ingress" in types:
                self._enter(policy)
            if "Egress" in types:
                self._leave(policy)
        entering, leaving = self._entering, self._leaving
        sets = [*entering.surely, *entering.perhaps, *leaving.surely, *leaving.perhaps]
        self.classes, kinds = alike([*sets, leaving.held, leaving.perhaps_held], len(sources))
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
        held, perhaps_held = flags
        everything, to = self._to.all, self._entering
        surely = (left if held or perhaps_held else everything) & (everything & ~(to.held | to.perhaps_held) | entered)
        perhaps = (left | also_left if held else everything) & (everything & ~to.held | entered | also_entered)
        return surely, perhaps

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

    def isolates_source(self, source: int) -> bool:
        """Whether some policy selects a source for what leaves it, or may: only then anything is forbidden there."""
        return bool((self._leaving.held | self._leaving.perhaps_held) >> source & 1)

    def isolates_target(self, target: int) -> bool:
        """The same of a target, for what enters."""
        return bool((self._entering.held | self._entering.perhaps_held) >> target & 1)


def _grouped(targets: Sequence[EndPort]) -> Iterable[tuple[Bits, End]]:
    """Each end once, where its ports come one after the other."""
    first = 0
    for _, ports in groupby(targets, key=lambda each: id(each[0])):
        ends = [end for end, _, _ in ports]
        yield ((1 << len(ends)) - 1) << first, ends[0]
        first += len(ends)
