"""Measured reachability for readers: a table for few places, a page with a heat map for many, and JSON.

Pure functions of what was measured. The page is one file without scripts; each square shows its evidence when one
points at it.
"""

from __future__ import annotations

import html
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
_BY_CLASS_SIGN = {"open": "o", "blocked": ",", "some": "-", "unknown": SIGN["unknown"]}
_BY_CLASS = "not measured, or not all of it: as its class"


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
    yield from _extent(found)
    yield from ([str(found.propagation)] if found.propagation else [])
    yield from (f"note: {note}" for note in found.notes)
    yield from differences_table(differing)


def _extent(found: Reachability) -> list[str]:
    """How much was measured, where not all was."""
    return [str(found.extent)] if found.places.seed is not None else []


def _matrix(found: Reachability, made: Mapping[tuple[str, str], Square], subjects: Sequence[str]) -> Iterator[str]:
    yield f"{SIGN['open']} open  {SIGN['blocked']} blocked  {SIGN['some']} some of the ways  {SIGN['unknown']} unknown  ! differs"
    if any(square.by_class for square in made.values()):
        yield f"{_BY_CLASS_SIGN['open']} {_BY_CLASS_SIGN['blocked']} {_BY_CLASS_SIGN['some']} the same, but {_BY_CLASS}"
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
    signs = _BY_CLASS_SIGN if square.by_class else SIGN
    return f" {'!' if square.differs else ' '}{signs[square.state]}"


def _spaces(found: Reachability, made: Mapping[tuple[str, str], Square]) -> Iterator[str]:
    counted = _by_space(made)
    columns = list(dict.fromkeys(target for _, target in counted))
    width = max(len(source) for source, _ in counted)
    some_by_class = any(square.by_class for square in counted.values())
    of_class = f"; c {_BY_CLASS}" if some_by_class else ""
    yield f"open connections of all{'' if some_by_class else ' that were tried'}, by namespace; ! differs{of_class}"
    yield " " * width + "".join(f"  {name:>16}" for name in columns)
    for source in dict.fromkeys(name.partition("/")[0] for name in found.origins):
        sums = [counted.get((source, target)) for target in columns]
        yield f"{source:<{width}}" + "".join(
            f"  {f'{_differs(each)}{each.opened}/{_all(each)}{_of_class(each)}' if each else '':>16}" for each in sums
        )


def _differs(square: Square) -> str:
    return "!" if square.differs else ""


def _of_class(square: Square) -> str:
    return "c" if square.by_class else ""


def _all(square: Square) -> int:
    return square.opened + square.blocked + square.unknown


def _by_space(made: Mapping[tuple[str, str], Square]) -> dict[tuple[str, str], Square]:
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


# As a page

_STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 1.5em; color: #1f2328; background: #fff }
h1 { font-size: 1.4em; margin: 0 0 .2em } h2 { font-size: 1.1em; margin: 1.6em 0 .4em } p { margin: .3em 0 }
.box { overflow: auto; max-height: 88vh; max-width: 100%; border: 1px solid #d0d7de }
table { border-collapse: separate; border-spacing: 0 } th { font-weight: normal; text-align: left; background: #fff }
.map td { width: 13px; height: 13px; min-width: 13px; padding: 0; border: solid #fff; border-width: 0 1px 1px 0 }
.map tbody th { position: sticky; left: 0; z-index: 1; white-space: nowrap; padding: 0 8px; font-size: 11px; line-height: 13px }
.map thead th { position: sticky; top: 0; z-index: 2; height: 13em; vertical-align: bottom; padding: 3px 0; font-size: 11px }
.map thead th.corner { left: 0; z-index: 3; padding: 3px 8px; vertical-align: top; font-size: 12px }
.map thead span { writing-mode: vertical-rl; rotate: 180deg; white-space: nowrap; line-height: 13px }
.map .new { border-left: 3px solid #8c959f } .map tbody tr:hover th { background: #fff8c5 }
.map td:hover { outline: 2px solid #1f2328; outline-offset: -1px }
.open { background: #2f81f7 } .blocked { background: #e6e9ed } .none { background: #fff }
.some { background: linear-gradient(135deg, #2f81f7 50%, #e6e9ed 50%) }
.unknown { background: repeating-linear-gradient(45deg, #d4a72c 0 3px, #fff8c5 3px 6px) }
.byclass { font-size: 9px; line-height: 12px; text-align: center; outline: 1px dashed #1f2328; outline-offset: -2px }
td.differs { box-shadow: inset 0 0 0 3px #cf222e }
.spaces td, .spaces th, .rows td, .rows th { border: 1px solid #d0d7de; padding: 3px 8px } .spaces td { text-align: right }
.rows td { vertical-align: top } .rows th { font-weight: 600 } .rows small { color: #57606a }
a { color: inherit } summary { cursor: pointer; font-weight: 600; margin: .8em 0 .3em }
.key { display: inline-block; width: 13px; height: 13px; vertical-align: -2px; margin: 0 .4em 0 1.2em }
.key.differs { box-shadow: inset 0 0 0 3px #cf222e } .bad { color: #cf222e; font-weight: 600 } .good { color: #1a7f37 }
"""
_ROWS_SHOWN = 500


def reach_page(found: Reachability, intent: Intent | None, differing: Sequence[Difference]) -> str:
    """The whole page: namespaces first, then a heat map for each namespace that sends, which folds."""
    made = squares(found, intent)
    targets = sorted(dict.fromkeys(each.name for each in found.places.destinations))
    origins = sorted(found.origins, key=lambda name: (name.partition("/")[0], name))
    spaces = list(dict.fromkeys(name.partition("/")[0] for name in origins))
    head = _columns(targets)
    blocks = "\n".join(
        _block(space, [name for name in origins if name.partition("/")[0] == space], targets, made, head)
        for space in spaces
    )
    against = html.escape(intent.source) if intent else "the NetworkPolicies alone: no intent was named"
    verdict = f'<p class="{"bad" if differing else "good"}">{counted(differing)}</p>'
    keys = "".join(f'<span class="key {name}"></span>{words}' for name, words in STATES.items())
    told = [*_extent(found), *([str(found.propagation)] if found.propagation else [])]
    if any(square.by_class for square in made.values()):
        keys += f'<span class="key byclass">c</span>{_BY_CLASS}'
    notes = "".join(f"<p>{html.escape(line)}</p>" for line in (*told, *(f"note: {note}" for note in found.notes)))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Who reaches whom</title><style>{_STYLE}</style></head>
<body><h1>Who reaches whom</h1>
<p>{tally_connections(made.values())}; {found.execs} execs in {found.seconds:.1f} s. Compared with {against}.</p>
{verdict}{notes}
<p>{keys}<span class="key differs"></span>differs. Point at a square for its evidence.</p>
{_listed(differing)}
<h2>Namespaces: open connections of all{"" if found.places.seed is not None else " that were tried"}</h2>
{_overview(made, spaces, targets)}
<h2>Sources and targets</h2>
{blocks}
</body></html>
"""


def _columns(targets: Sequence[str]) -> str:
    return "".join(f"<th{_new(at, targets)}><span>{html.escape(name)}</span></th>" for at, name in enumerate(targets))


def _new(at: int, targets: Sequence[str]) -> str:
    """The mark of a column that begins a namespace."""
    begins = at and targets[at].partition("/")[0] != targets[at - 1].partition("/")[0]
    return ' class="new"' if begins else ""


def _block(
    space: str, origins: Iterable[str], targets: Sequence[str], made: Mapping[tuple[str, str], Square], head: str
) -> str:
    rows = "\n".join(
        f"<tr><th>{html.escape(origin)}</th>"
        + "".join(_square(made.get((origin, name)), origin, at, targets) for at, name in enumerate(targets))
        + "</tr>"
        for origin in origins
    )
    name = html.escape(space, quote=True)
    return f"""<details open id="from-{name}"><summary>from {name}</summary><div class="box"><table class="map">
<thead><tr><th class="corner">from {name}<br>to</th>{head}</tr></thead><tbody>
{rows}
</tbody></table></div></details>"""


def _square(square: Square | None, origin: str, at: int, targets: Sequence[str]) -> str:
    new = " new" if _new(at, targets) else ""
    if square is None:
        return f'<td class="none{new}"></td>'
    lines = [f"{origin} to {targets[at]}", *square.told]
    if (more := _all(square) - len(square.told)) > 0:
        lines.append(f"and {more} more")
    title = html.escape("\n".join(lines), quote=True)
    more_of_it = f"{' differs' if square.differs else ''}{' byclass' if square.by_class else ''}{new}"
    return f'<td class="{square.state}{more_of_it}" title="{title}">{_of_class(square)}</td>'


def _overview(made: Mapping[tuple[str, str], Square], spaces: Sequence[str], targets: Sequence[str]) -> str:
    sums = _by_space(made)
    columns = list(dict.fromkeys(name.partition("/")[0] for name in targets))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    rows = "\n".join(
        f'<tr><th><a href="#from-{html.escape(space, quote=True)}">from {html.escape(space)}</a></th>'
        + "".join(_sum(sums.get((space, name))) for name in columns)
        + "</tr>"
        for space in spaces
    )
    return f"""<div class="box"><table class="spaces"><thead><tr><th>to</th>{head}</tr></thead><tbody>
{rows}
</tbody></table></div>"""


def _sum(square: Square | None) -> str:
    if square is None:
        return "<td></td>"
    share = square.opened / _all(square)
    doubt = f", {square.unknown} unknown" if square.unknown else ""
    doubt += f", {square.by_class} by class" if square.by_class else ""
    differs = ' class="differs"' if square.differs else ""
    return f'<td{differs} style="background: rgb(47 129 247 / {share * 0.75:.2f})">{square.opened}/{_all(square)}{doubt}</td>'


def _listed(differing: Sequence[Difference]) -> str:
    if not differing:
        return ""
    rows = "\n".join(
        f"<tr><td>{DIFFERENCE_MEANING[each.kind]}</td><td>{html.escape(each.origin)}</td><td>{html.escape(each.subject)}</td>"
        f"<td>{html.escape(each.declared or '-')}</td><td>{each.expected}<br><small>{html.escape(each.decided_by)}</small></td>"
        f"<td>{each.measured}<br>"
        f"<small>{html.escape(str(each.cells[0]))}</small></td></tr>"
        for each in differing[:_ROWS_SHOWN]
    )
    more = f"<p>and {len(differing) - _ROWS_SHOWN} more</p>" if len(differing) > _ROWS_SHOWN else ""
    return f"""<details open><summary>Differences</summary><div class="box"><table class="rows">
<thead><tr><th></th><th>from</th><th>to</th><th>declared</th><th>policies</th><th>measured</th></tr></thead><tbody>
{rows}
</tbody></table></div>{more}</details>"""


def write_picture(path: Path, text: str) -> Path:
    """Write a page or a document, whole or not at all."""
    return write_whole(path, text)
