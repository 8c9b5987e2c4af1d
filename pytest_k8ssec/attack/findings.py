"""Compares a graph with its baseline: attacks that got through, or did not, or can't be told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pytest_k8ssec.attack.baseline import NAME, Baseline
from pytest_k8ssec.attack.graph import Graph, Status
from pytest_k8ssec.attack.weak_pod import ALWAYS_SHOWN, SHOWN_BY_RIGHTS, kinds_shown, shows_the_way
from pytest_k8ssec.evidence import Evidence, Outcome, Source


@dataclass(frozen=True, slots=True)
class Attempt:
    """One thing that was tried from a workload, and whether it got through: None where that can't be told."""

    what: str
    evidence: Evidence
    through: bool | None
    check: str = ""
    """Which of :data:`GRAPH_CHECKS` it makes, "" where it is part of none."""


ADMIN, BUDGET, AGREED = "become cluster-admin", "reach more than its budget", "walk over an edge that was not agreed to"
GRAPH_CHECKS = (ADMIN, BUDGET)
"""What is checked of each graph; where something was agreed, :data:`AGREED` too."""


def findings(workload: str, graph: Graph, agreed: Baseline | None) -> Iterator[Attempt]:
    """The attempts that one workload's graph stands for.

    Args:
        workload: ``namespace/name``.
        agreed: the baseline; None for the general rule: no way to cluster-admin, and no node.
    """
    yield _admin(graph)
    yield from _unknown(graph)
    budget = (agreed or Baseline()).budget_of(workload)
    exceeded = budget.exceeded(graph.metrics)
    for name, (count, limit) in exceeded.items():
        words = f"{count} {name} within reach, {limit} agreed"
        yield Attempt(f"reach more than {limit} {name}", _told(graph, words), through=True, check=BUDGET)
    if not exceeded:
        yield Attempt(BUDGET, _told(graph, _counts(graph)), _not_through(graph), BUDGET)
    if agreed is not None:
        yield from _against(workload, graph, agreed)


def narrower(workload: str, graph: Graph, agreed: Baseline | None) -> tuple[str, ...]:
    """Edges that were agreed to and are no longer open, so that they can be taken out of the file."""
    change = agreed.change(workload, graph) if agreed else None
    return change.narrower if change else ()


def canary_positives(graph: Graph) -> Iterator[tuple[str, Evidence, bool | None]]:
    """The walk's positive controls, from a canary's graph: in words, with evidence, and whether each succeeded."""
    path = graph.path()
    words = " -> ".join(str(edge.kind) for edge in path) or "no way was found"
    evidence = replace(path[-1].evidence, detail=words) if path else _told(graph, words)
    yield "the same walk finds the way of our own canary to cluster-admin", evidence, shows_the_way(graph)
    missing = sorted({*ALWAYS_SHOWN, *SHOWN_BY_RIGHTS} - kinds_shown(graph))
    words = f"not found: {', '.join(missing)}" if missing else f"{len(ALWAYS_SHOWN) + len(SHOWN_BY_RIGHTS)} kinds"
    yield "the same walk finds each kind of edge from our own canary", _told(graph, words), not missing


def _admin(graph: Graph) -> Attempt:
    path = graph.path()
    if not path:
        return Attempt(ADMIN, _told(graph, "no way was found"), _not_through(graph), ADMIN)
    words = f"{'proven live' if all(e.status is Status.PROVEN for e in path) else 'partly inferred'}: " + ", ".join(
        edge.id for edge in path
    )
    return Attempt(ADMIN, replace(path[-1].evidence, detail=words[:600]), through=True, check=ADMIN)


def _unknown(graph: Graph) -> Iterator[Attempt]:
    for bound in graph.bounds:
        yield Attempt(f"go on behind the bound of {bound}", _told(graph, f"the walk ended at {bound}"), None)
    for edge in graph.unknown:
        yield Attempt(edge.id, edge.evidence, None)


def _against(workload: str, graph: Graph, agreed: Baseline) -> Iterator[Attempt]:
    change = agreed.change(workload, graph)
    fix = f"k8ssec blast {workload} --write-baseline, once it is reviewed"
    if change is None:
        words = f"{NAME} does not know {workload}: {fix}"
        yield Attempt("reach what was never agreed to", _told(graph, words), through=True, check=AGREED)
        return
    for name in change.wider:
        yield Attempt(f"new edge {name}", graph.edges[name].evidence, through=True, check=AGREED)
    if not change.wider:
        words = f"{len(graph.gains)} edges, all agreed to"
        yield Attempt(AGREED, _told(graph, words), _not_through(graph), AGREED)


def _not_through(graph: Graph) -> bool | None:
    """Nothing was found: that is a refusal only where the walk came to its end and knows of each edge."""
    return False if graph.conclusive else None


def _counts(graph: Graph) -> str:
    return ", ".join(f"{number} {name}" for name, number in graph.metrics.items())


def _told(graph: Graph, words: str) -> Evidence:
    facts: dict[str, Any] = {
        **graph.metrics,
        "requests": graph.requests,
        "refuted": sum(edge.status is Status.REFUTED for edge in graph.edges.values()),
    }
    where = Source("pod", f"twin of {graph.start.name}")
    return Evidence(where, "walk the attack graph", Outcome.DONE, words, facts=facts)
