"""What NetworkPolicies should give between many sources and many ports at once.

Each rule is asked once which sources and which ports it is about. Sources that the same rules are about are one class, and
what the rules give is computed once for a class; what depends on the two ends alone (a pod reaches itself, a node its
pods) is added for each source. So the work grows with rules, classes and ports, and not with pods squared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress, groupby

from pytest_k8ssec.facts.bits import Bits, alike, spread, union
from pytest_k8ssec.facts.policies import End, Policy, policy_types
from pytest_k8ssec.facts.policy_index import EndIndex, PortIndex

EndPort = tuple[End, int, str]
"""A port of an end, by number and protocol. It is the target pod's own: policies are applied after a Service's address was
translated."""
ANSWERS: tuple[bool | None, ...] = (False, True, None)
"""What a byte of a row means: blocked; let through; left to the network by Kubernetes, as where a pod leaves for the node
that it runs on."""
_EITHER = 2


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
        self._isolated_from: Bits = 0
        self._isolated_to: Bits = 0
        entering: dict[Bits, Bits] = {}
        leaving: dict[Bits, Bits] = {}
        ports = PortIndex(targets)
        for policy in policies:
            namespace, spec, types = policy["metadata"]["namespace"], policy["spec"], policy_types(policy)
            selector = spec.get("podSelector") or {}
            if "Ingress" in types and (held := self._to.selected(namespace, selector)):
                self._isolated_to |= held
                for rule in spec.get("ingress") or ():
                    named = self._from.named(rule.get("from"), namespace)
                    entering[named] = entering.get(named, 0) | held & ports.opened(rule.get("ports"))
            if "Egress" in types and (held := self._from.selected(namespace, selector)):
                self._isolated_from |= held
                for rule in spec.get("egress") or ():
                    named = self._to.named(rule.get("to"), namespace)
                    leaving[held] = leaving.get(held, 0) | named & ports.opened(rule.get("ports"))
        self.classes, kinds = alike([*entering, *leaving, self._isolated_from], len(sources))
        """By source: the number of its class."""
        self._given = [self._of_kind(kind, [*entering.values()], [*leaving.values()]) for kind in kinds]

    def _of_kind(self, kind: tuple[int, ...], entering: Sequence[Bits], leaving: Sequence[Bits]) -> tuple[Bits, Bits]:
        """What leaves a class of sources, and what of that enters, by the rules that are about them."""
        isolated = kind[-1]
        left = union(compress(leaving, kind[len(entering) :])) if isolated else self._to.all
        entered = self._to.all & ~self._isolated_to | union(compress(entering, kind))
        return left, left & entered

    def row(self, source: int) -> bytes:
        """One byte for each target, in their order: an index of :data:`ANSWERS`."""
        allowed, either = self._sets(source)
        row = spread(allowed, self._count)
        if not either:
            return row
        undecided = spread(either, self._count)
        return bytes(_EITHER if open_to_both else answer for answer, open_to_both in zip(row, undecided, strict=True))

    def answer(self, source: int, target: int) -> bool | None:
        """One connection; for many of a source, ask for its row."""
        allowed, either = self._sets(source)
        return None if either >> target & 1 else bool(allowed >> target & 1)

    def _sets(self, source: int) -> tuple[Bits, Bits]:
        """The targets that a source is let through to, and those that Kubernetes says nothing of."""
        end = self._sources[source]
        left, allowed = self._given[self.classes[source]]
        always: Bits = 0
        if end.pod is not None:
            always = self._to.at_address.get(end.address, 0)  # a pod always reaches itself
        elif end.node:
            always = self._to.on_node.get(end.node, 0)  # and its node always reaches a pod
        either = self._to.nodes_own.get(end.node, 0) & ~left & ~always
        return allowed | always, either

    def isolates_source(self, source: int) -> bool:
        """Whether some policy selects a source for what leaves it: only then anything is forbidden there."""
        return bool(self._isolated_from >> source & 1)

    def isolates_target(self, target: int) -> bool:
        """The same of a target, for what enters."""
        return bool(self._isolated_to >> target & 1)


def _grouped(targets: Sequence[EndPort]) -> Iterable[tuple[Bits, End]]:
    """Each end once, where its ports come one after the other."""
    first = 0
    for _, ports in groupby(targets, key=lambda each: id(each[0])):
        ends = [end for end, _, _ in ports]
        yield ((1 << len(ends)) - 1) << first, ends[0]
        first += len(ends)
