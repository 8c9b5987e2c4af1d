"""What was tried, as rows of tables: what got through first, and as many as there is room for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_k8ssec.reports.breach import answer
from pytest_k8ssec.reports.result import Entry

_WORDS = {
    "attack": {True: "got through", False: "stopped", None: "not known"},
    "positive control": {True: "succeeded", False: "failed", None: "not known"},
}
_WAIVED = "waived"
_FIRST = ("got through", "failed", "not known", _WAIVED, "succeeded", "stopped")
"""What a reader looks for first, and what stays where there is no room for all."""


@dataclass(frozen=True, slots=True)
class TriedRow:
    """One attack, or one positive control."""

    kind: str
    became: str
    """``got through``, ``stopped``, ``waived``, ``succeeded``, ``failed`` or ``not known``."""
    case: str
    what: str
    source: str
    request: str
    answer: str
    detail: str
    latency: str
    at: str
    facts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Rows:
    """Some of what there is, and how much was left out."""

    shown: Sequence[Any]
    left: int


def first_of(found: Sequence[Any], most: int) -> Rows:
    """The first of a list.

    Args:
        most: so many.
    """
    return Rows(found[:most], max(0, len(found) - most))


def tried_rows(entry: Entry, most: int) -> Rows:
    """Each attack and each positive control of a result, what got through first, then in the order in which they were made.

    Args:
        entry: as report.json has it.
        most: so many rows.
    """
    found = sorted(_rows(entry), key=lambda each: _FIRST.index(each[0]))
    kept = first_of(found, most)
    return Rows([_row(*each) for each in kept.shown], kept.left)


def count_tried(entry: Entry) -> int:
    """How many rows a result has, those of its tables too."""
    return len(entry["attacks"]) + len(entry.get("positives", ())) + sum(len(each["rows"]) for each in _tables(entry))


def _rows(entry: Entry) -> Iterator[tuple[str, str, Entry]]:
    for one in entry["attacks"]:
        yield (_WAIVED if one.get("waived") else _WORDS["attack"][one["through"]]), "attack", one
    for one in entry.get("positives", ()):
        yield _WORDS["positive control"][one["succeeded"]], "positive control", one


def _row(became: str, kind: str, one: Entry) -> TriedRow:
    source = one["source"]
    latency = one.get("latency_ms")
    return TriedRow(
        kind, became, one["case"], one["what"],
        f"{source['kind']} {source['name']}" + (f" as {source['identity']}" if source.get("identity") else ""),
        one["request"], answer(one), one.get("detail", ""), "" if latency is None else f"{latency:.1f}", one.get("at", ""),
        [f"{name}: {value}" for name, value in (one.get("facts") or {}).items()],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ShownTable:
    """A control's own table of answers, or the first rows of it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Entry]
    left: int


def tables_of(entry: Entry, most: int) -> Rows:
    """A result's tables.

    Args:
        entry: as report.json has it.
        most: so many rows in all tables together.
    """
    made: list[ShownTable] = []
    left = 0
    for one in _tables(entry):
        kept = first_of(one["rows"], most)
        most -= len(kept.shown)
        if kept.shown or not one["rows"]:
            made.append(ShownTable(one["title"], one["columns"], kept.shown, kept.left))
        else:
            left += 1
    return Rows(made, left)


def _tables(entry: Entry) -> Sequence[Entry]:
    return entry.get("tables") or ()
