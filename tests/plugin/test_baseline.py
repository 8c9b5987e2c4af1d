"""A run beside an earlier one: what is new is told, and may be all that fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_k8ssec.cli import main
from tests.plugin.conftest import Run

HEAD = "import pytest\nfrom lab import held, breached, saw\n"


def body(*lines: str) -> str:
    """A module with one test that does this."""
    return HEAD + "def test_door(judge):\n" + "".join(f"    {line}\n" for line in lines)


@pytest.fixture
def before(lab: pytest.Pytester, run: Run) -> Path:
    """The report of a run in which one door was open."""
    run(body("breached(judge)"))
    return (lab.path / "report").rename(lab.path / "before")


def verdict(place: Path) -> dict[str, Any]:
    """The only result of the run."""
    (found,) = json.loads((place / "report" / "report.json").read_text())["results"]
    return dict(found)


@pytest.mark.parametrize(
    ("lines", "fails"),
    [
        (["breached(judge)"], False),
        (["breached(judge)", "breached(judge, 'gate')"], True),
        (["breached(judge, 'gate')"], True),
        (["breached(judge)", "judge.case('gate')"], True),
        (["breached(judge)", "judge.cases[0].attack('kick', saw('error'), through=None)"], True),
        (["breached(judge)", "judge.cases[0].attack('kick', saw('refused'), through=False)"], False),
        (["judge.case('gate')"], True),
        (["breached(judge)", "assert 1 == 2"], True),
        (["held(judge)", "assert 1 == 2"], True),
        (["breached(judge)", "raise RuntimeError('boom')"], True),
    ],
)
def test_what_was_so_before_does_not_fail(
    lab: pytest.Pytester, run: Run, before: Path, lines: list[str], fails: bool
) -> None:
    """It stays breached everywhere; whatever is new, or unknown, fails."""
    result = run(body(*lines, "held(judge, 'roof')" if not lines[-1].startswith(("assert", "raise")) else "pass"),
                 "--k8ssec-baseline=before/report.json", "--k8ssec-fail-on=new")  # fmt: skip
    assert bool(result.parseoutcomes().get("failed")) is fails
    found = verdict(lab.path)
    if not fails:
        assert "breached" == found["verdict"]
        result.assert_outcomes(skipped=1)
        assert "0 held, 1 breached" in result.stdout.str()


def test_what_is_new_and_waived_does_not_fail(lab: pytest.Pytester, run: Run, before: Path) -> None:
    """Somebody answers for it; it is told as new all the same."""
    entry = {"control": "test_door", "subject": "gate", "reason": "known", "owner": "team", "expires": "2999-12-31"}
    (lab.path / "k8ssec-waivers.yaml").write_text(json.dumps({"waivers": [entry]}))
    lines = ("breached(judge)", "breached(judge, 'gate')", "held(judge, 'roof')")
    result = run(body(*lines), "--k8ssec-baseline=before", "--k8ssec-fail-on=new")
    result.assert_outcomes(skipped=1)
    assert "new: test_door: gate: knock, waived" in result.stdout.str()


def test_the_summary_says_what_changed(lab: pytest.Pytester, run: Run, before: Path) -> None:
    """In counts and lines, and on the page; without a baseline nothing is said."""
    text = run(body("breached(judge, 'gate')", "held(judge)"), "--k8ssec-baseline=before").stdout.str()
    assert "1 new, 1 resolved, 0 gone, 0 unchanged, 0 incomparable" in text
    told = json.loads((lab.path / "report" / "report.json").read_text())["run"]["since"]
    assert ["new", "resolved"] == [each["change"] for each in told["changes"]]
    assert "1 new, 0 incomparable, 1 resolved" in (lab.path / "report" / "report.html").read_text()
    assert "new: test_door: gate: knock" in text
    assert "resolved: test_door: door: knock" in text
    assert "incomparable" not in run(body("held(judge)")).stdout.str()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--k8ssec-fail-on=new"], "without --k8ssec-baseline"),
        (["--k8ssec-fail-on=hihg"], "did you mean 'high'?"),
        (["--k8ssec-baseline=nowhere.json"], "can't be read: No such file"),
        (["--k8ssec-baseline=test_it.py"], "is not valid JSON"),
    ],
)
def test_a_baseline_that_is_none_stops_at_once(lab: pytest.Pytester, run: Run, options: list[str], words: str) -> None:
    """Before any test runs, with what to do."""
    (lab.path / "test_it.py").write_text(body("held(judge)"))
    result = run(body("held(judge)"), *options)
    assert pytest.ExitCode.USAGE_ERROR == result.ret
    assert words in result.stderr.str()


def test_what_is_milder_than_asked_for_does_not_fail(lab: pytest.Pytester) -> None:
    """A control's severity counts, or that of what got through; a test of the user's own has none, and fails."""
    from pytest_k8ssec.plugin.session import SETTINGS
    from pytest_k8ssec.plugin.waiving import since
    from pytest_k8ssec.reports.result import Result
    from pytest_k8ssec.sabotages.phases import Phase
    from pytest_k8ssec.settings import Settings
    from pytest_k8ssec.verdict import Judge, Verdict

    config = lab.parseconfig()
    for fail_on, severity, tolerated in (
        ("high", "critical", False), ("high", "high", False), ("high", "medium", True), ("low", "low", False),
        ("critical", "high", True), ("critical", "", False), ("any", "low", False),
    ):  # fmt: skip
        config.stash[SETTINGS] = Settings(fail_on=fail_on)
        result = Result("a", "t", "a", "stack", Phase(), Verdict.BREACHED, severity, 1.0, "why", Judge())
        assert bool(since.tolerated(config, result)) is tolerated, (fail_on, severity)


def test_the_command_compares_two_reports(
    lab: pytest.Pytester, run: Run, before: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its exit code says whether anything is new or unknown."""
    run(body("held(judge)"))
    capsys.readouterr()
    assert 0 == main(["diff", "before", "report"])
    assert "resolved: test_door: door: knock" in capsys.readouterr().out
    assert 1 == main(["diff", "--json", "report", "before/report.json"])
    assert ["new"] == [each["change"] for each in json.loads(capsys.readouterr().out)]
    assert 2 == main(["diff", "report", "nowhere"])
    assert "fix: name the report.json" in capsys.readouterr().err
