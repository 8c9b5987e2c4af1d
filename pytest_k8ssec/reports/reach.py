"""Measured reachability for readers: a table for few places, and JSON. Pure functions of what was measured. See also ``reach_map``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pytest_k8ssec.reach.cell import Cell
from pytest_k8ssec.reach.difference import DIFFERENCE_MEANING, Difference, kind_of
from pytest_k8ssec.reach.intent import Intent
from pytest_k8ssec.reach.matrix import Reachability
from pytest_k8ssec.reports.write_whole import write_whole

REACH_SCHEMA = 1
_COLUMNS_MAX = 36
_ROWS_MAX = 60
_TOLD_MAX = 12
SIGN = {"open": "O", "blocked": ".", "some": "~", "unknown": "?"}
STATES = {
    "open": "open",
    "blocked": "blocked, while somebody else reached it",
    "some": "some ports or ways open, others blocked",
    "unknown": "not known",
}
SIGN_BY_CLASS = {"open": "o", "blocked": ",", "some": "-", "unknown": SIGN["unknown"]}
BY_CLASS_WORDS = "not measured, or not all of it: as its class"


@dataclass(slots=True)
class Square:
    """All connections from one source to one target."""

    opened: int = 0
    blocked: int = 0
    unknown: int = 0
    by_class: int = 0
    """How many of those that are open or blocked were not measured."""
    differs: bool = False
    told: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        """A key of ``STATES``."""
        if self.unknown:
            return "unknown"
        return "some" if self.opened and self.blocked else "open" if self.opened else "blocked"

    def add(self, cell: Cell, *, differs: bool) -> None:
        """Count one connection in."""
        self.opened += cell.verdict == "open"
        self.blocked += cell.verdict == "blocked"
        self.unknown += cell.verdict == "unknown"
        self.by_class += cell.by_class
        self.differs = self.differs or differs
        if len(self.told) < _TOLD_MAX:
            self.told.append(_told(cell, differs=differs))


def _told(cell: Cell, *, differs: bool) -> str:
    took = f" {cell.latency:.1f} ms" if cell.latency is not None else ""
    words = "; ".join(dict.fromkeys(word for word in (cell.detail, cell.why) if word))
    port = f"{cell.destination.port}/{cell.destination.dial.protocol}"
    answer = cell.verdict if cell.verdict != "blocked" else f"blocked, {cell.outcome}"
    if cell.like is not None:
        # In short: there are most of these where there is most to show.
        answer, words = cell.answer, f"not measured, as {cell.like.origin.name} to {cell.like.destination.words}"
    mark = "! " if differs else ""
    return f"{mark}{port} {cell.destination.words}: {answer}{took}{f' ({words})' if words else ''}"


def squares(found: Reachability, intent: Intent | None, *, by_port: bool = False) -> dict[tuple[str, str], Square]:
    """By source and target; with ``by_port``, by source and listener."""
    made: dict[tuple[str, str], Square] = {}
    for cell in found.cells():
        target = cell.destination.subject if by_port else cell.destination.name
        square = made.setdefault((cell.origin.name, target), Square())
        square.add(cell, differs=kind_of(cell, intent) is not None)
    return made


# In the terminal


def terminal(found: Reachability, intent: Intent | None, differing: Sequence[Difference]) -> Iterator[str]:
    """A matrix if it is small enough to be read, else the namespaces; then the differences."""
    subjects = list(dict.fromkeys(each.subject for each in found.places.destinations))
    if len(subjects) <= _COLUMNS_MAX and len(found.origins) <= _ROWS_MAX:
        made = squares(found, intent, by_port=True)
        yield from _matrix(found, made, subjects)
    else:
        made = squares(found, intent)
        yield from _spaces(found, made)
    yield ""
    yield f"{tally_connections(made.values())}; {found.execs} execs, {found.seconds:.1f} s"
    yield from extent_lines(found)
    yield from ([str(found.propagation)] if found.propagation else [])
    yield from (f"note: {note}" for note in found.notes)
    yield from differences_table(differing)


def extent_lines(found: Reachability) -> list[str]:
    """How much was measured, where not all was."""
    return [str(found.extent)] if found.places.seed is not None else []


def _matrix(found: Reachability, made: Mapping[tuple[str, str], Square], subjects: Sequence[str]) -> Iterator[str]:
    yield f"{SIGN['open']} open  {SIGN['blocked']} blocked  {SIGN['some']} some of the ways  {SIGN['unknown']} unknown  ! differs"
    if any(square.by_class for square in made.values()):
        yield f"{SIGN_BY_CLASS['open']} {SIGN_BY_CLASS['blocked']} {SIGN_BY_CLASS['some']} the same, but {BY_CLASS_WORDS}"
    yield ""
    yield from (f"{number:>3}  {subject}" for number, subject in enumerate(subjects, 1))
    yield ""
    width = max(len(name) for name in found.origins)
    yield " " * width + "".join(f"{number:>3}" for number in range(1, len(subjects) + 1))
    for origin in found.origins:
        cells = (made.get((origin, subject)) for subject in subjects)
        yield f"{origin:<{width}}" + "".join(_sign(square) for square in cells)


def _sign(square: Square | None) -> str:
    if square is None:
        return "   "
    signs = SIGN_BY_CLASS if square.by_class else SIGN
    return f" {'!' if square.differs else ' '}{signs[square.state]}"


def _spaces(found: Reachability, made: Mapping[tuple[str, str], Square]) -> Iterator[str]:
    counted = squares_by_space(made)
    columns = list(dict.fromkeys(target for _, target in counted))
    width = max(len(source) for source, _ in counted)
    some_by_class = any(square.by_class for square in counted.values())
    of_class = f"; c {BY_CLASS_WORDS}" if some_by_class else ""
    yield f"open connections of all{'' if some_by_class else ' that were tried'}, by namespace; ! differs{of_class}"
    yield " " * width + "".join(f"  {name:>16}" for name in columns)
    for source in dict.fromkeys(name.partition("/")[0] for name in found.origins):
        sums = [counted.get((source, target)) for target in columns]
        yield f"{source:<{width}}" + "".join(
            f"  {f'{_differs(each)}{each.opened}/{all_of(each)}{_of_class(each)}' if each else '':>16}" for each in sums
        )


def _differs(square: Square) -> str:
    return "!" if square.differs else ""


def _of_class(square: Square) -> str:
    return "c" if square.by_class else ""


def all_of(square: Square) -> int:
    """How many connections a square stands for."""
    return square.opened + square.blocked + square.unknown


def squares_by_space(made: Mapping[tuple[str, str], Square]) -> dict[tuple[str, str], Square]:
    """Squares added up by the namespaces of both ends."""
    sums: dict[tuple[str, str], Square] = {}
    for (origin, target), square in made.items():
        into = sums.setdefault((origin.partition("/")[0], target.partition("/")[0]), Square())
        into.opened += square.opened
        into.blocked += square.blocked
        into.unknown += square.unknown
        into.by_class += square.by_class
        into.differs = into.differs or square.differs
    return sums


def tally_connections(made: Iterable[Square]) -> str:
    """``208 connections: 90 open, 118 blocked, 0 unknown``; and how many of them were not measured, if some were not."""
    opened, blocked, unknown, by_class = (
        sum(counts) for counts in zip(*((o.opened, o.blocked, o.unknown, o.by_class) for o in made), strict=True)
    )
    untried = f", {by_class} of them by class" if by_class else ""
    return f"{opened + blocked + unknown} connections: {opened} open, {blocked} blocked, {unknown} unknown{untried}"


def counted(differing: Sequence[Difference]) -> str:
    """``no difference``, ``1 difference``, ``2 differences``."""
    return f"{len(differing) or 'no'} difference{'s' if len(differing) > 1 else ''}"


def differences_table(differing: Sequence[Difference]) -> Iterator[str]:
    """The differences as rows of declared, expected and measured, each with its first evidence."""
    if not differing:
        return
    rows = [("", "from", "to", "declared", "policies", "measured")]
    rows += [
        (DIFFERENCE_MEANING[each.kind], each.origin, each.subject, each.declared or "-", each.expected, each.measured)
        for each in differing
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    yield ""
    for number, row in enumerate(rows):
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        if number:
            yield f"    {differing[number - 1].cells[0]}"
            yield from _decided(differing[number - 1])


def _decided(each: Difference) -> list[str]:
    """Which policies decide it, if that is known."""
    return [f"    policies: {each.decided_by}"] if each.decided_by else []


# As JSON


def reach_document(found: Reachability, intent: Intent | None, differing: Sequence[Difference]) -> dict[str, Any]:
    """All cells and differences, JSON-compatible."""
    return {
        "schema": REACH_SCHEMA,
        "seconds": found.seconds,
        "execs": found.execs,
        "intent": intent.source if intent else None,
        "notes": list(found.notes),
        "extent": asdict(found.extent),
        "propagation": asdict(found.propagation) if found.propagation else None,
        "origins": list(found.origins),
        "targets": list(dict.fromkeys(each.subject for each in found.places.destinations)),
        "cells": [_cell(cell) for cell in found.cells()],
        "differences": [
            {
                "kind": each.kind,
                "from": each.origin,
                "to": each.subject,
                "declared": each.declared or None,
                "policies": each.expected,
                "decided_by": each.decided_by or None,
                "measured": each.measured,
                "evidence": [str(cell) for cell in each.cells],
            }
            for each in differing
        ],
    }


def _cell(cell: Cell) -> dict[str, Any]:
    told = {
        "from": cell.origin.name,
        "to": cell.destination.subject,
        "way": cell.destination.way,
        "dial": str(cell.destination.dial),
        "verdict": cell.verdict,
        "measured": cell.measured,
        "like": cell.like.way if cell.like else None,
        "outcome": str(cell.outcome) if cell.measured else None,
        "ms": cell.latency,
        "expected": cell.expected,
        "decided_by": cell.decided_by,
        "detail": cell.detail,
        "why": cell.why,
    }
    return {key: value for key, value in told.items() if value is not None and value != ""}


def write_picture(path: Path, text: str) -> Path:
    """Write a page or a document, whole or not at all."""
    return write_whole(path, text)
