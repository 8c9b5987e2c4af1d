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

from pytest_k8ssec.agent.vantage import PodVantage
from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.evidence import Source
from pytest_k8ssec.reach.measure import Dial, Manner, measure_from, run_plan

ARMS = ("k8ssec", "pooled", "serial")
_WORKERS = 15
"""As many as cyclonus has."""


@dataclass(frozen=True, slots=True)
class _Reached:
    """All of a cluster that probing from pods needs."""

    api: KubeApi


@dataclass(frozen=True, slots=True)
class _From:
    """A source, and all that it is to dial, by the name that the cell has."""

    key: str
    vantage: PodVantage
    dials: dict[tuple[str, str], Dial]


_Outcome = list[str]
"""Source, target, ``TCP/80``, and what came of it."""


def main(name: str) -> None:
    """Measure, and print what came of each cell."""
    plan = json.load(sys.stdin)
    sources = list(_sources(plan))
    manner = Manner(timeout=plan["timeout"])
    if name == "k8ssec":
        execs, outcomes = len(sources), list(_engine(sources, manner))
    else:
        outcomes = _one_by_one(sources, manner, 1 if name == "serial" else _WORKERS)
        execs = len(outcomes)
    json.dump({"execs": execs, "cells": outcomes}, sys.stdout)


def _sources(plan: dict[str, Any]) -> Iterator[_From]:
    cluster = cast("Cluster", _Reached(KubeApi(Path(plan["kubeconfig"]))))
    for one in plan["stands"]:
        namespace, _, pod = one["key"].partition("/")
        source = Source("pod", one["key"], one["address"], one["node"])
        dials = {
            (other["key"], f"{protocol}/{port}"): Dial(other["address"], port, protocol)
            for other in plan["stands"]
            for protocol in plan["protocols"]
            for port in plan["ports"]
        }
        yield _From(one["key"], PodVantage(cluster, namespace, pod, one["container"], source), dials)


def _engine(sources: Sequence[_From], manner: Manner) -> Iterator[_Outcome]:
    for number, row in run_plan([(each.vantage, list(each.dials.values())) for each in sources], manner):
        for index, (target, port) in enumerate(sources[number].dials):
            yield [sources[number].key, target, port, str(row.outcome(index))]


def _one_by_one(sources: Sequence[_From], manner: Manner, workers: int) -> list[_Outcome]:
    """The same agent, told one target an exec."""

    def measure(cell: tuple[_From, tuple[str, str], Dial]) -> _Outcome:
        source, (target, port), dial = cell
        return [source.key, target, port, str(measure_from(source.vantage, [dial], manner).outcome(0))]

    cells = [(each, key, dial) for each in sources for key, dial in each.dials.items()]
    with ThreadPoolExecutor(max_workers=workers) as pool:
        return list(pool.map(measure, cells))


if __name__ == "__main__":
    main(sys.argv[1])
