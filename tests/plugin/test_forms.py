"""What a run leaves beside report.json, and what it says to GitHub Actions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.plugin.conftest import Run

BREACHED = "from lab import breached\n\ndef test_door(judge):\n    breached(judge)\n"


def test_other_forms_stand_beside_report_json(run: Run, pytester: pytest.Pytester) -> None:
    """All made from it; the place is the test's own file where nothing else is known."""
    result = run(BREACHED, "--k8ssec-report", "out")
    assert {"report.json", "report.html", "report.sarif", "summary.md", "gl-code-quality.json"} == {
        path.name for path in (pytester.path / "out").iterdir()
    }
    (found,) = json.loads((pytester.path / "out" / "report.sarif").read_text())["runs"][0]["results"]
    assert ("test_door", "error") == (found["ruleId"], found["level"])
    where = found["locations"][0]["physicalLocation"]
    assert ("test_it.py", 3) == (where["artifactLocation"]["uri"], where["region"]["startLine"])
    result.stdout.fnmatch_lines(["report: out/report.json", "page: out/report.html", "beside it: report.sarif, *"])
    result.stdout.no_fnmatch_line("::error *")


def test_github_actions_is_told_by_itself(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An annotation at a line's beginning, and the step's summary, with or without a report's folder."""
    summary = tmp_path / "step-summary"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    result = run(BREACHED)
    result.stdout.fnmatch_lines(["::error file=*,line=*,title=test_door::*"])
    assert "### Breached" in summary.read_text()


def test_a_summary_that_cannot_be_written_fails_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told in a line."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    result = run("from lab import held\n\ndef test_door(judge):\n    held(judge)\n")
    assert pytest.ExitCode.OK == result.ret
    result.stdout.fnmatch_lines(["GITHUB_STEP_SUMMARY: the summary could not be written*"])
