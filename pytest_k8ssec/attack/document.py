"""The graph's canonical form: node-link JSON, which networkx reads too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_k8ssec.attack.cut import smallest_cut
from pytest_k8ssec.attack.graph import Graph

GRAPH_SCHEMA = 1


def node_link(graph: Graph) -> dict[str, Any]:
    """A graph as a JSON-compatible mapping: nodes and links sorted, so that two files can be compared."""
    reached = graph.reached
    vertices = sorted({graph.start, *(end for edge in graph.edges.values() for end in (edge.source, edge.target))})
    return {
        "directed": True,
        "multigraph": True,
        "graph": {
            "schema": GRAPH_SCHEMA, "start": graph.start.id, "conclusive": graph.conclusive, "bounds": list(graph.bounds),
            "requests": graph.requests, "seconds": round(graph.seconds, 1), "metrics": graph.metrics,
            "path": [edge.id for edge in graph.path()], "cut": [edge.id for edge in smallest_cut(graph)],
        },
        "nodes": [
            {"id": one.id, "kind": str(one.kind), "name": one.name, "reached": one in reached} for one in vertices
        ],
        "links": [graph.edges[key].to_json() for key in sorted(graph.edges)],
    }  # fmt: skip


def open_part(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a reader wants to see of a node-link form: without the edges that were refuted, as there are many, but for their number.

    Args:
        body: see :func:`node_link`.
    """
    links = [each for each in body["links"] if each["status"] != "refuted"]
    ends = {body["graph"]["start"], *(end for each in links for end in (each["source"], each["target"]))}
    return {
        **body,
        "graph": {**body["graph"], "refuted": len(body["links"]) - len(links)},
        "nodes": [each for each in body["nodes"] if each["id"] in ends],
        "links": links,
    }
