"""Differences between what is declared, what the policies should give, and what was measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pytest_k8ssec.reach.cell import Cell
from pytest_k8ssec.reach.intent import Intent
from pytest_k8ssec.reach.matrix import Reachability

DifferenceKind = Literal["undeclared", "closed", "unlike-class", "not-as-policies", "unknown"]
DIFFERENCE_MEANING: dict[DifferenceKind, str] = {
    "undeclared": "open, and nothing declares it",
    "closed": "declared, and blocked",
    "unlike-class": "unlike others of its class",
    "not-as-policies": "not what the NetworkPolicies should give",
    "unknown": "can't be told",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One source and one listener for which they differ, over all the ways that lead there."""

    kind: DifferenceKind
    origin: str
    subject: str
    """``payments/api:8080/TCP``."""
    declared: str
    """``line 7``, ``no``, or "" where there is no intent."""
    expected: str
    """``allow``, ``deny``, or ``either``."""
    measured: str
    cells: tuple[Cell, ...]
    decided_by: str = ""
    """Which policies decide it, by kind, name and rule; that of the first of the ways."""

    def __str__(self) -> str:
        ways = f" and {len(self.cells) - 1} more ways" if len(self.cells) > 1 else ""
        by = (
            f" (policies: {self.expected}, by {self.decided_by})"
            if self.kind == "not-as-policies" and self.decided_by
            else ""
        )
        return f"{DIFFERENCE_MEANING[self.kind]}: {self.cells[0]}{ways}{by}"


def differences(reachability: Reachability, intent: Intent | None = None) -> list[Difference]:
    """Every disagreement; worst first. A cell has one kind, the first that fits.

    Args:
        intent: what is declared; None compares the policies and the measurement only.

    Raises:
        SettingsError: the intent names something that does not exist.
    """
    if intent is not None:
        intent.check(reachability.places)
    grouped: dict[tuple[DifferenceKind, str, str], list[Cell]] = {}
    for cell in reachability.cells():
        kind = kind_of(cell, intent)
        if kind:
            grouped.setdefault((kind, cell.origin.name, cell.destination.subject), []).append(cell)
    order = list(DIFFERENCE_MEANING)
    return [
        _difference(kind, origin, subject, cells, intent)
        for (kind, origin, subject), cells in sorted(
            grouped.items(), key=lambda one: (order.index(one[0][0]), one[0][1:])
        )
    ]


def kind_of(cell: Cell, intent: Intent | None) -> DifferenceKind | None:
    """How a cell differs, None if it does not."""
    if cell.kept:
        return None
    declared = intent.declares(cell) if intent is not None else None
    if cell.verdict == "open" and intent is not None and declared is None and not cell.exempt:
        return "undeclared"
    if cell.verdict == "blocked" and declared is not None:
        return "closed"
    if cell.verdict == "unknown":
        return "unknown"
    if cell.unlike is not None:
        return "unlike-class"
    if cell.expected is not None and cell.expected is not (cell.verdict == "open"):
        return "not-as-policies"
    return None


def _difference(
    kind: DifferenceKind, origin: str, subject: str, cells: list[Cell], intent: Intent | None
) -> Difference:
    rules = [intent.declares(cell) for cell in cells] if intent is not None else []
    lines = dict.fromkeys(f"line {rule.line}" if rule else "no" for rule in rules)
    return Difference(
        kind,
        origin,
        subject,
        ", ".join(lines),
        _said({None: "either", True: "allow", False: "deny"}[cell.expected] for cell in cells),
        _said(cell.answer for cell in cells),
        tuple(cells),
        cells[0].decided_by,
    )


def _said(words: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(words))
