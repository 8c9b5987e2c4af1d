"""The places that can send, and the destinations that each of them connects to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise, starmap
from typing import Literal

from pytest_k8ssec.agent.vantage import Vantage
from pytest_k8ssec.facts.policies import End, Policy
from pytest_k8ssec.facts.policy_kinds import OtherPolicies
from pytest_k8ssec.facts.policy_table import ANSWERS, PolicyTable
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.reach.measure import Dial

ELSEWHERE = "elsewhere"
OUTSIDE = "outside"
NODE = "node"
PURPOSE = "reach"
"""Purpose of a namespace of ours, which no policy of the stack selects, and of the pods in it."""

Way = Literal["pod", "service", "name", "node"]


@dataclass(frozen=True, slots=True)
class Origin:
    """A place that sends."""

    name: str
    """``web/storefront``; ``web/*``, a pod of that namespace without labels; ``elsewhere``, one of a foreign namespace;
    ``node/NAME``; ``outside``."""
    end: End
    """As policies see it."""
    vantage: Vantage
    listener: Dial | None = None
    """Its own listener: its node connects to it, to show that its network works."""
    spec: PodSpec | None = None
    """How to make more pods like it."""
    since: float = float("-inf")
    """When it was seen to run, if it is a pod of ours; by this process's monotonic clock."""
    kin: int | None = None
    """Number of its class; None for what has none, as a node."""
    measured: bool = True
    """Whether anything is sent from there; if not, some other of its class sends."""

    @property
    def namespace(self) -> str:
        """Its namespace, or the name of its group if it is in none."""
        return self.name.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Local:
    """A traffic policy of a Service, by which what arrives at a node is led to pods of that node only, or dropped."""

    field: str
    """``externalTrafficPolicy`` or ``internalTrafficPolicy``."""
    nodes: frozenset[str]
    """Those that a ready pod behind it runs on."""


@dataclass(frozen=True, slots=True)
class Destination:
    """One port, by one of the ways that lead to it."""

    name: str
    """``payments/api``, or ``node/NAME``."""
    way: Way
    dial: Dial
    port: int
    """The listener's own: a Service may give it another number."""
    words: str
    """Which way this is: ``pod api-7d9f``, ``Service payments/api``."""
    ends: tuple[End, ...]
    """Where it can lead to."""
    listeners: tuple[Dial, ...] = ()
    """The addresses behind a Service; empty for what is dialled directly."""
    pod: str = ""
    """The uid of the pod whose port it is; "" for what leads through a Service or a node, and for a node's own port."""
    kin: int | None = None
    """Number of its class; None for what has none, as a Service."""
    measured: bool = True
    """Whether pods connect to it; machines connect to everything."""
    node: str = ""
    """The node whose port leads through to a Service; "" for any other way."""
    local: Local | None = None
    """What keeps a Service to one node's pods; None if nothing does."""

    @property
    def namespace(self) -> str:
        """Of the stack, or ``node``."""
        return self.name.partition("/")[0]

    @property
    def subject(self) -> str:
        """``payments/api:8080/TCP``: what a declaration speaks of."""
        return f"{self.name}:{self.port}/{self.dial.protocol}"


@dataclass(frozen=True)
class Places:
    """All of a cluster that reachability is about."""

    origins: tuple[Origin, ...]
    destinations: tuple[Destination, ...]
    policies: tuple[Policy, ...]
    notes: tuple[str, ...] = ()
    """What could not be measured from here, and why."""
    lives: Mapping[Dial, frozenset[str]] = field(default_factory=dict)
    """The pods that listen at an address, each as :func:`pytest_k8ssec.reach.pod_identity.life` tells it."""
    born: float = float("-inf")
    """When the newest pod or policy was created, by this process's monotonic clock."""
    seed: int | None = None
    """What chose the pods that are measured; None where all are."""
    others: OtherPolicies = field(default_factory=OtherPolicies)
    """The policies beside NetworkPolicies. With kinds that are not read here, nobody knows what policies should give."""

    @cached_property
    def _leads_to(self) -> tuple[range, ...]:
        """By destination: which of the table's targets it can lead to."""
        firsts = list(accumulate((len(each.ends) for each in self.destinations), initial=0))
        return tuple(starmap(range, pairwise(firsts)))

    @cached_property
    def _table(self) -> PolicyTable:
        """What the policies should give: computed once for all that ask."""
        targets = [(end, each.port, each.dial.protocol) for each in self.destinations for end in each.ends]
        sources = [origin.end for origin in self.origins]
        return PolicyTable(self.policies, sources, targets, self.others.admin, self.others.nodes)

    def concerns(self, origin: Origin) -> list[int]:
        """Indices of the destinations that there is a cell for, from an origin.

        The outside connects to nodes only: nobody sends to pod addresses from there. A node has another resolver than
        pods.
        """
        ways: tuple[Way, ...] = ("pod", "service", "name", "node")
        if origin.name == OUTSIDE:
            ways = ("node",)
        elif origin.namespace == NODE:
            ways = ("pod", "service", "node")
        return [number for number, each in enumerate(self.destinations) if each.way in ways]

    def asked(self, origin: Origin) -> list[int]:
        """Indices of the destinations that an origin connects to: all that concern it, or those that stand for them."""
        if not origin.measured:
            return []
        concerns = self.concerns(origin)
        if origin.namespace == NODE:
            return concerns
        return [number for number in concerns if self.destinations[number].measured]

    def expected(self, origin: int) -> tuple[bool | None, ...]:
        """What the policies should give from an origin, by its index, to each destination.

        None where they leave it open, where a Service leads to both, and where kinds of policies are in force that are not read
        here.
        """
        if self.others.strange:
            return (None,) * len(self.destinations)
        row = self._table.row(origin)
        held = self._table.isolates_source(origin)
        sends = self.origins[origin]
        return tuple(
            None if each.local and self.unserved(sends, each) else self._expected(held, number, row, sends.end.node)
            for number, each in enumerate(self.destinations)
        )

    def decided_by(self, origin: int, number: int) -> str:
        """Which policies and rules decide a connection, by the indices of its origin and its destination, in words."""
        destination = self.destinations[number]
        if self.others.strange:
            return f"policies that are not read here: {', '.join(self.others.strange)}"
        if unserved := self.unserved(self.origins[origin], destination):
            return unserved
        if destination.way == "node" and destination.namespace != NODE:
            return "whose address arrives at the pod is the proxy's business"
        return " or ".join(dict.fromkeys(self._table.decided_by(origin, at) for at in self._leads_to[number]))

    def unserved(self, origin: Origin, destination: Destination) -> str:
        """Why nobody answers there although no policy is involved, in words; "" where somebody may.

        What a Service drops because no pod behind it runs on the node where it arrives, policies never see.
        """
        local = destination.local
        arrives = destination.node or origin.end.node
        if local is None or arrives in local.nodes:
            return ""
        return f"no policy is involved: {local.field} is Local, and no pod behind it runs on {arrives or 'its node'}"

    def _expected(self, held: bool, number: int, row: bytes, node: str) -> bool | None:  # noqa: FBT001 - one of four, all told
        destination, ends = self.destinations[number], self._leads_to[number]
        if destination.way == "node" and destination.namespace != NODE:
            # By a Service's port of a node: whose address arrives at the pod is the proxy's business.
            return None if held or any(map(self._table.isolates_target, ends)) else True
        if destination.local:
            said = {row[at] for at, end in zip(ends, destination.ends, strict=True) if end.node == node}
        else:
            said = set(row[ends.start : ends.stop])
        return ANSWERS[said.pop()] if len(said) == 1 else None
