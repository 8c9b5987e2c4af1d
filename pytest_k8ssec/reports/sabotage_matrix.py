"""matrix.json: which sabotage breached which control, and which sabotages no control noticed. report.html shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
WRONG = ("survived", "unexpected", "unearned", "unclear")

SIGN_OF = {
    "killed": "K", "survived": "S", "unexpected": "U", "unearned": "E", "unclear": "?", "blinded": "b", "unmoved": "·",
    "not-applicable": "-",
}  # fmt: skip
"""How a cell is told in one letter."""

_PHASES = ("intact", "sabotaged", "restored")


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


def is_shown(intact: str | None, sabotaged: str | None, restored: str | None, blamed: str) -> bool:
    """Whether a control is shown to notice a sabotage: as it was before, breached, as it was again, and nobody else is blamed.

    Args:
        intact, sabotaged, restored: its verdicts, None where there is none.
        blamed: a key of :data:`BLAMED`, or "".
    """
    before = "waived" if intact == "waived" else "held"
    return (intact, sabotaged, restored) == (before, "breached", before) and blamed != "other"


def wrong_results(found: Mapping[str, Any]) -> int:
    """How many are not as they must be: cells, and sabotages whose control is not shown to notice them."""
    unshown = 0
    for row in found["sabotages"]:
        intact, sabotaged, restored = (row["verdicts"].get(phase) for phase in _PHASES)
        counted = row["cells"].get(row["control"], {}).get("result") in WRONG
        unshown += not counted and not is_shown(intact, sabotaged, restored, row.get("blamed", ""))
    return unshown + sum(int(found["counts"][name]) for name in WRONG)


def write_matrix(directory: Path, found: Mapping[str, Any]) -> Path:
    """Write matrix.json, as a whole or not at all, and return its path; report.html shows the same."""
    return write_whole(directory / "matrix.json", json.dumps(found, indent=2, ensure_ascii=False) + "\n")
