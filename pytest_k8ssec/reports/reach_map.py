"""Measured reachability as a heat map: small enough for report.json, drawn on report.html and on a page of its own.

The page of its own is one file without scripts; there each square also shows its evidence when one points at it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_k8ssec.reach.difference import DIFFERENCE_MEANING, Difference
from pytest_k8ssec.reach.intent import Intent
from pytest_k8ssec.reach.matrix import Reachability
from pytest_k8ssec.reports.reach import (
    BY_CLASS_WORDS,
    SIGN,
    SIGN_BY_CLASS,
    STATES,
    Square,
    all_of,
    counted,
    extent_lines,
    squares,
    squares_by_space,
    tally_connections,
)

_DIFFERENCES_MAX = 500
_STATE_OF = {
    **{sign: (state, "") for state, sign in SIGN.items()},
    **{sign: (state, " byclass") for state, sign in SIGN_BY_CLASS.items() if sign != SIGN[state]},
}
_SHADES = 4
"""So many shades tell how much of a namespace is open to another one."""
_TOGETHER_MAX = 40
"""So many sources stand in one map; where there are more, each namespace that sends has one."""
_CELL = 40
"""A square of a page takes about so many letters."""

_Told = Mapping[tuple[str, str], str]
"""By source and target, several lines."""


def reach_map(found: Reachability, intent: Intent | None, differing: Sequence[Difference]) -> dict[str, Any]:
    """What report.json has of it, JSON-compatible: a letter for each source and target, the namespaces, the differences.

    Args:
        found: what was measured.
        intent: what is declared, None where that is compared with the policies alone.
        differing: the differences, the worst first.
    """
    return _map(found, intent, differing, squares(found, intent))


def _map(
    found: Reachability, intent: Intent | None, differing: Sequence[Difference], made: Mapping[tuple[str, str], Square]
) -> dict[str, Any]:
    targets = sorted(dict.fromkeys(each.name for each in found.places.destinations))
    origins = sorted(found.origins, key=lambda name: (_space(name), name))
    sums = squares_by_space(made)
    columns = list(dict.fromkeys(map(_space, targets)))
    told = [*extent_lines(found), *([str(found.propagation)] if found.propagation else [])]
    return {
        "tally": tally_connections(made.values()),
        "execs": found.execs,
        "seconds": round(found.seconds, 1),
        "compared_with": intent.source if intent else "the NetworkPolicies alone: no intent was named",
        "all_tried": found.places.seed is None,
        "notes": [*told, *(f"note: {note}" for note in found.notes)],
        "origins": origins,
        "targets": targets,
        "signs": ["".join(_sign(made.get((name, target))) for target in targets) for name in origins],
        "differing": ["".join(_mark(made.get((name, target))) for target in targets) for name in origins],
        "spaces": columns,
        "open": [
            {"from": space, "to": [_sum(sums.get((space, name))) for name in columns]}
            for space in dict.fromkeys(map(_space, origins))
        ],
        "differences": [
            {
                "kind": DIFFERENCE_MEANING[each.kind], "from": each.origin, "to": each.subject, "declared": each.declared,
                "policies": each.expected, "decided_by": each.decided_by, "measured": each.measured,
                "evidence": str(each.cells[0]),
            }
            for each in differing[:_DIFFERENCES_MAX]
        ],
        "differences_left": max(0, len(differing) - _DIFFERENCES_MAX),
        "differences_words": counted(differing),
    }  # fmt: skip


def _space(name: str) -> str:
    return name.partition("/")[0]


def _sign(square: Square | None) -> str:
    if square is None:
        return " "
    return (SIGN_BY_CLASS if square.by_class else SIGN)[square.state]


def _mark(square: Square | None) -> str:
    return "!" if square is not None and square.differs else " "


def _sum(square: Square | None) -> dict[str, Any] | None:
    if square is None:
        return None
    counts = {"opened": square.opened, "all": all_of(square), "unknown": square.unknown, "by_class": square.by_class}
    return {**counts, "differs": square.differs}


@dataclass(frozen=True, slots=True)
class DrawnSum:
    """How much of a namespace is open to another one."""

    words: str
    shade: int
    differs: bool


@dataclass(frozen=True, slots=True)
class DrawnSource:
    """One row of a heat map: a source, and of each target the style, the letter and the evidence of its square."""

    name: str
    squares: Sequence[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class DrawnMap:
    """A heat map as a part of a page."""

    map: Mapping[str, Any]
    number: int
    """Another one for each map of a page."""
    keys: Sequence[tuple[str, str, str]]
    """Style, letter and meaning of each kind of square."""
    spaces: Sequence[tuple[str, Sequence[DrawnSum | None]]]
    """Of each namespace that sends: what it reaches of each."""
    blocks: Sequence[tuple[str, Sequence[DrawnSource]]]
    """The sources, by namespace where there are many; none where there is no room for them."""


def drawn_map(
    found: Mapping[str, Any], number: int, room: int | None = None, evidence: _Told | None = None
) -> DrawnMap:
    """What a page shows of it.

    Args:
        found: see :func:`reach_map`.
        number: another one for each map of a page.
        room: so many letters; where the squares have none, the namespaces alone are shown.
        evidence: what is shown to who points at a square.
    """
    blocks: dict[str, list[DrawnSource]] = {}
    if room is None or len(found["origins"]) * len(found["targets"]) * _CELL <= room:
        for name, signs, marks in zip(found["origins"], found["signs"], found["differing"], strict=True):
            made = [*_squares(name, found["targets"], signs, marks, evidence or {})]
            block = _space(name) if len(found["origins"]) > _TOGETHER_MAX else "everywhere"
            blocks.setdefault(block, []).append(DrawnSource(name, made))
    signs = {each for row in found["signs"] for each in row}
    keys = [(f"cell {state}", SIGN[state], words) for state, words in STATES.items()]
    if signs & {*SIGN_BY_CLASS.values()} - {*SIGN.values()}:
        letters = " ".join(sign for sign in SIGN_BY_CLASS.values() if sign not in SIGN.values())
        keys.append(("cell byclass", letters, BY_CLASS_WORDS))
    keys.append(("cell differs", "!", "differs"))
    spaces = [(row["from"], [_drawn_sum(each) for each in row["to"]]) for row in found["open"]]
    return DrawnMap(found, number, keys, spaces, [*blocks.items()])


def _squares(
    name: str, targets: Sequence[str], signs: str, marks: str, evidence: _Told
) -> Iterator[tuple[str, str, str]]:
    for target, sign, mark in zip(targets, signs, marks, strict=True):
        differs = mark == "!"
        state, more = _STATE_OF.get(sign, ("none", ""))
        style = f"cell {state}{more}{' differs' if differs else ''}"
        yield style, f"{sign}{mark}".strip(), evidence.get((name, target), "")


def _drawn_sum(one: Mapping[str, Any] | None) -> DrawnSum | None:
    if one is None:
        return None
    doubt = f", {one['unknown']} unknown" if one["unknown"] else ""
    doubt += f", {one['by_class']} by class" if one["by_class"] else ""
    return DrawnSum(
        f"{one['opened']}/{one['all']}{doubt}", round(_SHADES * one["opened"] / max(1, one["all"])), one["differs"]
    )


def reach_page(found: Reachability, intent: Intent | None, differing: Sequence[Difference]) -> str:
    """The whole page: namespaces first, then a heat map for each namespace that sends, which folds."""
    from pytest_k8ssec.reports.page.templating import filled  # what is printed needs no templates

    made = squares(found, intent)
    evidence = {
        (origin, target): "\n".join([f"{origin} to {target}", *square.told, *_more(square)])
        for (origin, target), square in made.items()
    }
    return filled("reach.html", one=drawn_map(_map(found, intent, differing, made), 0, None, evidence))


def _more(square: Square) -> list[str]:
    more = all_of(square) - len(square.told)
    return [f"and {more} more"] if more > 0 else []
