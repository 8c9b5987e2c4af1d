"""The file that a team commits: how far each workload may reach, and over which edges it is known to do so.

A radius wider than the file's fails, and the new edges are named. A narrower one is reported, so that the team can
update the file. It is kept beside the stack's Pulumi.yaml, and written by ``k8ssec blast WORKLOAD --write-baseline``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from pytest_k8ssec.attack.graph import Graph
from pytest_k8ssec.attack.kinds import KINDS
from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.errors.yaml_text import NotYaml, load_yaml

NAME = "blast-radius.yaml"
"""Name of the file, beside Pulumi.yaml."""
_HEAD = """\
# How far whoever gets into one of these workloads may reach: `k8ssec blast WORKLOAD --write-baseline` writes it.
# A wider radius fails the control blast-radius, which names the edges that are new. Review changes as you would code.
"""


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that may be reached of each; None for no limit. Cluster-admin is never within budget."""

    identities: int | None = None
    namespaces: int | None = None
    secrets: int | None = None
    nodes: int | None = 0

    def exceeded(self, metrics: Mapping[str, int]) -> dict[str, tuple[int, int]]:
        """What exceeds the budget: by name, how many are reached and how many may be."""
        limits = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: (metrics[name], limit)
            for name, limit in limits.items()
            if limit is not None and metrics[name] > limit
        }

    def to_yaml(self) -> dict[str, int]:
        """Its limits."""
        limits = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: limit for name, limit in limits.items() if limit is not None}


@dataclass(frozen=True, slots=True)
class Change:
    """The difference between a graph and its baseline: ids of edges."""

    wider: tuple[str, ...]
    narrower: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a team has agreed to."""

    budget: Budget = field(default_factory=Budget)
    """The budget of workloads that have none of their own."""
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    """By ``namespace/workload``."""
    edges: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By ``namespace/workload``, the ids of the edges that were agreed to."""

    def budget_of(self, workload: str) -> Budget:
        """The budget of one workload."""
        return self.budgets.get(workload, self.budget)

    def change(self, workload: str, graph: Graph) -> Change | None:
        """The edges that are new and those that are gone; None if nothing was ever agreed for this workload."""
        if workload not in self.edges:
            return None
        known, now = set(self.edges[workload]), {edge.id for edge in graph.gains}
        return Change(tuple(sorted(now - known)), tuple(sorted(known - now)))

    def with_graph(self, workload: str, graph: Graph) -> Baseline:
        """The same baseline, with what a workload reaches now as agreed."""
        budgets = {**self.budgets, workload: Budget(**graph.metrics)}
        edges = {**self.edges, workload: tuple(edge.id for edge in graph.gains)}
        return Baseline(self.budget, budgets, edges)

    def to_yaml(self) -> str:
        """The file's text."""
        names = sorted({*self.budgets, *self.edges})
        workloads: dict[str, Any] = {}
        for name in names:
            workloads[name] = {}
            if name in self.budgets:
                workloads[name]["budget"] = self.budgets[name].to_yaml()
            if name in self.edges:
                workloads[name]["edges"] = sorted(self.edges[name])
        body = {"budget": self.budget.to_yaml(), "workloads": workloads}
        return _HEAD + yaml.safe_dump(body, sort_keys=False, width=1000)


def read_baseline(path: Path) -> Baseline | None:
    """The baseline in a file, None where there is no file.

    Raises:
        SettingsError: it can't be read, or is not what it should be; the text names the place.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"baseline {path}: can't be read: {error}", fix="name a file that you may read") from error
    try:
        body = load_yaml(text)
    except NotYaml as error:
        raise SettingsError(
            f"baseline {path}: is not valid YAML", fix="correct it, or write it anew", details=str(error)
        ) from error
    where = f"baseline {path}"
    whole = _mapping(body if body is not None else {}, where, ("budget", "workloads"))
    budgets: dict[str, Budget] = {}
    edges: dict[str, tuple[str, ...]] = {}
    for name, entry in _mapping(whole.get("workloads") or {}, f"{where}: workloads").items():
        one = _mapping(entry or {}, f"{where}: {name}", ("budget", "edges"))
        if "budget" in one:
            budgets[name] = _budget(one["budget"], f"{where}: {name}: budget")
        if "edges" in one:
            edges[name] = _edges(one["edges"], f"{where}: {name}: edges")
    default = _budget(whole["budget"], f"{where}: budget") if "budget" in whole else Budget()
    return Baseline(default, budgets, edges)


def _mapping(body: Any, where: str, known: Iterable[str] = ()) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise SettingsError(f"{where}: must be a mapping, is {type(body).__name__}", fix=_fix())
    allowed = tuple(known)
    for key in body:
        if not isinstance(key, str) or (allowed and key not in allowed):
            raise SettingsError(f"{where}: {key!r} is not one of {', '.join(allowed) or 'the workloads'}", fix=_fix())
    return body


def _budget(body: Any, where: str) -> Budget:
    limits = _mapping(body or {}, where, (each.name for each in fields(Budget)))
    for name, limit in limits.items():
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
            raise SettingsError(
                f"{where}: {name}: {limit!r} is not a number of 0 or more", fix=f"write it as {name}: 1"
            )
    return Budget(**limits)


def _edges(body: Any, where: str) -> tuple[str, ...]:
    if not isinstance(body, list):
        raise SettingsError(f"{where}: must be a list, is {type(body).__name__}", fix=_fix())
    for each in body:
        kind = each.partition(": ")[0] if isinstance(each, str) else ""
        if kind not in KINDS or " -> " not in each:
            raise SettingsError(f"{where}: {each!r} is not an edge", fix=_fix())
    return tuple(body)


def _fix() -> str:
    return "write it anew: k8ssec blast WORKLOAD --write-baseline FILE"
