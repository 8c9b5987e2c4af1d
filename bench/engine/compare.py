"""Whether two programs gave the same answer for every connection; what cyclonus has no rule for is told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_k8ssec.facts.policies import End
from pytest_k8ssec.facts.policy_table import EndPort

_OPEN = ord("?")


@dataclass(frozen=True, slots=True)
class Compared:
    """All connections of a scene."""

    cells: int
    unmodelled: int
    """Between a pod and itself, between a node's network and what runs on that node, and from and to pods in their node's
    network where Kubernetes leaves it open: cyclonus knows no nodes, and lets policies keep a pod from itself."""
    different: int
    """Of the others."""


def compared(ours: bytes, theirs: bytes, sources: Sequence[End], targets: Sequence[EndPort]) -> Compared:
    """Each connection of the one beside that of the other.

    Raises:
        ValueError: one of them did not answer for each.
    """
    width = len(targets)
    if not len(ours) == len(theirs) == len(sources) * width:
        raise ValueError(f"{len(ours)} and {len(theirs)} answers for {len(sources) * width} connections")
    unmodelled = different = 0
    for number, source in enumerate(sources):
        row = slice(number * width, (number + 1) * width)
        for one, other, (target, _, _) in zip(ours[row], theirs[row], targets, strict=True):
            if _unmodelled(source, target) or (one == _OPEN and (source.hosted or target.hosted)):
                unmodelled += 1
            elif one != other:
                different += 1
    return Compared(len(ours), unmodelled, different)


def _unmodelled(source: End, target: End) -> bool:
    if source is target:
        return True
    return source.node == target.node and (source.pod is None or target.pod is None)
