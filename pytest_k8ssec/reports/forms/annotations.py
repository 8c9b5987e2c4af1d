"""Lines that GitHub Actions turns into annotations beside the code, as many as it keeps of a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_k8ssec.plain import line
from pytest_k8ssec.reports.forms.reported import at_most, reported

EACH_MAX = 10
"""GitHub keeps so many errors and so many warnings of a step, and drops the rest without a word."""
_TEXT_MAX = 1000
_SEVERE = ("critical", "high", "")


def annotation_lines(report: Mapping[str, Any]) -> list[str]:
    """A workflow command for each: errors for severe breaches, warnings for others and for what could not be told.

    What is waived has none: it fails nothing, and would push out what does.

    Args:
        report: as report.json has it.
    """
    lines: dict[str, list[str]] = {"error": [], "warning": []}
    for one in reported(report):
        if one.verdict != "waived":
            level = "error" if one.verdict == "breached" and one.severity in _SEVERE else "warning"
            where = f"file={_property(one.path)},line={one.line},title={_property(one.control)}"
            lines[level].append(f"::{level} {where}::{_data(at_most(line(one.words), _TEXT_MAX))}")
    return [*lines["error"][:EACH_MAX], *lines["warning"][:EACH_MAX]]


def _data(text: str) -> str:
    """As ``escapeData`` of Actions' toolkit: https://github.com/actions/toolkit, packages/core/src/command.ts."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """As ``escapeProperty`` of it."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
