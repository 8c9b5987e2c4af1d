"""What a run says to GitHub Actions by itself: annotations, and the summary of its step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_k8ssec.plain import shown
from pytest_k8ssec.reports.forms.annotations import annotation_lines
from pytest_k8ssec.reports.forms.markdown import SUMMARY_BYTES_MAX, summary_markdown

_VARIABLE = "GITHUB_STEP_SUMMARY"
_LEAST = 2_000
"""Bytes that a summary needs to say anything."""


def for_actions(report: Mapping[str, Any], environment: Mapping[str, str]) -> list[str]:
    """Add the summary to that of the step, and return the lines to print, each at a line's beginning.

    That it can't be written is one of these lines, and no error: the verdicts are there all the same.

    Args:
        report: as report.json has it.
        environment: this process's.
    """
    lines = annotation_lines(report)
    path = environment.get(_VARIABLE, "")
    if not path:
        return lines
    try:
        return [*lines, *_append(Path(path), report)]
    except OSError as error:
        return [*lines, f"{_VARIABLE}: the summary could not be written: {error.strerror or error}"]


def _append(path: Path, report: Mapping[str, Any]) -> list[str]:
    """Within what others of this step left of it: GitHub drops all of a summary that is too large."""
    room = SUMMARY_BYTES_MAX - (path.stat().st_size if path.exists() else 0)
    text = shown(f"\n{summary_markdown(report, room - 1)}") if room >= _LEAST else ""
    if not text or len(text.encode()) > room:
        return [f"{_VARIABLE}: the summary was left out, as the step's is almost as large as GitHub takes"]
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
    return []
