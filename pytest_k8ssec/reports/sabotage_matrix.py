"""matrix.json and matrix.html: which sabotage breached which control, and which sabotages no control noticed."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_k8ssec.reports.result import Entry
from pytest_k8ssec.reports.write_whole import write_whole

MATRIX_SCHEMA = 1

_CELLS = {
    ("breached", "breached"): "killed",
    ("inconclusive", "inconclusive"): "blinded",
    ("inconclusive", "not-applicable"): "blinded",
    ("inconclusive", "held"): "unearned",
    ("inconclusive", "waived"): "unearned",
    ("held", "held"): "unmoved",
    ("held", "waived"): "unmoved",
    ("held", "inconclusive"): "unclear",
    ("held", "not-applicable"): "not-applicable",
}
"""(expected, verdict) to what a cell says; an expected breach that is none survived, any other breach is unexpected."""

MEANING = {
    "killed": "breached, as it must",
    "survived": "must be breached, and is not",
    "unexpected": "breached, and must not",
    "unearned": "held, and can't tell",
    "unclear": "inconclusive, and must hold",
    "blinded": "can't tell, as announced",
    "unmoved": "held, as it must, or waived as it was",
    "not-applicable": "nothing to judge",
}
BLAMED = {
    "exact": "the object that it changed, and no other",
    "not found": "no object",
    "other": "an object that no sabotage in force changed",
}
"""What its control blames for a sabotage that changes objects."""
_WRONG = ("survived", "unexpected", "unearned", "unclear")


def cell(entry: Entry, intact: str | None = None, sabotage: str = "") -> str:
    """What one result under sabotage says of the pair.

    Args:
        intact: the control's verdict on the intact cluster; a control that had nothing to judge there can't miss a
            sabotage.
        sabotage: which of several sabotages in force; the control must name this one, as others may have breached it.
    """
    expected, verdict = entry["expected"], entry["verdict"]
    if intact == verdict == "not-applicable":
        return "not-applicable"
    rest = "survived" if expected == "breached" else "unexpected"
    if sabotage in entry["missing"]:
        return rest
    return _CELLS.get((expected, verdict), rest)


def blamed_by(entry: Entry, sabotage: str) -> str:
    """Whether a control that must notice a sabotage blames just what that changed: a key of :data:`BLAMED`.

    "" where the control was not breached, or the sabotage does not say which objects it changed. What is blamed may also be
    what others of its pack changed, as they are in force at the same time.
    """
    changed = entry.get("changed", {})
    mine = set(changed.get(sabotage, ()))
    if entry["verdict"] != "breached" or not mine or sabotage not in entry["own_sabotages"]:
        return ""
    named = {object_words(one) for each in entry.get("blamed", ()) for one in each["culprits"]}
    if named - {one for each in changed.values() for one in each}:
        return "other"
    return "exact" if named & mine else "not found"


def object_words(culprit: Entry) -> str:
    """The object that a culprit is, without its field: as a sabotage names what it changed."""
    where = f"{culprit['namespace']}/" if culprit["namespace"] else ""
    return f"{culprit['kind']} {where}{culprit['name']}"


def matrix(entries: Sequence[Entry]) -> dict[str, Any]:
    """Sabotages times controls.

    Args:
        entries: results as in report.json. Those of a pack's bystanders count for each of the pack's sabotages.

    Returns:
        ``controls`` by id; ``sabotages``, each with the control that it is made for, its pack, what that control said
        intact, sabotaged and restored, and its ``cells``; ``counts`` of all cells.
    """
    intact = {entry["control"]: entry["verdict"] for entry in entries if entry["phase"] == "intact"}
    rows: dict[str, dict[str, Any]] = {}
    for entry in entries:
        for name in entry["own_sabotages"]:
            row = rows.setdefault(
                name,
                {"sabotage": name, "control": entry["control"], "pack": entry["pack"],
                 "verdicts": {"intact": intact.get(entry["control"])}, "cells": {}},
            )  # fmt: skip
            row["verdicts"][entry["phase"]] = entry["verdict"]
            if entry["phase"] == "sabotaged":
                row["blamed"] = blamed_by(entry, name)
    for entry in entries:
        if entry["phase"] != "sabotaged":
            continue
        pack = [row for row in rows.values() if row["pack"] == entry["pack"]]
        for row in [row for row in pack if row["sabotage"] in entry["sabotages"]] if entry["sabotages"] else pack:
            row["cells"][entry["control"]] = {
                "verdict": entry["verdict"],
                "result": cell(entry, intact.get(entry["control"]), row["sabotage"]),
            }
    blamed = [row.get("blamed", "") for row in rows.values()]
    results = [each["result"] for row in rows.values() for each in row["cells"].values()]
    return {
        "schema": MATRIX_SCHEMA,
        "controls": sorted({entry["control"] for entry in entries if entry["phase"]}),
        "sabotages": sorted(rows.values(), key=lambda row: (row["control"], row["sabotage"])),
        "counts": {name: results.count(name) for name in MEANING},
        "blamed": {name: blamed.count(name) for name in BLAMED},
    }


def write_matrix(directory: Path, found: Mapping[str, Any]) -> Path:
    """Write matrix.json and matrix.html, each as a whole or not at all. Returns the path of the picture."""
    write_whole(directory / "matrix.json", json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    return write_whole(directory / "matrix.html", matrix_page(found))


_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; color: #222; background: #fff }
table { border-collapse: collapse } td, th { border: 1px solid #ddd; padding: 2px 6px; font-weight: normal }
thead th { height: 11em; vertical-align: bottom; padding: 2px } thead span { writing-mode: vertical-rl; rotate: 180deg }
tbody th { text-align: left } tbody th, tbody td { white-space: nowrap } td.cell { width: 1.2em; text-align: center }
.killed { background: #2b8a3e; color: #fff } .unmoved { color: #bbb } .blinded { background: #cfe3f5 }
.not-applicable { color: #ccc } .survived, .unexpected, .unearned, .unclear { background: #c92a2a; color: #fff }
.wrong { color: #c92a2a; font-weight: bold } li { list-style: none } li b { display: inline-block; width: 1.6em }
"""
_SIGN = {
    "killed": "K", "survived": "S", "unexpected": "U", "unearned": "E", "unclear": "?", "blinded": "b", "unmoved": "·",
    "not-applicable": "",
}  # fmt: skip


def matrix_page(found: Mapping[str, Any]) -> str:
    """The picture: one self-contained page without scripts."""
    counts = found["counts"]
    wrong = sum(counts[name] for name in _WRONG)
    head = "".join(f"<th><span>{html.escape(name)}</span></th>" for name in found["controls"])
    rows = "\n".join(_row(row, found["controls"]) for row in found["sabotages"])
    legend = "".join(
        f'<li><b class="{name}">{_SIGN[name] or "&nbsp;"}</b> {name}: {meaning} ({counts[name]})</li>'
        for name, meaning in MEANING.items()
    )
    blamed = ", ".join(f"{found['blamed'][name]} {words}" for name, words in BLAMED.items())
    verdict = f'<p class="wrong">{wrong} cells are not as they must be</p>' if wrong else "<p>all as it must be</p>"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sabotages and controls</title><style>{_STYLE}</style></head>
<body><h1>Sabotages and controls</h1>
<p>Each row breaks a real cluster in one way; each column is a control that was then run on it.</p>
{verdict}<ul>{legend}</ul>
<p>Who is blamed, where a sabotage changes objects: {blamed}.</p>
<table><thead><tr><th>sabotage</th><th>made for</th><th>intact &rarr; sabotaged &rarr; restored</th><th>blames</th>{head}</tr></thead>
<tbody>
{rows}
</tbody></table></body></html>
"""


def _row(row: Mapping[str, Any], controls: Iterable[str]) -> str:
    path = " &rarr; ".join(str(row["verdicts"].get(phase) or "?") for phase in ("intact", "sabotaged", "restored"))
    cells = "".join(_cell(row["cells"].get(name), f"{row['sabotage']} and {name}") for name in controls)
    names = "".join(f"<{tag}>{html.escape(row[key])}</{tag}>" for tag, key in (("th", "sabotage"), ("td", "control")))
    blamed = str(row.get("blamed") or "")
    mark = ' class="wrong"' if blamed == "other" else ""
    return f"<tr>{names}<td>{path}</td><td{mark}>{blamed}</td>{cells}</tr>"


def _cell(one: Mapping[str, str] | None, pair: str) -> str:
    if one is None:
        return "<td></td>"
    told = html.escape(f"{pair}: {one['verdict']}: {MEANING[one['result']]}", quote=True)
    return f'<td class="cell {one["result"]}" title="{told}">{_SIGN[one["result"]]}</td>'
