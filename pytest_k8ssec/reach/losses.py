"""What this machine's kernel lost: a packet dropped for want of room looks like a policy, and is none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

COUNTED = {"arp_cache": ("table_fulls",), "ndisc_cache": ("table_fulls",), "nf_conntrack": ("drop", "early_drop")}
"""Counters under /proc/net/stat. One neighbour table serves all network namespaces of a machine."""
_STAT = Path("/proc/net/stat")


def losses(directory: Path = _STAT) -> dict[str, int]:
    """The counters as they stand, over all processors; those that can't be read here are left out."""
    found = {}
    for file, columns in COUNTED.items():
        try:
            head, *rows = (directory / file).read_text().splitlines()
        except OSError:
            continue
        names = head.split()
        for column in columns:
            if column in names:
                at = names.index(column)
                found[f"{file} {column}"] = sum(int(row.split()[at], 16) for row in rows)
    return found


def lost(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """What was lost in between, in words; "" for nothing."""
    risen = {name: count - before[name] for name, count in after.items() if count > before.get(name, count)}
    return ", ".join(f"{name} rose by {count}" for name, count in risen.items())
