"""Whether packets get from one node to another at all: if none does, silence between the two does not mean blocked.

A connection that was made between two nodes proves their route. If there is none, unrestricted pods of ours test the
route.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from pytest_k8ssec.agent.vantage import Vantage
from pytest_k8ssec.clusters.ports import KUBELET_PORT
from pytest_k8ssec.errors import K8ssecError
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.facts.policies.network import End
from pytest_k8ssec.plain import few
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.reach.measure import Dial, Manner, Row, run_plan
from pytest_k8ssec.reach.places import NODE, OUTSIDE, Destination, Origin, Places

SILENT = (Outcome.NO_ANSWER, Outcome.UNREACHABLE)
_APART = 3
"""More routes than these, from one place, are told of in one line."""


@dataclass(frozen=True, slots=True, order=True)
class Side:
    """One end of a way between nodes: pods' networks and nodes' own are joined by different means."""

    node: str
    """"" for what is outside the cluster."""
    pod: bool

    @classmethod
    def of(cls, end: End) -> Side:
        """The side that an end is on."""
        return cls(end.node, end.pod is not None)

    def __str__(self) -> str:
        return f"pods on {self.node}" if self.pod else self.node or OUTSIDE


@dataclass(frozen=True, slots=True, order=True)
class Route:
    """The way from one node, or from outside, to another node."""

    source: Side
    target: Side
    v6: bool = False
    """Whether it is by IPv6: one address family may get through where the other does not."""

    def __str__(self) -> str:
        return f"from {self.source} to {self.target}{' by IPv6' if self.v6 else ''}"


def taken(origin: Origin, destination: Destination, nodes: Mapping[str, str]) -> frozenset[Route]:
    """Routes between nodes that a connection may take; none if it stays on its node.

    Args:
        nodes: names by address. A connection to a node's address goes to that node first.
    """
    source = Side.of(origin.end)
    through = nodes.get(destination.dial.host)
    steps = [] if through is None else [Route(source, Side(through, pod=False), _v6(destination.dial.host))]
    source = source if through is None else Side(through, pod=False)
    steps += [Route(source, Side.of(end), _v6(end.address)) for end in destination.ends]
    return frozenset(route for route in steps if route.source.node != route.target.node)


def unshown_in_words(routes: Iterable[Route]) -> list[str]:
    """What is to be noted of routes on which nothing was seen to get through; many from one place are one line."""
    together: dict[tuple[Side, bool, bool], list[Route]] = {}
    for route in sorted(routes):
        together.setdefault((route.source, route.target.pod, route.v6), []).append(route)
    said: list[str] = []
    for (source, pods, v6), group in together.items():
        if len(group) <= _APART:
            said += [f"nothing shows that packets get {route}" for route in group]
            continue
        where = f"{'pods on ' if pods else ''}{len(group)} nodes{' by IPv6' if v6 else ''}"
        said.append(
            f"nothing shows that packets get from {source} to {where}: {few([each.target.node for each in group])}"
        )
    return said


def _v6(address: str) -> bool:
    return ":" in address


def addresses(places: Places) -> dict[str, str]:
    """Nodes' names by their addresses."""
    return {each.dial.host: each.ends[0].node for each in places.destinations if each.namespace == NODE}


class Routes:
    """The routes of a measurement, and on which of them something gets through.

    Args:
        beacon: gives a pod of ours on a node, one that no policy of the stack selects.
    """

    def __init__(self, places: Places, beacon: Callable[[str], Pod] | None) -> None:
        self.places = places
        self.nodes = addresses(places)
        self.execs = 0
        self._beacon = beacon
        self._pods: dict[str, Pod | None] = {}

    def lacking(self, rows: Mapping[int, Row]) -> dict[Route, set[int]]:
        """The routes with unanswered connections that no connection proves; each with the origins that got no answer.

        Only a direct connection proves a route: behind a Service, or a node's port, another node may have answered.
        """
        silent: dict[Route, set[int]] = {}
        shown: set[Route] = set()
        for at, origin in enumerate(self.places.origins):
            for position, number in enumerate(self.places.asked(origin)):
                destination, outcome = self.places.destinations[number], rows[at].outcome(position)
                if outcome in SILENT:
                    for route in taken(origin, destination, self.nodes):
                        silent.setdefault(route, set()).add(at)
                elif outcome is Outcome.OPEN and not destination.listeners:
                    shown |= taken(origin, destination, self.nodes)
        return {route: origins for route, origins in silent.items() if route not in shown}

    def walked(self, routes: Iterable[Route], manner: Manner) -> frozenset[Route]:
        """The routes on which a pod of ours gets through now: one connection each, and one exec for each source."""
        ends: dict[Side, dict[Route, Dial]] = {}
        for route in sorted(routes):
            if (dial := self._to(route)) is not None:
                ends.setdefault(route.source, {})[route] = dial
        plan = [(source, ends[side]) for side in ends if (source := self._from(side)) is not None]
        self.execs += len(plan)
        found = run_plan([(source, list(there.values())) for source, there in plan], manner)
        return frozenset(
            route
            for number, row in found
            for at, route in enumerate(plan[number][1])
            if row.outcome(at) is Outcome.OPEN
        )

    def _from(self, side: Side) -> Vantage | None:
        if side.pod:
            pod = self._pod(side.node)
            return pod.vantage if pod else None
        name = f"{NODE}/{side.node}" if side.node else OUTSIDE
        return next((each.vantage for each in self.places.origins if each.name == name), None)

    def _to(self, route: Route) -> Dial | None:
        """What is dialled at its end; None where that has no address of the family."""
        if route.target.pod:
            pod = self._pod(route.target.node)
            found = [Dial(pod.address, pod.port)] if pod else []
        else:
            found = [Dial(address, KUBELET_PORT) for address, node in self.nodes.items() if node == route.target.node]
        return next((dial for dial in found if _v6(dial.host) is route.v6), None)

    def _pod(self, node: str) -> Pod | None:
        """One a node, asked for once: where none starts, that takes a minute to find out."""
        if node not in self._pods:
            self._pods[node] = None
            with suppress(K8ssecError):
                self._pods[node] = self._beacon(node) if self._beacon else None
        return self._pods[node]
