"""What follows from measured cells for those that were not: the answer of the class, as long as the class has one answer.

Cells from one class to another are alike by all that is known before anything is sent. If two of them were measured and
differ, what is known does not decide it: that is a finding, and nothing follows any more for cells from or to these classes
that were not measured. They become unknown, and are not measured after all: that might take hundreds of pods, whose answers
would be of another moment than those that they are compared with. To measure all from the start is the remedy, and is said.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass

from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.reach.cell import REMEDY, Cell
from pytest_k8ssec.reach.measure import Dial
from pytest_k8ssec.reach.places import Places


@dataclass(frozen=True, slots=True)
class Extent:
    """How much was measured, and how much has the answer of its class. Sources and targets are those that have a class."""

    seed: int | None
    """What chose the pods; None where all are measured."""
    source_classes: int
    sources_measured: int
    sources_by_class: int
    target_classes: int
    """Of ports of pods; so are the next two."""
    targets_measured: int
    targets_by_class: int
    measured: int
    """Connections; so are the next two."""
    by_class: int
    untold: int
    """Those that were not measured, and of which nothing follows."""
    unlike: tuple[str, ...]
    """Each difference within a class, in words."""

    def __str__(self) -> str:
        told = f"{self.measured} connections measured, {self.by_class} by class"
        untold = f", {self.untold} neither" if self.untold else ""
        unlike = f", {len(self.unlike)} unlike their class" if self.unlike else ""
        return (
            f"{told}{untold}{unlike} (sources: {self.sources_measured} measured and {self.sources_by_class} not, in "
            f"{self.source_classes} classes; targets: {self.targets_measured} and {self.targets_by_class}, in "
            f"{self.target_classes}; seed {self.seed})"
        )


class Classes:
    """The answers of classes to classes.

    Args:
        cells: all that were measured, by the indices of their origin and their destination.
    """

    def __init__(self, places: Places, cells: Iterable[tuple[int, int, Cell]]) -> None:
        self._places = places
        self.unlike: dict[tuple[int, int], Cell] = {}
        """The cells that differ within their class, each with the one that it should be like."""
        self._known: dict[tuple[int, int], Cell] = {}
        self._split: dict[tuple[str, int], str] = {}
        seen: dict[tuple[int, int], dict[str, list[tuple[int, int]]]] = {}
        first: dict[tuple[int, int, str], Cell] = {}
        for origin, destination, cell in cells:
            if cell.verdict != "unknown":
                pair = self._pair(origin, destination)
                first.setdefault((*pair, cell.verdict), cell)
                seen.setdefault(pair, {}).setdefault(cell.verdict, []).append((origin, destination))
        for pair, verdicts in seen.items():
            # What most of them say is what the class says; if as many say either, what should be.
            ranked = sorted(
                verdicts, key=lambda verdict: (-len(verdicts[verdict]), *_as_it_should(first[*pair, verdict]))
            )
            self._known[pair] = first[*pair, ranked[0]]
            for verdict in ranked[1:]:
                self._differs(pair, first[*pair, verdict], verdicts[verdict])

    def _pair(self, origin: int, destination: int) -> tuple[int, int]:
        """The classes of both; of what has none, a number that nothing else has."""
        source, target = self._places.origins[origin].kin, self._places.destinations[destination].kin
        return -1 - origin if source is None else source, -1 - destination if target is None else target

    def _differs(self, pair: tuple[int, int], first: Cell, cells: Iterable[tuple[int, int]]) -> None:
        self.unlike |= dict.fromkeys(cells, self._known[pair])
        words = f"{first.way} is {first.verdict}, and {self._known[pair].way}, of the same classes, is not"
        for side in zip(("from", "to"), pair, strict=True):
            self._split.setdefault(side, words)

    def of(self, origin: int, destination: int, *, expected: bool | None, listeners: Container[Dial]) -> Cell:
        """A cell that was not measured.

        Args:
            expected: what the policies should give.
            listeners: what somebody reached, and still listened at the end.
        """
        source, target = self._places.origins[origin], self._places.destinations[destination]
        pair = self._pair(origin, destination)
        like = self._known.get(pair)
        split = [self._split[side] for side in zip(("from", "to"), pair, strict=True) if side in self._split]
        why = ""
        if split:
            why = f"its class can't be trusted: {split[0]} ({REMEDY})"
        elif like is None:
            why = f"nothing is known of its class ({REMEDY})"
        elif not target.measured and target.dial not in listeners:
            why = "nobody reached this listener"
        elif like.expected is not expected:
            why = "the policies should not give it what they give its class"
        if why or like is None:
            return Cell(source, target, Outcome.ERROR, "", None, 0.0, "", why, expected, measured=False)
        return Cell(source, target, Outcome.ERROR, "", None, like.at, "", "", expected, measured=False, like=like)


def _as_it_should(cell: Cell) -> tuple[bool, str]:
    return (cell.expected is not None and cell.expected is not (cell.verdict == "open"), cell.verdict)
