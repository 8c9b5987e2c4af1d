"""A user's own test with ``judge`` passes, fails or is skipped by what it recorded, whatever else it does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.plugin.conftest import Run

HEAD = "import pytest\nfrom lab import held, breached, saw\n"


def entry(place: Path) -> dict[str, Any]:
    """The only result in report.json."""
    (found,) = json.loads((place / "report" / "report.json").read_text())["results"]
    return dict(found)


def body(*lines: str) -> str:
    """A module with one test that does this."""
    return HEAD + "def test_door(judge):\n" + "".join(f"    {line}\n" for line in lines)


NO_POSITIVE = ("case = judge.case('door')", "case.attack('knock', saw('refused'), through=False)")
NO_ATTACK = ("case = judge.case('door')", "case.positive('there', saw('open'), succeeded=True)")
NOT_THERE = (*NO_POSITIVE, "case.positive('there', saw('refused'), succeeded=False)")
BROKEN = ("held(judge)", "judge.case('b').attack('knock', saw('error'), through=False)")


@pytest.mark.parametrize(
    ("lines", "verdict", "outcome"),
    [
        (("held(judge)",), "held", "passed"),
        (("breached(judge)",), "breached", "failed"),
        (("pass",), "inconclusive", "failed"),
        (("assert True",), "inconclusive", "failed"),
        (NO_POSITIVE, "inconclusive", "failed"),
        (NO_ATTACK, "inconclusive", "failed"),
        (NOT_THERE, "inconclusive", "failed"),
        (BROKEN, "inconclusive", "failed"),
        (("held(judge)", "breached(judge, 'window')"), "breached", "failed"),
        (("held(judge)", "assert 1 == 2"), "breached", "failed"),
        (("assert 1 == 2",), "inconclusive", "failed"),
        (("held(judge)", "raise RuntimeError('boom')"), "inconclusive", "failed"),
        (("breached(judge)", "raise RuntimeError('boom')"), "breached", "failed"),
        (("held(judge)", "pytest.skip('enough')"), "inconclusive", "failed"),
        (("breached(judge)", "pytest.skip('enough')"), "breached", "failed"),
        (("pytest.fail('no')",), "inconclusive", "failed"),
        (("judge.not_applicable('no doors')",), "not-applicable", "failed"),
        (("pytest.skip('no doors')",), "not-applicable", "failed"),
        (("judge.not_applicable('no doors')", "held(judge)"), "held", "passed"),
        (("judge.not_applicable('')",), "inconclusive", "failed"),
        (("judge.not_applicable('no doors')", "raise RuntimeError('boom')"), "inconclusive", "failed"),
    ],
)
def test_the_verdict_decides(
    lab: pytest.Pytester, run: Run, lines: tuple[str, ...], verdict: str, outcome: str
) -> None:
    """Held passes, all else fails while strict, and the report says which it was."""
    result = run(body(*lines))
    result.assert_outcomes(**{outcome: 1})
    assert verdict == entry(lab.path)["verdict"]


@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        ([], "failed"),
        (["--k8ssec-strict=on"], "failed"),
        (["--k8ssec-strict"], "failed"),
        (["--k8ssec-strict=off"], "skipped"),
        (["--k8ssec-cluster=somebodys"], "skipped"),
        (["--k8ssec-cluster=somebodys", "--k8ssec-strict=on"], "failed"),
        (["--k8ssec-not-applicable=test_door=we have none"], "skipped"),
        (["--k8ssec-not-applicable=test_window=we have none"], "failed"),
    ],
)
@pytest.mark.parametrize("how", ["judge.not_applicable('no doors')", "pytest.skip('no doors')"])
def test_not_applicable_fails_where_it_was_not_expected(run: Run, options: list[str], outcome: str, how: str) -> None:
    """Strict is on for clusters of the run's own, and lets off what was declared with a reason."""
    result = run(body(how), *options)
    result.assert_outcomes(**{outcome: 1})


@pytest.mark.parametrize("strict", ["on", "off"])
def test_a_fixture_that_skips_is_not_applicable(lab: pytest.Pytester, run: Run, strict: str) -> None:
    """A set-up that skips counts like a body that does."""
    module = (
        HEAD + "@pytest.fixture\ndef door():\n    pytest.skip('no doors')\ndef test_door(judge, door): held(judge)\n"
    )
    result = run(module, f"--k8ssec-strict={strict}")
    result.assert_outcomes(**({"errors": 1} if strict == "on" else {"skipped": 1}))
    assert ("not-applicable", "no doors") == (entry(lab.path)["verdict"], entry(lab.path)["reason"])


def test_a_skip_mark_is_its_authors_word(run: Run) -> None:
    """What a mark skips is not held to strict: nobody mistakes it for a test that ran."""
    result = run(HEAD + "@pytest.mark.skip(reason='later')\ndef test_door(judge): held(judge)\n")
    result.assert_outcomes(skipped=1)


def test_a_set_up_that_fails_is_inconclusive(lab: pytest.Pytester, run: Run) -> None:
    """The report has the tests that could not begin, too."""
    module = (
        HEAD + "@pytest.fixture\ndef door(): raise RuntimeError('stuck')\ndef test_door(judge, door): held(judge)\n"
    )
    run(module).assert_outcomes(errors=1)
    assert ("inconclusive", "stuck") == (entry(lab.path)["verdict"], entry(lab.path)["reason"])


def test_a_tear_down_that_fails_leaves_the_verdict(lab: pytest.Pytester, run: Run) -> None:
    """The test held; that something could not be removed is an error of its own."""
    module = HEAD + "@pytest.fixture\ndef door():\n    yield\n    raise RuntimeError('stuck')\n"
    run(module + "def test_door(judge, door): held(judge)\n").assert_outcomes(passed=1, errors=1)
    assert "held" == entry(lab.path)["verdict"]


def test_an_assertion_shows_where_it_failed(run: Run) -> None:
    """The user's own line is in the output, beside what was recorded."""
    result = run(body("breached(judge)", "assert 'locked' == 'open'"))
    result.stdout.fnmatch_lines(["*assert 'locked' == 'open'*", "test_door  breached: door: knock"])


def test_a_breach_is_told_by_its_evidence_alone(run: Run) -> None:
    """No traceback of ours stands in the way."""
    result = run(body("breached(judge)"))
    result.stdout.fnmatch_lines(
        ["test_door  breached: door: knock", "*attack: client this test: TCP 10.0.0.9:80 -> open"]
    )
    result.stdout.no_fnmatch_line("*plugin.py*")


@pytest.mark.parametrize("bad", ["through=1", "through='no'"])
def test_only_plain_yes_or_no_can_be_recorded(lab: pytest.Pytester, run: Run, bad: str) -> None:
    """What only looks true or false ends the test, inconclusive."""
    run(body("held(judge)", f"judge.case('b').attack('knock', saw('refused'), {bad})")).assert_outcomes(failed=1)
    assert "inconclusive" == entry(lab.path)["verdict"]


def test_xfail_does_not_hide_the_verdict(lab: pytest.Pytester, run: Run) -> None:
    """A known breach is reported as what it is."""
    module = HEAD + "@pytest.mark.xfail(reason='known')\ndef test_door(judge): breached(judge)\n"
    run(module).assert_outcomes(xfailed=1)
    assert "breached" == entry(lab.path)["verdict"]


def test_somebody_elses_judge_is_left_alone(lab: pytest.Pytester, run: Run) -> None:
    """A project's own fixture of that name overrides ours, and its tests are ordinary ones."""
    module = (
        "import pytest\n@pytest.fixture\ndef judge(): return 'theirs'\ndef test_it(judge): assert judge == 'theirs'\n"
    )
    run(module).assert_outcomes(passed=1)
    assert not (lab.path / "report").exists()


def test_a_repeated_set_up_error_is_told_once(run: Run) -> None:
    """A cluster that can't be made does not fill the screen with the same words."""
    module = (
        HEAD + "@pytest.fixture(scope='session')\ndef door():\n    pytest.fail('no door\\nat all', pytrace=False)\n"
        "def test_a(judge, door): held(judge)\ndef test_b(judge, door): held(judge)\n"
    )
    result = run(module)
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        [
            "*FAILURES: 2 inconclusive: see below*",
            "2 tests could tell nothing, for one reason: test_a, test_b",
            "no door",
            "at all",
        ]
    )
    assert 1 == result.stdout.str().count("no door")


@pytest.mark.parametrize(
    ("tries", "expected"),
    [
        (["breached(judge)", "held(judge)"], "breached"),
        (["breached(judge)", "judge.case('door')"], "breached"),
        (["judge.case('door')", "held(judge)"], "held"),
        (["judge.case('door')", "breached(judge)"], "breached"),
    ],
)
def test_a_test_that_is_run_again_gets_clearer_and_never_better(
    run: Run, pytester: pytest.Pytester, tries: list[str], expected: str
) -> None:
    """What got through once got through. It is told once, as it was at last; as pytest-rerunfailures runs it."""
    pytester.makeconftest(
        """
import pytest
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    for last in (False, True):
        for report in runtestprotocol(item, nextitem=nextitem, log=False):
            if report.failed and not last:
                report.outcome = "rerun"
            item.ihook.pytest_runtest_logreport(report=report)
    return True
"""
    )
    module = HEAD + "TRIES = []\ndef test_door(judge):\n    TRIES.append(1)\n    "
    result = run(f"{module}{tries[0]} if len(TRIES) == 1 else {tries[1]}\n")
    (found,) = json.loads(next(pytester.path.rglob("report.json")).read_text())["results"]
    assert expected == found["verdict"]
    assert ("when it was run again" in found["reason"]) is (expected == "breached" and "breached" in tries[0])
    assert (result.ret == 0) is (expected == "held")
