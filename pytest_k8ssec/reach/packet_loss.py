"""What the kernel lost: a packet that is dropped because a table is full looks as if a policy had blocked it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.plain import few

COUNTED = {"arp_cache": ("table_fulls",), "ndisc_cache": ("table_fulls",), "nf_conntrack": ("drop", "early_drop")}
"""Counters under /proc/net/stat. One neighbour table serves all network namespaces of a machine; connections are counted
in each namespace by itself, so those of the nodes are read there."""
_STAT = Path("/proc/net/stat")
_OF_NODE = "nf_conntrack"
_TOLD = 6
"""So many counters that can't be read are named: there are two for each node that can't be entered."""

Counts = Mapping[str, int | None]
"""By name; None for what can't be read."""


def losses(cluster: Cluster | None = None, directory: Path = _STAT) -> dict[str, int | None]:
    """The counters now, summed over all processors: this machine's, and those of each node that can be entered."""
    found: dict[str, int | None] = {}
    for file, columns in COUNTED.items():
        try:
            told = (directory / file).read_text()
        except OSError:
            told = ""
        found |= _counts(file, columns, told)
    for node in cluster.nodes if cluster is not None else ():
        told = ""
        if node.container and cluster is not None:
            try:
                told = cluster.on_node(node, ["cat", f"{_STAT}/{_OF_NODE}"]).text
            except ProbeError:
                told = ""
        found |= _counts(f"node {node.name} {_OF_NODE}", COUNTED[_OF_NODE], told)
    return found


def _counts(name: str, columns: Sequence[str], told: str) -> dict[str, int | None]:
    head, *rows = told.splitlines() or [""]
    names, table = head.split(), [row.split() for row in rows]
    return {
        f"{name} {column}": sum(int(row[names.index(column)], 16) for row in table) if column in names else None
        for column in columns
    }


def lost(before: Counts, after: Counts) -> str:
    """What was lost in between, in words; "" for nothing."""
    pairs = ((name, before.get(name), count) for name, count in after.items())
    risen = {name: now - then for name, then, now in pairs if then is not None and now is not None and now > then}
    return ", ".join(f"{name} rose by {count}" for name, count in risen.items())


def uncounted(before: Counts, after: Counts) -> str:
    """What could not be read, in words; "" for nothing."""
    return few([name for name, count in after.items() if count is None or before.get(name) is None], _TOLD)
