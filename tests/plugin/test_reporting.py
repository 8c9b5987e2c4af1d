"""What a run tells: JUnit properties, report.json, the terminal summary, the exit code; and what it never tells."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from pytest_k8ssec.catalogue.packaged import CONTROLS_FOLDER, packaged_controls
from pytest_k8ssec.secrecy.redact import MARK
from tests.plugin.conftest import Run

TWO = """
from lab import held, breached
def test_a(judge): held(judge)
def test_b(judge): breached(judge)
"""
ONE = "from lab import held\ndef test_a(judge): held(judge)\n"
SECRET = "tr0ub4dor-and-3-very-long-staples"


def report(pytester: pytest.Pytester) -> dict[str, Any]:
    """What report.json holds."""
    return dict(json.loads((pytester.path / "report" / "report.json").read_text()))


def test_junit_has_the_verdicts_as_properties(lab: pytest.Pytester, run: Run) -> None:
    """A CI's test view can tell held from breached."""
    run(TWO, "--junit-xml=junit.xml")
    cases = ET.parse(lab.path / "junit.xml").getroot().iter("testcase")
    found = {
        (case.get("name"), each.get("name")): each.get("value") for case in cases for each in case.iter("property")
    }
    assert ("held", "breached") == (found["test_a", "k8ssec.verdict"], found["test_b", "k8ssec.verdict"])
    assert "test_a" == found["test_a", "k8ssec.control"]
    assert "1 attacks on 1 targets" in str(found["test_b", "k8ssec.summary"])


@pytest.mark.parametrize(
    ("more", "ended"),
    [
        ("", {"status": "passed", "without_verdict": []}),
        ("def test_b(): assert 0\n", {"status": "failed", "without_verdict": ["test_it.py::test_b"]}),
        ("def test_b(): raise KeyboardInterrupt\n", {"status": "broken off", "without_verdict": []}),
    ],
)
def test_the_report_says_how_the_run_ended(lab: pytest.Pytester, more: str, ended: dict[str, Any]) -> None:
    """A page of it must not look like one of a run that passed."""
    lab.makepyfile(test_it=f"from lab import held\ndef test_a(judge): held(judge)\n{more}")
    lab.runpytest_subprocess("--k8ssec-report=report", "-p", "no:cacheprovider")
    assert ended == report(lab)["run"]["ended"]


def test_the_report_has_the_run_and_its_results(lab: pytest.Pytester, run: Run) -> None:
    """report.json is complete: versions, host, each attack and each positive control."""
    result = run(TWO)
    result.stdout.fnmatch_lines(["report: *report.json"])
    document = report(lab)
    assert 1 == document["schema"]
    assert {
        "id",
        "started",
        "seconds",
        "ended",
        "cluster",
        "stack",
        "reachability",
        "reach",
        "since",
        "project",
        "versions",
        "host",
    } == set(document["run"])
    assert {"pytest-k8ssec", "pytest", "python"} <= set(document["run"]["versions"])
    first, second = document["results"]
    assert ("test_a", "held", "test_b", "breached") == (
        first["test"], first["verdict"], second["test"], second["verdict"]
    )  # fmt: skip
    (attack,) = second["attacks"]
    assert ("door", "knock", True, "open") == tuple(attack[name] for name in ("case", "what", "through", "outcome"))
    assert 1 == len(second["positives"])


def test_no_report_without_results(lab: pytest.Pytester, run: Run) -> None:
    """A run without any such test leaves nothing behind."""
    run("def test_it(): pass")
    assert not (lab.path / "report").exists()


def test_a_report_that_can_not_be_written_fails_the_run(lab: pytest.Pytester, run: Run) -> None:
    """A CI that archives the report must notice that there is none."""
    (lab.path / "report").mkdir()
    (lab.path / "report" / "report.json").mkdir()
    result = run(ONE)
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    result.stdout.fnmatch_lines(["report could not be written: *"])


def test_the_summary_has_a_table(run: Run) -> None:
    """By severity, which tests of one's own have none of, then by name; below it the breach; the last line counts."""
    result = run(TWO)
    result.stdout.fnmatch_lines(
        [
            "*= Kubernetes security =*",
            "test_a  HELD *0 got through*",
            "test_b  BREACHED *1 got through*",
            "test_b  breached: door: knock",
            "1 held, 1 breached, 0 inconclusive, 0 not-applicable",
        ]
    )
    result.stdout.no_fnmatch_line("*NOTHING PROVEN*")


def test_each_test_is_shown_by_its_verdict(run: Run) -> None:
    """Where pytest would say PASSED, the verdict stands."""
    run(TWO, "-v").stdout.fnmatch_lines(["*::test_a HELD*", "*::test_b BREACHED*"])


@pytest.mark.parametrize("how", ["judge.not_applicable('no doors')", "__import__('pytest').skip('no doors')"])
def test_a_run_that_proved_nothing_fails(run: Run, how: str) -> None:
    """All skipped is no success."""
    result = run(f"def test_a(judge): {how}", "--k8ssec-strict=off")
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    result.stdout.fnmatch_lines(["NOTHING PROVEN*"])


def test_a_run_that_proved_something_passes(run: Run) -> None:
    """One that held is enough for the others to be skipped."""
    result = run(f"{ONE}\ndef test_b(judge): judge.not_applicable('no doors')", "--k8ssec-strict=off")
    assert pytest.ExitCode.OK == result.ret
    result.stdout.no_fnmatch_line("*NOTHING PROVEN*")


@pytest.mark.parametrize(
    "line",
    [
        f"print({SECRET!r}); breached(judge)",
        f"import sys; print({SECRET!r}, file=sys.stderr); breached(judge)",
        f"import logging; logging.getLogger().error({SECRET!r}); breached(judge)",
        f"key = {SECRET!r}; assert key == 'other'",
        f"raise RuntimeError({SECRET!r})",
        f"judge.note({SECRET!r}); breached(judge)",
        f"breached(judge, {SECRET!r})",
        f"held(judge, {SECRET!r})",
        f"__import__('pytest').skip({SECRET!r})",
        f"record_property('key', {SECRET!r}); held(judge)",
    ],
)
@pytest.mark.parametrize("traceback", ["auto", "long", "native"])
def test_a_registered_secret_never_shows(lab: pytest.Pytester, run: Run, line: str, traceback: str) -> None:
    """Neither in captured output, tracebacks, report.json nor junit.xml."""
    hidden = line.replace(repr(SECRET), "SECRET")
    module = (
        "from lab import held, breached\nfrom pytest_k8ssec.secrecy.redact import register\n"
        f"SECRET = ''.join({list(SECRET)!r})\nregister(SECRET)\n"
        f"def test_a(judge, record_property):\n    {hidden}\n"
    )
    result = run(
        module, "--junit-xml=junit.xml", "-v", "--showlocals", f"--tb={traceback}", "-rA", "-o", "junit_family=legacy"
    )
    told = [result.stdout.str(), result.stderr.str(), (lab.path / "junit.xml").read_text()]
    told.append((lab.path / "report" / "report.json").read_text())
    assert not any(SECRET in text for text in told)
    assert any(MARK in text for text in told)


def test_a_secret_never_shows_where_a_module_breaks(lab: pytest.Pytester, run: Run) -> None:
    """An import that fails tells its traceback without it."""
    module = f"from pytest_k8ssec.secrecy.redact import register\nS = ''.join({list(SECRET)!r})\nregister(S)\nraise OSError(S)\n"
    result = run(module)
    result.assert_outcomes(errors=1)
    assert SECRET not in result.stdout.str()


def test_a_plain_run_is_as_without_the_plugin(pytester: pytest.Pytester) -> None:
    """Nobody's ordinary tests notice that it is installed."""
    pytester.makepyfile("def test_good(): pass\ndef test_bad(): assert 0\n")
    result = pytester.runpytest("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.no_fnmatch_line("*Kubernetes*")
    assert ["test_a_plain_run_is_as_without_the_plugin.py"] == [
        path.name for path in pytester.path.iterdir() if path.suffix and path.suffix != ".lock"
    ]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_results_of_all_workers_reach_the_report(lab: pytest.Pytester, workers: str) -> None:
    """With -n the summary, report.json and the exit code are those of the whole run."""
    lines = [f"def test_{number}(judge): held(judge)\n" for number in range(6)]
    lab.makepyfile(test_it="from lab import held, breached\n" + "".join(lines) + "def test_x(judge): breached(judge)\n")
    result = lab.runpytest_subprocess("-n", workers, "--k8ssec-report=report", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=6, failed=1)
    result.stdout.fnmatch_lines(["6 held, 1 breached, 0 inconclusive, 0 not-applicable"])
    assert 7 == len(report(lab)["results"])
    assert 1 == len(list(lab.path.rglob("report.json")))


def test_without_docker_a_test_that_needs_a_cluster_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is one of words, and the test inconclusive."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    result = run("def test_a(judge, cluster): pass")
    result.assert_outcomes(errors=1)
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    result.stdout.fnmatch_lines(["*docker*", "NOTHING PROVEN*"])
    result.stdout.no_fnmatch_line("*fixtures.py*")


DOORS = """
from lab import breached, held, saw
def doors(judge, outcome, breach):
    for number in "12":
        judge.table("doors by day").put(f"door {number}", "Monday", saw(outcome), breach=breach and number == "2")
def test_a(judge): held(judge); doors(judge, "refused", False)
def test_b(judge): breached(judge); doors(judge, "open", True)
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_tables_reach_the_summary_and_the_report(lab: pytest.Pytester, workers: str) -> None:
    """Of a breach the marked rows, without asking for more; the report has all of them, from xdist's workers too."""
    lab.makepyfile(test_it=DOORS)
    result = lab.runpytest_subprocess("-n", workers, "--k8ssec-report=report", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["    doors by day: [[]1] Monday", "*[[]1]", "      door 2  open !"])
    result.stdout.no_fnmatch_line("*refused*door*")
    rows = {each["control"]: each["tables"][0]["rows"] for each in report(lab)["results"]}
    assert [{"row": "door 1", "cells": ["open"]}, {"row": "door 2", "cells": ["open !"]}] == rows["test_b"]
    assert [{"row": "door 1", "cells": ["refused"]}, {"row": "door 2", "cells": ["refused"]}] == rows["test_a"]


def test_all_tables_are_shown_whole_with_v(run: Run) -> None:
    """Those of what held too."""
    result = run(DOORS, "-v")
    result.stdout.fnmatch_lines(
        ["test_a  HELD*", "    doors by day: [[]1] Monday", "      door 1  refused", "      door 2  refused"]
    )
    result.stdout.fnmatch_lines(["      door 1  open", "      door 2  open !"])


@pytest.mark.parametrize("more", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_docker_that_is_down_takes_few_lines(
    lab: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    """All packaged controls, a test of the user's with a judge and one without: one cause, told once; none too wide."""
    monkeypatch.setenv("COLUMNS", "100")
    lab.makepyfile(test_it="def test_a(judge, cluster): pass\ndef test_b(cluster): pass\ndef test_c(): pass\n")
    options = ("--k8ssec-report=report", "-p", "no:cacheprovider", *more)
    result = lab.runpytest_subprocess("--k8ssec-controls", "test_it.py", *options)
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    controls = len(report(lab)["results"]) - 1
    assert controls > 40
    result.stdout.fnmatch_lines(
        [
            f"*= FAILURES: {controls + 1} inconclusive, 1 could not be set up: see below =*",
            f"{controls + 2} tests could tell nothing, for one reason: *",
            f"*and {controls - 6} more",
            "docker: no client on PATH",
            "  fix: *",
            f"0 held, 0 breached, {controls + 1} inconclusive, 0 not-applicable",
            f"*1 passed, {controls + 2} errors*",
        ]
    )
    assert 1 == result.stdout.str().count("no client on PATH")
    lines = result.stdout.str().splitlines()
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 100


def test_junit_has_the_whole_evidence_of_what_is_told_below(lab: pytest.Pytester, run: Run) -> None:
    """The terminal says it once and in short; a CI's test view has no other place for it."""
    result = run(TWO, "--junit-xml=junit.xml")
    result.stdout.fnmatch_lines(["*= FAILURES: 1 breached: see below =*", "*= Kubernetes security =*"])
    result.stdout.no_fnmatch_line("*shown to work meanwhile*")
    (failure,) = ET.parse(lab.path / "junit.xml").getroot().iter("failure")
    assert "BREACHED: door: knock" in str(failure.get("message"))
    assert "shown to work meanwhile" in str(failure.text)


def test_what_a_test_of_the_user_s_printed_stays_beside_its_failure(run: Run) -> None:
    """So does a traceback, and each is shown under its name; what is counted at the end is all of it."""
    module = TWO + "def test_c(judge): print('by me'); breached(judge)\ndef test_d(judge): held(judge); assert 1 == 2\n"
    result = run(module + "def test_e(): assert 3 == 4\n")
    result.stdout.fnmatch_lines(
        ["*FAILURES: 1 breached: see below*", "*_ test_c _*", "by me", "*_ test_d _*", "*assert 1 == 2", "*_ test_e _*"]
    )
    result.stdout.no_fnmatch_line("*_ test_b _*")
    result.stdout.fnmatch_lines(["*test_it.py::test_e*", "*4 failed, 1 passed*"])


@pytest.mark.parametrize("more", [["--tb=no"], ["--no-summary"]])
def test_who_wants_no_failures_gets_no_word_of_them(run: Run, more: list[str]) -> None:
    """The verdicts are no failures of pytest's: they are told all the same."""
    result = run(TWO, *more)
    result.stdout.no_fnmatch_line("*FAILURES*")
    result.stdout.fnmatch_lines(["test_b  BREACHED*"])


def test_controls_stand_in_one_row(lab: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a file of its own; a file of the user's keeps its line."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    lab.makepyfile(test_a="def test_a(): pass\n", test_b="def test_b(): pass\n")
    lab.makeini("[pytest]\n")
    arguments = ("-c", "tox.ini", "-p", "no:cacheprovider", "test_a.py", str(CONTROLS_FOLDER / "etcd"), "test_b.py")
    result = lab.runpytest(*arguments)
    lines = [r"test_a\.py \.", r"pytest_k8ssec/controls EE+ ", r"test_b\.py \."]
    result.stdout.re_match_lines(lines, consecutive=True)
    result.stdout.no_re_match_line(r"etcd/.*\.py")
    lab.runpytest(*arguments, "-v").stdout.re_match_lines([r".*client_auth\.py::test_etcd_client_auth"])


def test_the_report_s_path_is_as_one_would_write_it_here(lab: pytest.Pytester, run: Run) -> None:
    """Below the folder that pytest was called in it is relative; elsewhere it is whole."""
    run(ONE).stdout.fnmatch_lines(["report: report/report.json"])
    elsewhere = lab.path.parent / f"{lab.path.name}-elsewhere"
    result = lab.runpytest("-p", "no:cacheprovider", f"--k8ssec-report={elsewhere}")
    result.stdout.fnmatch_lines([f"report: {elsewhere}/report.json"])


def test_a_log_is_wider_than_what_pytest_takes_it_for(lab: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows how wide it is: what is cut there can be read nowhere else."""
    lab.makepyfile(test_it="from lab import held\ndef test_door(judge): held(judge)\n")
    row = "test_door  HELD * 1 attacks on 1 targets, 0 got through; 1 of 1 positive controls succeeded"
    monkeypatch.delenv("COLUMNS")
    lab.runpytest_subprocess("-p", "no:cacheprovider").stdout.fnmatch_lines([row])
    monkeypatch.setenv("COLUMNS", "80")
    lab.runpytest_subprocess("-p", "no:cacheprovider").stdout.no_fnmatch_line(row)


def test_stepwise_leaves_nothing_out_that_never_ran(lab: pytest.Pytester) -> None:
    """It takes what stands before the test that failed for what has passed: so controls stand as they run."""
    chosen = ("--k8ssec-controls", "-k", "api_tls or etcd_client_auth or net_metadata", "--sw")
    for _ in range(2):
        lab.runpytest_subprocess(*chosen).assert_outcomes(errors=1, deselected=len(packaged_controls()) - 3)


@pytest.mark.parametrize("again", ["--lf", "--ff"])
def test_what_failed_last_is_found_again(lab: pytest.Pytester, again: str) -> None:
    """Controls lie outside of the project: pytest's cache has their ids, and finds them by these."""
    chosen = ("--k8ssec-controls", "-k", "api_tls or etcd_client_auth")
    lab.runpytest_subprocess(*chosen).assert_outcomes(errors=2, deselected=len(packaged_controls()) - 2)
    result = lab.runpytest_subprocess("--k8ssec-controls", again, "--collect-only", "-q")
    ids = [line for line in result.outlines if "::" in line]
    failed = ["api/tls.py::test_api_tls", "etcd/client_auth.py::test_etcd_client_auth"]
    assert failed == [each.partition("controls/")[2] or each for each in ids[:2]]
    assert (len(ids) == 2) is (again == "--lf")
