"""GitLab's code quality report: what a merge request shows beside the lines that it changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_k8ssec.reports.forms.reported import Reported, at_most, reported, waiver_reason

_SEVERITIES = {"critical": "blocker", "high": "critical", "medium": "major", "low": "minor"}
_TEXT_MAX = 1000


def code_quality(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """An entry for each thing to report; GitLab knows them again by their fingerprints, so each is there once.

    Source: GitLab's documentation, "Code Quality report format".

    Args:
        report: as report.json has it.
    """
    entries = {each.fingerprint: each for each in reversed(reported(report))}  # of two alike, the worse stays
    return [_entry(each) for each in reversed(entries.values())]


def _entry(one: Reported) -> dict[str, Any]:
    severity = _SEVERITIES.get(one.severity, "critical") if one.verdict == "breached" else "minor"
    said = f"{one.control}: {one.words}"
    if one.waivers:
        severity, said = "info", f"{said}; waived: {'; '.join(map(waiver_reason, one.waivers))}"
    return {
        "type": "issue",
        "check_name": one.control,
        "description": at_most(said, _TEXT_MAX),
        "categories": ["Security"],
        "fingerprint": one.fingerprint,
        "severity": severity,
        "location": {"path": one.path, "lines": {"begin": one.line}},
    }
