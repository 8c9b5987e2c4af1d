"""How verdicts came and went over the last runs, on the page of one of them."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.reports.page.history import RUNS_MAX, EarlierRun, history_of
from pytest_k8ssec.reports.page.written import report_page
from tests.unit.reports.forms.test_forms import report, result


def run(number: int, *results: dict[str, Any], project: str = "shop") -> dict[str, Any]:
    """A run of some day of January."""
    return report(*results, id=f"run-{number}", started=f"2030-01-{number:02}T00:00:00Z", stack={"project": project})


def counted(verdict: str, *, of: list[Any]) -> int:
    """How many there were of a verdict, in a row."""
    return int(of[("breached", "inconclusive", "waived", "held", "not-applicable").index(verdict)])


def test_runs_stand_in_the_order_in_which_they_began() -> None:
    """Whatever order they are given in; one that is given twice, or is this one, counts once."""
    runs = [
        run(number, result("net-door", verdict), result("etcd-door", "held"))
        for number, verdict in ((1, "held"), (2, "breached"), (3, "breached"), (4, "held"))
    ]
    earlier = [EarlierRun.of(runs[at]) for at in (2, 0, 1, 1, 3)]
    found = history_of(runs[3], earlier)
    assert found is not None
    assert [each.id for each in found.runs] == ["run-1", "run-2", "run-3", "run-4"]
    assert [each.changed for each in found.runs] == [None, 1, 0, 1]
    assert [counted("breached", of=list(each.counts)) for each in found.runs] == [0, 1, 1, 0]
    assert found.moved.shown == [("net-door", ["held", "breached", "breached", "held"])]
    assert found.left == 0


def test_what_was_not_run_is_no_verdict() -> None:
    """A control that is new, or was left out, has changed, and has nothing in that run. Sabotages say nothing of a cluster."""
    old = run(1, result("net-door", "held"), result("gone", "held"))
    new = run(2, result("net-door", "held"), result("new", "held"), result("net-door", "breached", phase="sabotaged"))
    found = history_of(new, [EarlierRun.of(old)])
    assert found is not None
    assert found.moved.shown == [("gone", ["held", ""]), ("new", ["", "held"])]
    assert [each.changed for each in found.runs] == [None, 2]


def test_the_worst_of_several_results_counts() -> None:
    """As of a test with parameters; tests of one name in two files are two."""
    both = [
        result("test_door", verdict, subject="", place=f"{file}:3")
        for file in ("a.py", "b.py")
        for verdict in ("held", "held")
    ]
    worse = [*both[:3], result("test_door", "inconclusive", subject="", place="b.py:3")]
    found = history_of(run(2, *worse), [EarlierRun.of(run(1, *both))])
    assert found is not None
    assert found.moved.shown == [("test_door", ["held", "inconclusive"])]


def test_only_the_last_ones_are_shown() -> None:
    """And how many are left out is said; the first one that is shown still says what changed in it."""
    runs = [run(number, result("net-door", "held" if number % 2 else "breached")) for number in range(1, RUNS_MAX + 4)]
    found = history_of(runs[-1], map(EarlierRun.of, runs))
    assert found is not None
    assert (len(found.runs), found.left) == (RUNS_MAX, 3)
    assert found.runs[0].changed == 1
    assert "3 earlier ones are left out" in report_page(runs[-1], [EarlierRun.of(each) for each in runs])


def test_without_an_earlier_run_there_is_none() -> None:
    """Nor a section of it."""
    alone = run(1, result())
    assert history_of(alone, []) is None
    assert history_of(alone, [EarlierRun.of(alone)]) is None
    assert "the-history" not in report_page(alone)
    assert "the-history" in report_page(alone, [EarlierRun.of(run(2, result()))])


def test_another_stack_has_another_history() -> None:
    """Its verdicts are of something else."""
    with pytest.raises(SettingsError) as caught:
        history_of(run(2, result()), [EarlierRun.of(run(1, result(), project="bank"))])
    assert "run run-1 is of stack bank, and run run-2 of stack shop" in str(caught.value)


def test_no_name_of_an_earlier_run_becomes_markup() -> None:
    """It was written by somebody, too."""
    hostile = "<script>alert(1)</script>\x1b[31m"
    evil = run(1, result(hostile, subject="", place=f"{hostile}.py:1"))
    evil["run"]["id"] = hostile
    page = report_page(run(2, result()), [EarlierRun.of(evil)])
    told = page.partition('id="the-history"')[2].partition("</section>")[0]
    assert "<script>" not in told
    assert "\x1b" not in told
    assert told.count("&lt;script&gt;alert(1)") == 3
