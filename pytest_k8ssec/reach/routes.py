"""Whether packets get from one node to another at all: where nothing does, silence between the two is no wall.

Whoever reached something that way shows it. Where nobody did, pods of ours that no policy holds are sent along it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pytest_k8ssec.errors import NoAccess, ProbeError
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.probes.manifests import CANARY_PORT
from pytest_k8ssec.probes.policies import End
from pytest_k8ssec.probes.pool import Pod
from pytest_k8ssec.probes.vantage import Vantage
from pytest_k8ssec.reach.measure import Dial, Manner, Row, run
from pytest_k8ssec.reach.places import NODE, OUTSIDE, Destination, Origin, Places

SILENT = (Outcome.NO_ANSWER, Outcome.UNREACHABLE)
_KUBELET = 10250


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

    def __str__(self) -> str:
        return f"from {self.source} to {self.target}"


def taken(origin: Origin, destination: Destination, nodes: Mapping[str, str]) -> frozenset[Route]:
    """Ways between nodes that a connection may take; none where it stays on its node.

    Args:
        nodes: names by address. What is dialled at a node's address goes there first.
    """
    source = Side.of(origin.end)
    through = nodes.get(destination.dial.host)
    steps = [] if through is None else [(source, Side(through, pod=False))]
    source = source if through is None else Side(through, pod=False)
    steps += [(source, Side.of(end)) for end in destination.ends]
    return frozenset(Route(one, other) for one, other in steps if one.node != other.node)


def addresses(places: Places) -> dict[str, str]:
    """Nodes' names by their addresses."""
    return {each.dial.host: each.ends[0].node for each in places.destinations if each.namespace == NODE}


class Routes:
    """The ways of a measurement that nothing was seen to take.

    Args:
        beacon: gives a pod of ours, on a node, that no policy of the stack holds; raises ProbeError or NoAccess.
    """

    def __init__(self, places: Places, rows: Mapping[int, Row], beacon: Callable[[str], Pod] | None) -> None:
        self.places = places
        self.rows = rows
        self.beacon = beacon
        self.nodes = addresses(places)

    def unshown(self, manner: Manner) -> frozenset[Route]:
        """Those that silence was the answer on, and that nobody of ours gets along either."""
        silent = {route for outcome, routes in self._cells() if outcome in SILENT for route in routes}
        # By a Service, or a node's port, nobody knows which of several ways it was.
        open_ = {
            route
            for outcome, routes in self._cells()
            if outcome is Outcome.OPEN and len(routes) == 1
            for route in routes
        }
        lacking = silent - open_
        return frozenset(lacking - set(self._walked(sorted(lacking), manner)))

    def _cells(self) -> Iterator[tuple[Outcome, frozenset[Route]]]:
        for at, origin in enumerate(self.places.origins):
            for position, number in enumerate(self.places.asked(origin)):
                yield self.rows[at].outcome(position), taken(origin, self.places.destinations[number], self.nodes)

    def _walked(self, routes: Iterable[Route], manner: Manner) -> Iterator[Route]:
        """Those that something of ours gets along, one connection each."""
        plan = [
            (route, source, dial)
            for route in routes
            if (source := self._from(route.source)) and (dial := self._to(route.target))
        ]
        for number, row in run([(source, [dial]) for _, source, dial in plan], manner):
            if row.outcome(0) is Outcome.OPEN:
                yield plan[number][0]

    def _from(self, side: Side) -> Vantage | None:
        if side.pod:
            pod = self._pod(side.node)
            return pod.vantage if pod else None
        name = f"{NODE}/{side.node}" if side.node else OUTSIDE
        return next((each.vantage for each in self.places.origins if each.name == name), None)

    def _to(self, side: Side) -> Dial | None:
        if side.pod:
            pod = self._pod(side.node)
            return Dial(pod.address, CANARY_PORT) if pod else None
        return next((Dial(address, _KUBELET) for address, node in self.nodes.items() if node == side.node), None)

    def _pod(self, node: str) -> Pod | None:
        try:
            return self.beacon(node) if self.beacon and node else None
        except (ProbeError, NoAccess):
            return None
