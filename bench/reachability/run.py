"""The bench itself: sizes, arms, repeats, and what is written down of each run."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bench.reachability import cyclonus
from bench.reachability.arm import ARMS
from bench.reachability.measured import Cost, environment, measured
from bench.reachability.scene import REGISTRY, Stand
from bench.reachability.size import Size

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.kind import KindCluster

SIZES = (Size(3, 3), Size(5, 5), Size(5, 10), Size(10, 10, protocols=("TCP",)))
"""100 pods serve TCP alone: as many containers again would be the machine's limit, not a tool's."""
_ONE_SECOND = 1.0
_PART = {cyclonus.NAME: 9, "pooled": 9, "serial": 5}
"""Pods, at least, that a tool with one exec for each cell is measured on: its time grows with the cells."""
_SECONDS = 900
_Cells = dict[cyclonus.Cell, bool | None]


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of one tool."""

    tool: str
    pods: int
    cells: int
    """That it would have measured."""
    measured_cells: int
    """That it did measure; where fewer, ``seconds``, ``execs`` and ``cpu_s`` are scaled to all of them."""
    seconds: float
    execs: int
    cpu_s: float
    rss_mb: float
    agree: bool
    """Whether each cell is what the policies should give."""
    wrong: tuple[str, ...] = ()
    """Cells that are not."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in build/bench/reachability.json."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "wrong" or self.wrong}


def runs(cluster: KindCluster, size: Size, stands: Sequence[Stand], repeats: int) -> Iterator[Measured]:
    """Each tool ``repeats`` times, in turn, so that what else the machine does meets all of them."""
    # Whole namespaces: cyclonus waits until there are as many pods in them as it was told.
    parts = {
        tool: replace(size, namespaces=min(size.namespaces, math.ceil(pods / size.pods)))
        for tool, pods in _PART.items()
    }
    part = parts[cyclonus.NAME]
    idle = _cyclonus(cluster, part, idle=True)
    for _ in range(repeats):
        for tool in ARMS[:1]:
            yield _ours(tool, cluster, size, stands, stands)
        cost = _cyclonus(cluster, part)
        yield judged(cyclonus.NAME, size, cost, cyclonus.read(cost.said, part), stands, idle=idle)
        for tool in ARMS[1:]:
            yield _ours(tool, cluster, size, stands, [each for each in stands if each.key in parts[tool].keys])


def _ours(tool: str, cluster: KindCluster, size: Size, stands: Sequence[Stand], part: Sequence[Stand]) -> Measured:
    plan = {
        "kubeconfig": str(cluster.kubeconfig),
        "stands": [each.to_json() for each in part],
        "protocols": size.protocols,
        "ports": size.ports,
        "timeout": _ONE_SECOND,
    }
    argv = [sys.executable, "-m", "bench.reachability.arm", tool]
    cost = measured(argv, env=environment(), stdin=json.dumps(plan), deadline=_SECONDS)
    said = json.loads(cost.said)
    cells: _Cells = {
        (source, target, port): {"open": True, "refused": False, "no-answer": False, "unreachable": False}.get(outcome)
        for source, target, port, outcome in said["cells"]
    }
    return judged(tool, size, cost, cells, stands, execs=said["execs"])


def judged(
    tool: str,
    size: Size,
    cost: Cost,
    cells: _Cells,
    stands: Sequence[Stand],
    *,
    execs: int = 0,
    idle: Cost | None = None,
) -> Measured:
    """Hold the cells against the policies; scale what was measured on a part to the whole.

    Args:
        idle: what the tool takes for no cell at all, which does not grow with the cells.
    """
    denied = {each.key for each in stands if each.denied}
    wrong = tuple(
        f"{source} to {target} {port}: {found}"
        for (source, target, port), found in cells.items()
        # A pod always reaches itself: its packets never leave it.
        if found is not (target not in denied or source == target)
    )
    whole = size.count**2 * len(size.ports) * len(size.protocols)
    factor = whole / len(cells)
    fixed = idle or Cost(0, 0, 0, "")
    return Measured(
        tool,
        size.count,
        whole,
        len(cells),
        round(fixed.seconds + (cost.seconds - fixed.seconds) * factor, 3),
        round((execs or len(cells)) * factor),
        round(fixed.cpu_s + (cost.cpu_s - fixed.cpu_s) * factor, 3),
        cost.rss_mb,
        not wrong,
        wrong[:20],
    )


def _cyclonus(cluster: KindCluster, size: Size, *, idle: bool = False) -> Cost:
    command = cyclonus.idle_command if idle else cyclonus.probe_command
    return measured(command(size, REGISTRY), env={"KUBECONFIG": str(cluster.kubeconfig)}, stdin="", deadline=_SECONDS)
