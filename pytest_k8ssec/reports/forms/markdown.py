"""A short summary in Markdown: the page of a job, or a comment."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_k8ssec.plain import line
from pytest_k8ssec.reports.forms.reported import Reported, at_most, reported, verdicts_of, waiver_reason
from pytest_k8ssec.reports.terminal import tally_verdicts

SUMMARY_BYTES_MAX = 1_000_000
"""GitHub drops the whole summary of a step that is larger than 1 MiB."""
_ROWS_MAX, _CELL_MAX = 100, 300
_SPECIAL = re.compile(r"[\\`*_{}\[\]<>()#+!|~&:@$^=]|(?i:(?<=www)\.)|^-")
_HEADS = {
    "breached": ("Breached", ("severity", "control", "what is", "where")),
    "inconclusive": ("Not known", ("severity", "control", "why", "where")),
    "waived": ("Waived", ("severity", "control", "what is", "who answers for it")),
}


def summary_markdown(report: Mapping[str, Any], most: int = SUMMARY_BYTES_MAX) -> str:
    """Counts, and a table each of what is breached, not known and waived, the worst first.

    Args:
        report: as report.json has it.
        most: bytes; where all has no room, fewer rows are shown, and how many are left out is said.
    """
    found = reported(report)
    rows = _ROWS_MAX
    while True:
        text = _summary(report, found, rows)
        if rows == 0 or len(text.encode()) <= most:
            return text
        rows //= 2


def _summary(report: Mapping[str, Any], found: Sequence[Reported], rows: int) -> str:
    verdicts = verdicts_of(report)
    lines = ["## Kubernetes security", "", f"**{escaped(tally_verdicts(verdicts))}**", ""]
    if verdicts and not any(each["verdict"] in ("held", "waived") for each in verdicts):
        lines += ["**NOTHING PROVEN: no control was shown to hold**", ""]
    if report["run"]["cluster"].get("origin") == "packaged":
        lines += ["Controls of the cluster judged the packaged cluster, not yours.", ""]
    for verdict, (title, heads) in _HEADS.items():
        chosen = [each for each in found if each.verdict == verdict]
        if chosen:
            lines += [f"### {title}", "", _row(heads), _row(["---"] * len(heads))]
            lines += [_row(map(_cell, _cells(each))) for each in chosen[:rows]]
            left = len(chosen) - rows
            lines += ["", *([f"{left} more: see report.json.", ""] if left > 0 else [])]
    return "\n".join(lines).rstrip() + "\n"


def _cells(one: Reported) -> list[str]:
    last = "; ".join(map(waiver_reason, one.waivers)) if one.verdict == "waived" else f"{one.path}:{one.line}"
    return [one.severity, one.control, one.words, last]


def _row(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return escaped(at_most(line(text), _CELL_MAX))


def escaped(text: str) -> str:
    """A text of one line that Markdown shows as it is: no link, no image, no markup, no end of a table's cell."""
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", text)
