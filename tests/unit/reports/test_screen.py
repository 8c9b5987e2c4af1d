"""The screen at a run's end: in what order, how wide, how long, and what of a breach is said in how much room."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_k8ssec.plain import columns, cut, folded
from pytest_k8ssec.reports.breach import Breach
from pytest_k8ssec.reports.screen import LINES, Loss, common_causes, run_summary
from tests.unit.reports.test_reports import entry

PLACE = "stacks/insecure/__main__.py:12"
FIX = "Give each namespace a NetworkPolicy that selects all pods and lists Ingress without any rule.\nThen name exceptions."


def breached(control: str = "net-door", cases: int = 2, **more: Any) -> dict[str, Any]:
    """A breach with a culprit, of so many cases."""
    culprit = {
        "kind": "ClusterRoleBinding", "namespace": "", "name": "reporter", "field": "",
        "how": "binds ClusterRole cluster-admin", "place": PLACE,
    }  # fmt: skip
    blamed = [
        {
            "case": f"batch/reporter-{number}", "not_found": "", "place": PLACE, "culprits": [culprit],
            "finding": f"batch/reporter-{number} can make itself cluster-admin, by ClusterRoleBinding reporter ({PLACE})",
        }
        for number in range(cases)
    ]  # fmt: skip
    pod = {"kind": "pod", "name": "batch/k8ssec-twin-1e006e", "address": "", "node": "", "identity": ""}
    tried = [
        {"case": f"batch/reporter-{number}", "what": "bind", "source": pod, "request": "POST " + "/long" * 20, "outcome": "http", "status": 201}
        for number in range(cases)
    ]  # fmt: skip
    return entry(
        control, "breached", blamed=blamed, remediation=FIX, reason="\n".join(f"reason {each}" for each in range(cases)),
        attacks=[{**each, "through": True} for each in tried],
        positives=[{**each, "what": "its token is valid", "status": 200, "succeeded": True} for each in tried], **more,
    )  # fmt: skip


def lines_of(*arguments: Any, **more: Any) -> list[str]:
    """What is printed, without colours."""
    return [line for line, _ in run_summary(*arguments, **{"width": 100, **more})]


def test_verdicts_stand_by_severity_then_control() -> None:
    """A line each, in its verdict's colour."""
    found = [
        entry("b", severity="medium"),
        entry("a", "not-applicable", severity="medium"),
        entry("z", severity="critical"),
        entry("mine", severity=""),
    ]
    assert [("z", "green"), ("a", "cyan"), ("b", "green"), ("mine", "green")] == [
        (line.split()[0], colour) for line, colour in run_summary(found, width=100)
    ]


def test_a_row_says_all_and_stands_in_columns() -> None:
    """Control, verdict, severity, seconds, summary, which is cut; an id is not."""
    short, long = lines_of([entry("a"), entry("net-ingress-deny", seconds=123.0)], width=130)
    said = "2 attacks on 1 targets, 0 got through; 1 of 1 positive controls succeeded"
    assert f"a                 HELD            high         1.2s  {said}" == short
    assert f"net-ingress-deny  HELD            high       123.0s  {said}" == long
    narrow = lines_of([entry("net-" + "long-" * 20)], width=40)
    assert all(len(line) <= 40 for line in narrow)
    assert "net-" + "long-" * 20 in "".join(narrow)
    assert narrow[-1].endswith(" ...")


def test_each_breach_is_told_once_with_all_that_belongs_to_it() -> None:
    """Finding, culprit with its place, attack, positive control, fix: once each."""
    text = "\n".join(lines_of([breached(), entry("held")], width=120))
    assert 1 == text.count("net-door  high: batch/reporter-0 can make itself cluster-admin, and 1 more")
    assert 1 == text.count(f"by: ClusterRoleBinding reporter ({PLACE}): binds ClusterRole cluster-admin")
    assert 1 == text.count("attack: ")
    assert 1 == text.count("positive control: its token is valid: ")
    assert 1 == text.count("fix: Give each namespace")
    assert "Then name exceptions." in " ".join(text.split())


@pytest.mark.parametrize("width", [40, 60, 100, 200])
@pytest.mark.parametrize("verbose", [0, 1, 2])
@pytest.mark.parametrize("many", [1, 31])
def test_no_line_is_wider_than_the_terminal_and_no_place_is_cut(width: int, verbose: int, many: int) -> None:
    """With text in letters of any width, and however much is asked for."""
    found = [breached(f"net-door-{number}") for number in range(many)]
    found += [entry("unclear", "inconclusive", reason="why " * 80 + "語" * 90)]
    lines = lines_of(found, width=width, verbose=verbose)
    assert not [line for line in lines if columns(line) > width]
    assert many <= "\n".join(lines).count(PLACE)


def test_many_breaches_are_told_in_short_the_most_severe_longest() -> None:
    """As many as the insecure stack has: a screen's bound holds; each has its place and its fix."""
    found = [breached(f"c-{number:02}", severity="critical") for number in range(8)]
    found += [breached(f"h-{number:02}", severity="high") for number in range(23)]
    found += [entry(f"x-{number:02}") for number in range(4)]
    lines = lines_of(found)
    assert len(lines) <= LINES
    text = "\n".join(lines)
    assert 31 <= text.count(PLACE)
    assert 31 == text.count("fix: ")
    assert 31 == text.count("attack") - text.count(" attacks on ")
    assert lines[-1].startswith("in short: -v")
    heads = [number for number, line in enumerate(lines) if line.startswith(("c-", "h-")) and "cluster-admin" in line]
    assert 31 == len(heads)
    assert heads[1] - heads[0] > heads[-1] - heads[-2] == 2
    assert len(lines_of(found, verbose=1)) > LINES


def test_all_cases_are_told_with_v_and_all_evidence_with_vv() -> None:
    """Each finding and each reason; then each attempt."""
    one = "\n".join(lines_of([breached(cases=20)], verbose=1, width=400))
    assert all(f"finding: batch/reporter-{number} can" in one and f"reason {number}" in one for number in range(20))
    assert "all that was tried" not in one
    two = "\n".join(lines_of([breached(cases=20)], verbose=2, width=400))
    assert 20 == two.count("attack, got through: yes: ")
    assert 20 == two.count("positive control, succeeded: yes: ")


def test_what_can_be_pasted_is_named() -> None:
    """The terminal stays short: the command that shows it, and nothing of it."""
    snippets = [{"language": "yaml", "text": "door: shut"}]
    assert "    to paste: `k8ssec controls net-door`" == lines_of([breached(snippets=snippets)])[-1]
    assert "to paste" not in "".join(lines_of([entry(snippets=snippets)]))


def test_below_what_can_not_be_told_stands_why_and_nothing_else() -> None:
    """There is nothing to fix before it is known; below held and not-applicable stands nothing."""
    assert ["net-door  inconclusive: why"] == lines_of([entry(verdict="inconclusive", reason="why")])[2:]
    for verdict in ("held", "not-applicable"):
        assert 1 == len(lines_of([entry(verdict=verdict, reason="why")]))
    many = "\n".join(f"reason {number}" for number in range(12))
    assert "    ... and 8 more: -v says all" == lines_of([entry(verdict="inconclusive", reason=many)])[-1]


def lost(control: str, reason: str = "docker daemon: none answers\n  fix: start docker", **more: Any) -> dict[str, Any]:
    """A test that was not begun."""
    return entry(control, "inconclusive", reason=reason, attacks=[], positives=[], **more)


def test_one_cause_is_told_once_with_the_tests_that_it_took() -> None:
    """They have no rows; what was tried has, and so has what failed for a reason of its own."""
    found = [*(lost(f"c-{number}") for number in range(46)), lost("other", "no room"), entry("held")]
    lines = lines_of(found, lost=[("test_a", "docker daemon: none answers\n  fix: start docker")])
    said = "47 tests could tell nothing, for one reason: c-0, c-1, c-10, c-11, c-12, c-13, c-14, c-15 and 39 more"
    assert said in " ".join(" ".join(lines).split())
    assert ["docker daemon: none answers", "  fix: start docker"] == lines[-2:]
    assert ["held", "other"] == sorted(line.split()[0] for line in lines[:2])
    assert len(lines) < 12
    assert "c-8" not in "\n".join(lines)


def test_what_failed_under_a_sabotage_alone_is_a_cause_too() -> None:
    """No row would tell it; a cause of one test with a row is told there."""
    assert [Loss("why", ("test_a",))] == common_causes([], [("test_a", "why")])
    assert [] == common_causes([lost("a")])
    assert [Loss("docker daemon: none answers\n  fix: start docker", ("a", "b"))] == common_causes(
        [lost("a"), lost("b")]
    )


def test_a_long_cause_is_cut_short() -> None:
    """A stack's log does not fill the screen."""
    lines = lines_of([lost("a", "x\n" * 50), lost("b", "x\n" * 50)])
    assert "  ... and 10 more lines: see report.json" == lines[-1]


def test_a_breach_without_culprits_says_why() -> None:
    """And one of an assertion has its reason for a finding."""
    blamed = [{"case": "door", "finding": "door: knock", "culprits": [], "not_found": "nobody", "place": ""}]
    assert "    by: not found: nobody" in lines_of([entry(verdict="breached", blamed=blamed)])
    asserted = entry(verdict="breached", reason="AssertionError: no\nmore", attacks=[], positives=[])
    assert "AssertionError: no" == Breach.of(asserted).headline


@pytest.mark.parametrize(
    ("text", "end", "width", "expected"),
    [
        ("short", "", 10, "short"),
        ("a long text", "", 10, "a long ..."),
        ("a long text", " (x:1)", 14, "a lo ... (x:1)"),
        ("語語語語", "", 7, "語 ..."),
    ],
)
def test_a_text_is_cut_and_its_end_is_not(text: str, end: str, width: int, expected: str) -> None:
    """Letters of two columns count twice."""
    assert expected == cut(text, width, end)
    assert columns(expected) <= width


def test_a_name_is_broken_only_where_it_is_longer_than_a_line() -> None:
    """It is whole when the lines are put together."""
    name = "x" * 50
    assert ["  see", f"    {'y' * 25}"] == folded(f"  see {'y' * 25}", 30, "  ")
    lines = folded(f"see {name}", 30)
    assert name in "".join(lines)
    assert all(len(line) <= 30 for line in lines)
