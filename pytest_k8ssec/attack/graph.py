"""The attack graph: what was reached from a start, over which edges, and how each of them is known. Pure data.

Names hold nothing that differs between runs (pod names, addresses, run ids), so that two graphs can be compared.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from pytest_k8ssec.attack.kinds import EdgeKind
from pytest_k8ssec.evidence import JSON, Evidence


class Kind(StrEnum):
    """What a vertex is."""

    POD = "pod"
    """Any pod of a workload: ``namespace/workload``."""
    CONTAINER = "container"
    NODE = "node"
    IDENTITY = "identity"
    PERMISSIONS = "permissions"
    """All that an identity may do; named as the identity is."""
    ROLE = "role"
    """A Role that somebody may bind to themselves: ``namespace/name``."""
    POWER = "power"
    """What a right gives that is no place to go on from, in words: a defence that is undone."""
    VOLUME = "volume"
    ENDPOINT = "endpoint"
    SECRET = "secret"  # noqa: S105 - a kind of vertex
    NAMESPACE = "namespace"
    API_SERVER = "api-server"
    ETCD = "etcd"
    KUBELET = "kubelet"
    CLUSTER_ADMIN = "cluster-admin"
    """The goal: whoever is here has the cluster."""


@dataclass(frozen=True, slots=True, order=True)
class Vertex:
    """One thing that an attacker may have, or be in."""

    kind: Kind
    name: str = ""

    @property
    def id(self) -> str:
        """``identity:system:serviceaccount:web:shop``; the same in every run."""
        return f"{self.kind}:{self.name}" if self.name else str(self.kind)

    @property
    def namespace(self) -> str:
        """The namespace that it is in, "" where it is in none."""
        if self.kind in (Kind.POD, Kind.CONTAINER, Kind.SECRET, Kind.VOLUME):
            return self.name.partition("/")[0]
        if self.kind is Kind.NAMESPACE:
            return self.name
        account = self.name.removeprefix("system:serviceaccount:")
        if self.kind is Kind.IDENTITY and account != self.name:
            return account.partition(":")[0]
        return ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.name else str(self.kind)


CLUSTER_ADMIN = Vertex(Kind.CLUSTER_ADMIN)


class Status(StrEnum):
    """How an edge is known."""

    PROVEN = "proven-live"
    """A harmless request or operation showed it at that moment."""
    INFERRED = "inferred"
    """It follows from what is known, and was not tried: to try it would do harm, or need what only the attacker has."""
    REFUTED = "refuted"
    """It was tried, and refused, by something that was shown to let others through."""
    UNKNOWN = "unknown"
    """It can't be told. Unknown is not refuted."""


OPEN = frozenset({Status.PROVEN, Status.INFERRED})
"""The statuses of edges that an attacker is assumed to be able to use."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One step from one vertex to another, and what is known of it."""

    kind: EdgeKind
    source: Vertex
    target: Vertex
    status: Status
    evidence: Evidence

    @property
    def id(self) -> str:
        """``token-steal: container:web/shop/shop -> identity:...``; the same in every run."""
        return f"{self.kind}: {self.source.id} -> {self.target.id}"

    @property
    def open(self) -> bool:
        """Whether an attacker is assumed to be able to use it."""
        return self.status in OPEN

    @property
    def fix(self) -> str:
        """The smallest change that cuts it, "" where nothing does."""
        return self.kind.fix.format(source=self.source.name, target=self.target.name)

    def __str__(self) -> str:
        return f"{self.source} {self.kind.words} {self.target}"

    def to_json(self) -> dict[str, JSON]:
        """A link of the node-link form."""
        return {
            "source": self.source.id, "target": self.target.id, "key": self.kind.name, "status": str(self.status),
            "technique": self.kind.technique, "controls": list(self.kind.controls), "fix": self.fix,
            "evidence": self.evidence.to_json(),
        }  # fmt: skip


@dataclass(slots=True)
class Graph:
    """What a walk found. ``add`` fills it; all other methods only read."""

    start: Vertex
    edges: dict[str, Edge] = field(default_factory=dict)
    """By id."""
    bounds: list[str] = field(default_factory=list)
    """Bounds that the walk reached: behind them there may be more."""
    requests: int = 0
    """How many requests were sent with found credentials."""
    seconds: float = 0.0

    def add(self, edge: Edge) -> None:
        """Add an edge; of two with the same ends and kind the one that says more stays."""
        known = self.edges.get(edge.id)
        if known is None or _STRENGTH[edge.status] > _STRENGTH[known.status]:
            self.edges[edge.id] = edge

    @property
    def reached(self) -> frozenset[Vertex]:
        """All that the attacker has, the start among it."""
        seen, waiting = {self.start}, deque([self.start])
        leaving = self._leaving()
        while waiting:
            for edge in leaving.get(waiting.popleft(), ()):
                if edge.target not in seen:
                    seen.add(edge.target)
                    waiting.append(edge.target)
        return frozenset(seen)

    @property
    def radius(self) -> tuple[Edge, ...]:
        """The open edges that can be walked from the start, by id."""
        reached = self.reached
        return tuple(self.edges[key] for key in sorted(self.edges) if self._walkable(self.edges[key], reached))

    @property
    def gains(self) -> tuple[Edge, ...]:
        """Those of :attr:`radius` that give the attacker something: what a baseline agrees to."""
        return tuple(edge for edge in self.radius if edge.kind.name not in _NO_GAIN)

    @property
    def unknown(self) -> tuple[Edge, ...]:
        """Edges that leave from what was reached and that are unknown, by id."""
        reached = self.reached
        return tuple(
            self.edges[key]
            for key in sorted(self.edges)
            if self.edges[key].status is Status.UNKNOWN and self.edges[key].source in reached
        )

    @property
    def conclusive(self) -> bool:
        """Whether what was not reached is out of reach: no bound was hit, and no edge is unknown."""
        return not self.bounds and not self.unknown

    def count(self, kind: Kind) -> int:
        """How many of a kind were reached."""
        return sum(vertex.kind is kind for vertex in self.reached)

    @property
    def metrics(self) -> dict[str, int]:
        """What budgets are about: distinct identities, namespaces, secrets and nodes that were reached."""
        spaces = {vertex.namespace for vertex in self.reached if vertex.kind is not Kind.VOLUME}
        return {
            "identities": self.count(Kind.IDENTITY),
            "namespaces": len(spaces - {""}),
            "secrets": self.count(Kind.SECRET),
            "nodes": self.count(Kind.NODE),
        }

    @property
    def is_admin(self) -> bool:
        """Whether cluster-admin is within reach."""
        return CLUSTER_ADMIN in self.reached

    def path(self) -> tuple[Edge, ...]:
        """The shortest way to cluster-admin: over proven edges alone where there is one, else over inferred ones too."""
        return self._shortest({Status.PROVEN}) or self._shortest(OPEN)

    def _leaving(self) -> dict[Vertex, list[Edge]]:
        """Open edges by their source, in a fixed order."""
        found: dict[Vertex, list[Edge]] = {}
        for key in sorted(self.edges):
            edge = self.edges[key]
            if edge.open:
                found.setdefault(edge.source, []).append(edge)
        return found

    @staticmethod
    def _walkable(edge: Edge, reached: frozenset[Vertex]) -> bool:
        return edge.open and edge.source in reached

    def _shortest(self, allowed: Iterable[Status]) -> tuple[Edge, ...]:
        usable = set(allowed)
        came: dict[Vertex, Edge | None] = {self.start: None}
        waiting = deque([self.start])
        leaving = self._leaving()
        while waiting:
            here = waiting.popleft()
            if here == CLUSTER_ADMIN:
                return tuple(reversed(list(_back(came, here))))
            for edge in leaving.get(here, ()):
                if edge.status in usable and edge.target not in came:
                    came[edge.target] = edge
                    waiting.append(edge.target)
        return ()


_NO_GAIN = frozenset({"enter", "volume-discover", "permission-discover"})
"""To be in a container, to see what is mounted, and to know one's rights is nothing by itself."""
_STRENGTH = {Status.REFUTED: 0, Status.UNKNOWN: 1, Status.INFERRED: 2, Status.PROVEN: 3}


def _back(came: dict[Vertex, Edge | None], end: Vertex) -> Iterator[Edge]:
    edge = came[end]
    while edge is not None:
        yield edge
        edge = came[edge.source]
