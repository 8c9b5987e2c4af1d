"""What the summary tells is not told by pytest as well: neither among its failures and errors, nor once more in short.

A report is marked where the test ran, in a worker of xdist too; the process with the terminal obeys. What has a traceback of
the user's own, and what is not in the summary, stays where pytest shows it. JUnit gets all of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

from pytest_k8ssec.catalogue.packaged import packaged_control
from pytest_k8ssec.plain import cut
from pytest_k8ssec.plugin import session

if TYPE_CHECKING:
    from pytest_k8ssec.reports.result import Result

_MARK, _WHY = "k8ssec_told", "k8ssec_lost"
_KINDS = ("failed", "error")
_FURTHER = "could not be set up"


def mark_result(item: pytest.Item, report: pytest.TestReport, call: pytest.CallInfo[None], result: Result) -> None:
    """Mark the report of a test that has a result, where the summary says all that pytest would."""
    if not report.failed or _has_traceback(call):
        return
    if report.sections and packaged_control(getattr(item, "function", None)) is None:
        return  # what a user's own test printed is shown beside its failure
    from pytest_k8ssec.verdict import Verdict

    untried = not (result.judge.attacks or result.judge.positives)
    plain = result.phase.name in (None, "intact")
    if result.verdict is Verdict.INCONCLUSIVE and untried and not plain:
        setattr(report, _WHY, _text(str(call.excinfo.value)) if call.excinfo else result.reason)
    elif not plain or result.verdict not in (Verdict.BREACHED, Verdict.INCONCLUSIVE):
        return
    setattr(report, _MARK, True)


def mark_lost(report: pytest.TestReport, call: pytest.CallInfo[None]) -> None:
    """Mark the report of a test without a result whose set-up our fixtures gave up."""
    if call.excinfo is not None and not _has_traceback(call):
        setattr(report, _MARK, True)
        setattr(report, _WHY, _text(str(call.excinfo.value)))


def why_lost(report: pytest.TestReport) -> str:
    """Why a test was not run, of which no result of its own says so; else ""."""
    return str(getattr(report, _WHY, ""))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Generator[None, None, None]:
    """Around all that pytest says: what the summary tells is away meanwhile, but for one line, and is counted after it."""
    kept = {kind: terminalreporter.stats.get(kind, []) for kind in _KINDS}
    told = [each for reports in kept.values() for each in reports if getattr(each, _MARK, False)]
    if not told:
        return (yield)
    if not terminalreporter.no_summary and config.option.tbstyle != "no":
        words = f" FAILURES: {_counted(told)}: see below "
        terminalreporter.write_sep("=", cut(words, session.columns_of(config) - 2).strip())
    try:
        for kind, reports in kept.items():
            terminalreporter.stats[kind] = [each for each in reports if each not in told]
        return (yield)
    finally:
        terminalreporter.stats.update({kind: reports for kind, reports in kept.items() if reports})
        for kind in (each for each, reports in kept.items() if not reports):
            del terminalreporter.stats[kind]


def _counted(reports: list[pytest.TestReport]) -> str:
    """``31 breached, 1 inconclusive``."""
    verdicts = Counter(getattr(each, "k8ssec", {}).get("verdict", _FURTHER) for each in reports)
    return ", ".join(f"{number} {verdict}" for verdict, number in verdicts.most_common())


def _has_traceback(call: pytest.CallInfo[None]) -> bool:
    """Whether pytest shows where it happened: a failure of ours is one of words alone."""
    if call.excinfo is None:
        return False
    error = call.excinfo.value
    return not (isinstance(error, pytest.fail.Exception) and not error.pytrace)


def _text(said: str) -> str:
    from pytest_k8ssec.plain import shown
    from pytest_k8ssec.secrecy.redact import redact

    return shown(redact(said))
