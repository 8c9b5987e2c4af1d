"""Turns a result into pytest's report and status words; no secret leaves in either."""

from __future__ import annotations

from collections.abc import Generator
from traceback import walk_tb
from typing import TYPE_CHECKING

import pytest

from pytest_k8ssec.catalogue.packaged import packaged_control
from pytest_k8ssec.plain import shown
from pytest_k8ssec.plugin import curtain, guard
from pytest_k8ssec.plugin.judged import RESULT, judges
from pytest_k8ssec.plugin.ordering import lasts
from pytest_k8ssec.plugin.session import journal
from pytest_k8ssec.plugin.terminal import once

if TYPE_CHECKING:
    from pytest_k8ssec.reports.result import Result

TOLD = pytest.StashKey[set[str]]()
_HOLLOW = "the test passed without a verdict: a hook or a plugin answered in its place, so nothing was judged"
_LETTERS = {"held": ".", "breached": "B", "inconclusive": "I", "not-applicable": "n", "waived": "w"}
"""By verdict."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the result to the report, for this process's summary and across xdist; no secret leaves in a traceback."""
    report = yield
    result = item.stash.get(RESULT, None)
    tried = report.when == "call"
    if report.when == "setup" and not report.passed and judges(item):
        from pytest_k8ssec.plugin import result_of_test

        assert call.excinfo is not None
        result = result_of_test.not_run(
            item, result_of_test.current_phase(item), str(call.excinfo.value), skipped=report.skipped
        )
        result_of_test.note_result(item, result)
        _shorten_repeated(item.config, report)
        tried = report.failed or result_of_test.given_up(call.excinfo.value)
        if report.skipped and not _skipped_by_mark(call.excinfo.value):
            _hold_to_strict(item.config, report, result)
    elif report.when != "call":
        result = None
        _give_up(report, call)
    elif report.passed:
        result = _earned(item, report, result)
    if result is not None:
        once.mark_result(item, report, call, result)
        from pytest_k8ssec.reports.junit import properties

        entry = result.to_json()
        report.k8ssec = entry  # type: ignore[attr-defined]
        report.k8ssec_tried = tried  # type: ignore[attr-defined]
        if journal(item.config) is not None:
            report.k8ssec_lasts = lasts(item)  # type: ignore[attr-defined]
        told = properties(entry)
        item.user_properties.extend(told)  # JUnit takes them from the report of the tear-down
        report.user_properties = [*report.user_properties, *told]
    curtain.hide(report)
    if not guard.guarded_names().isdisjoint(getattr(item, "fixturenames", ())):
        _make_plain(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """No secret leaves in the traceback of a module that can't be imported."""
    report = yield
    curtain.hide(report)
    return report


def _give_up(report: pytest.TestReport, call: pytest.CallInfo[None]) -> None:
    """A test without a judge whose set-up our own fixtures gave up: the summary says why, once for all of them."""
    if report.when == "setup" and report.failed and call.excinfo is not None:
        from pytest_k8ssec.plugin.result_of_test import given_up

        if given_up(call.excinfo.value):
            once.mark_lost(report, call)


def _make_plain(report: pytest.TestReport) -> None:
    """What a test of ours says is safe to show; what a user's own test prints is theirs, and pytest's colours are pytest's."""
    if isinstance(report.longrepr, tuple):
        path, number, reason = report.longrepr
        report.longrepr = (path, number, shown(reason).replace("\n", "\n    "))  # pytest lists it among others
    elif report.longrepr is not None and (safe := shown(report.longreprtext)) != report.longreprtext:
        report.longrepr = safe


def _earned(item: pytest.Item, report: pytest.TestReport, result: Result | None) -> Result | None:
    """Only a verdict lets a control pass: whatever answered in our place, or kept quiet about what we said, does not."""
    if result is None and packaged_control(getattr(item, "function", None)) is None:
        return None
    from pytest_k8ssec.plugin import result_of_test
    from pytest_k8ssec.plugin.pass_or_fail import PytestOutcome
    from pytest_k8ssec.reports.terminal import explain_result

    if result is None:
        result = result_of_test.not_run(item, result_of_test.current_phase(item), _HOLLOW, skipped=False)
        result_of_test.note_result(item, result)
        failed = "INCONCLUSIVE"
    else:
        expected = result_of_test.expectation_for(item.config, result)
        failed = expected.headline if expected.outcome is not PytestOutcome.PASSED else ""
    if failed:
        report.outcome = "failed"
        report.longrepr = explain_result(result.to_json(), failed)
    return result


def _skipped_by_mark(error: BaseException) -> bool:
    """Whether a ``skip`` or ``skipif`` mark did it: its author has said why. A fixture that skips is something else."""
    return [frame.f_globals.get("__name__") for frame, _ in walk_tb(error.__traceback__)][-1:] == ["_pytest.skipping"]


def _hold_to_strict(config: pytest.Config, report: pytest.TestReport, result: Result) -> None:
    """A set-up that skips is a test that was not applicable: where that fails, it fails here too."""
    from pytest_k8ssec.plugin.pass_or_fail import PytestOutcome
    from pytest_k8ssec.plugin.result_of_test import expectation_for
    from pytest_k8ssec.reports.terminal import explain_result

    expected = expectation_for(config, result)
    if expected.outcome is PytestOutcome.FAILED:
        report.outcome = "failed"
        report.longrepr = explain_result(result.to_json(), expected.headline)


def _shorten_repeated(config: pytest.Config, report: pytest.TestReport) -> None:
    """A cluster that can't be made fails every test in the same words: say them once."""
    text = report.longreprtext
    if text in config.stash[TOLD]:
        first = next((line.strip() for line in text.splitlines() if line.strip()), "set-up failed")
        report.longrepr = f"the same set-up error as another test's: {first}"
    config.stash[TOLD].add(text)


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Say the verdict where pytest would say passed or failed."""
    entry = getattr(report, "k8ssec", None)
    if entry is None or hasattr(report, "wasxfail"):
        return None
    letter, word = _LETTERS[entry["verdict"]], entry["verdict"].upper()
    if report.when == "setup" and report.failed:
        return "error", "E", word
    if entry["phase"] == "sabotaged" and report.passed:
        return "passed", ".", f"{word}, as expected"
    return report.outcome, letter, word
