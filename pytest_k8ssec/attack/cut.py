"""The fewest edges whose removal keeps the attacker from cluster-admin: a maximum flow of unit capacities."""

from __future__ import annotations

from collections import deque

from pytest_k8ssec.attack.graph import CLUSTER_ADMIN, Edge, Graph, Vertex

_UNCUTTABLE = 1 << 20
"""Capacity of an edge that no change removes: more than all others together."""


def smallest_cut(graph: Graph) -> tuple[Edge, ...]:
    """The smallest set of edges with a fix that cuts every way to cluster-admin; empty if there is no way.

    Edges without a fix are never in it. If a way has only such edges, nothing can be cut, and the set is empty too.
    """
    edges = [edge for edge in graph.radius if edge.source != edge.target]
    residual = [_UNCUTTABLE if not edge.fix else 1 for edge in edges] + [0] * len(edges)
    while way := _augmenting(graph.start, edges, residual):
        for arc in way:
            residual[arc] -= 1
            residual[_reverse(arc, edges)] += 1
        if all(residual[arc] > len(edges) for arc in way):
            return ()  # no edge of this way can be cut
    side = _side(graph.start, edges, residual)
    return tuple(edge for edge in edges if edge.source in side and edge.target not in side)


def _reverse(arc: int, edges: list[Edge]) -> int:
    return arc + len(edges) if arc < len(edges) else arc - len(edges)


def _arcs(edges: list[Edge]) -> dict[Vertex, list[tuple[int, Vertex]]]:
    """By vertex, the arcs that leave it: an edge forwards, or backwards where flow may be taken back."""
    found: dict[Vertex, list[tuple[int, Vertex]]] = {}
    for number, edge in enumerate(edges):
        found.setdefault(edge.source, []).append((number, edge.target))
        found.setdefault(edge.target, []).append((number + len(edges), edge.source))
    return found


def _search(start: Vertex, edges: list[Edge], residual: list[int]) -> dict[Vertex, tuple[int, Vertex] | None]:
    """Each vertex that flow can still get to, with the arc and the vertex that it comes by."""
    arcs = _arcs(edges)
    came: dict[Vertex, tuple[int, Vertex] | None] = {start: None}
    waiting = deque([start])
    while waiting:
        here = waiting.popleft()
        for arc, there in arcs.get(here, ()):
            if residual[arc] > 0 and there not in came:
                came[there] = (arc, here)
                waiting.append(there)
    return came


def _augmenting(start: Vertex, edges: list[Edge], residual: list[int]) -> list[int]:
    came = _search(start, edges, residual)
    way: list[int] = []
    step = came.get(CLUSTER_ADMIN)
    while step is not None:
        way.append(step[0])
        step = came[step[1]]
    return way


def _side(start: Vertex, edges: list[Edge], residual: list[int]) -> set[Vertex]:
    return set(_search(start, edges, residual))
