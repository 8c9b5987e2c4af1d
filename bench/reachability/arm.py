"""One arm of ours, as a process of its own: ``python -m bench.reachability.arm NAME``, told by JSON on standard input.

- ``k8ssec``: the engine, one exec a pod.
- ``pooled``: the same agent, one exec for each pair and port, 15 at a time, as cyclonus does it.
- ``serial``: the same, one after the other.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.evidence import Source
from pytest_k8ssec.probes.tasks import Task
from pytest_k8ssec.probes.vantage import PodVantage, ask

ARMS = ("k8ssec", "pooled", "serial")
_WORKERS = 15
"""As many as cyclonus has."""


@dataclass(frozen=True, slots=True)
class _Reached:
    """All of a cluster that probing from pods needs."""

    api: KubeApi


@dataclass(frozen=True, slots=True)
class _Cell:
    source: PodVantage
    key: tuple[str, str, str]
    task: Task


def main(name: str) -> None:
    """Measure, and print what came of each cell."""
    plan = json.load(sys.stdin)
    cells = list(_cells(plan))
    execs, outcomes = _engine(cells) if name == "k8ssec" else _one_by_one(cells, 1 if name == "serial" else _WORKERS)
    json.dump({"execs": execs, "cells": [[*key, outcome] for key, outcome in outcomes]}, sys.stdout)


def _cells(plan: dict[str, Any]) -> Iterator[_Cell]:
    cluster = cast("Cluster", _Reached(KubeApi(Path(plan["kubeconfig"]))))
    for one in plan["stands"]:
        namespace, _, pod = one["key"].partition("/")
        source = PodVantage(cluster, namespace, pod, one["container"], Source("pod", one["key"], one["address"], one["node"]))
        for other in plan["stands"]:
            for protocol in plan["protocols"]:
                for port in plan["ports"]:
                    key = (one["key"], other["key"], f"{protocol}/{port}")
                    yield _Cell(source, key, _task(protocol, other["address"], port, plan["timeout"]))


def _one_by_one(cells: Sequence[_Cell], workers: int) -> tuple[int, list[tuple[tuple[str, str, str], str]]]:
    def measure(cell: _Cell) -> tuple[tuple[str, str, str], str]:
        (answer,) = ask(cell.source, [cell.task])
        return cell.key, str(answer.evidence.outcome)

    with ThreadPoolExecutor(max_workers=workers) as pool:
        return len(cells), list(pool.map(measure, cells))


if __name__ == "__main__":
    main(sys.argv[1])
