"""What changed between two runs: by what got through, and never better than was seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.reports.compare import Became, compare_reports, comparison_lines, read_comparable
from pytest_k8ssec.reports.json import read_report, report_document, write_report
from pytest_k8ssec.reports.lasting import lasting_name
from tests.unit.reports.test_reports import entry

_HALF = json.dumps(
    {
        "schema": 1,
        "run": {},
        "results": [
            {
                **dict.fromkeys(("control", "verdict", "severity", "reason"), ""),
                "phase": None,
                "attacks": [{}],
                "positives": 1,
            }
        ],
    }
)
_WHO = {True: "breached", False: "held", None: "inconclusive"}


def ran(
    attacks: dict[str, bool | None], verdict: str = "", shown: bool = True, waived: bool = False, **more: Any
) -> dict[str, Any]:
    """A control's result, with a case of its own for each attack; and whether its positive controls succeeded."""
    worst = True if True in attacks.values() else None if None in attacks.values() or not shown else False
    tried = [
        {**entry()["attacks"][0], "case": case, "what": "knock", "through": each} for case, each in attacks.items()
    ]
    tried = [{**each, "waived": True} if waived and each["through"] else each for each in tried]
    positives = [{**entry()["positives"][0], "case": case, "succeeded": shown} for case in attacks]
    return entry(verdict=verdict or _WHO[worst], attacks=tried, positives=positives, reason="why", **more)


def document(*results: dict[str, Any]) -> dict[str, Any]:
    """A report of these."""
    return report_document({}, results)


def changes(old: dict[str, Any] | None, new: dict[str, Any] | None) -> set[tuple[str, str]]:
    """What changed, and of which case, or why."""
    found = compare_reports(*(document(*([each] if each else [])) for each in (old, new)))
    return {(str(one.change), one.words.partition(":")[0]) for one in found}


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (ran({"a": True}), ran({"a": True}), {("unchanged", "a")}),
        (ran({"a": True}), ran({"a": True, "b": True}), {("unchanged", "a"), ("new", "b")}),
        (ran({"a": False}), ran({"a": True}), {("new", "a")}),
        (ran({"a": None}), ran({"a": True}), {("new", "a")}),
        (None, ran({"a": True}), {("new", "a")}),
        (ran({"a": True}), ran({"a": False}), {("resolved", "a")}),
        (ran({"a": True, "b": True}), ran({"a": False, "b": True}), {("resolved", "a"), ("unchanged", "b")}),
        (ran({"a": True}), ran({"b": False}), {("gone", "a")}),
        (ran({"a": True, "b": True}), ran({"b": True}), {("incomparable", "a"), ("unchanged", "b")}),
        (ran({"a": True}), ran({"a": False}, shown=False), {("incomparable", "a"), ("incomparable", "was breached, and is inconclusive")}),
        (ran({"a": True}), ran({"a": None}), {("incomparable", "a"), ("incomparable", "was breached, and is inconclusive")}),
        (ran({"a": False}), ran({"a": None}), {("incomparable", "was held, and is inconclusive")}),
        (ran({"a": False}), ran({}, "not-applicable"), {("incomparable", "was held, and is not-applicable")}),
        (ran({}, "not-applicable"), ran({}, "not-applicable"), set()),
        (ran({"a": None}), ran({"a": False}), set()),
        (ran({"a": True}), None, {("incomparable", "was judged before, and not in this run")}),
        (ran({"a": False}), None, {("incomparable", "was judged before, and not in this run")}),
        (ran({"pod web/a-857599f47-5ft6x at 10.0.0.1": True}), ran({"pod web/a-6f9c8b7d5c-x2x4z at 10.1.0.9": True}), {("unchanged", "pod web/a-6f9c8b7d5c-x2x4z at 10.1.0.9")}),
        (
            ran({"kubelet on one-worker": True}, cluster="one"), ran({"kubelet on two-worker": True}, cluster="two"),
            {("unchanged", "kubelet on two-worker")},
        ),
        (  # two pods of one Deployment, of which one could not be told
            ran({"web/a-857599f47-5ft6x": True}), ran({"web/a-857599f47-5ft6x": False, "web/a-857599f47-2v7wz": None}),
            {("incomparable", "web/a-857599f47-5ft6x"), ("incomparable", "was breached, and is inconclusive")},
        ),
        (ran({}, "breached"), ran({}, "breached"), {("new", "why")}),
        (ran({}, "held"), ran({}, "breached"), {("new", "why")}),
        (ran({"a": True}, "waived", whole=True, waived=True), ran({"a": True}), {("new", "a")}),  # nobody answers for it any more
        (ran({"a": True}, "waived", waived=True), ran({"a": True}, "waived", waived=True), {("unchanged", "a")}),
        (ran({"a": True}), ran({"a": True}, "waived", waived=True), {("unchanged", "a")}),
        (  # of two pods of one Deployment one was not looked at
            ran({"web/a-857599f47-5ft6x": True, "web/a-857599f47-2v7wz": True}), ran({"web/a-857599f47-5ft6x": False, "b": None}),
            {("incomparable", "web/a-857599f47-5ft6x"), ("incomparable", "was breached, and is inconclusive")},
        ),
        (  # there is one pod fewer
            ran({"web/a-857599f47-5ft6x": True, "web/a-857599f47-2v7wz": True}), ran({"web/a-857599f47-5ft6x": False}),
            {("resolved", "web/a-857599f47-5ft6x")},
        ),
        (ran({"a": True}), ran({"a": True}, doubts=["b: unknown"]), {("unchanged", "a"), ("incomparable", "beside what got through, not known")}),
        (ran({"a": True}), ran({"a": True}, whole=False), {("unchanged", "a"), ("incomparable", "broke off, so what it did not get to is not known")}),
        (ran({"a": True}), ran({"a": False}, whole=False), {("incomparable", "a"), ("incomparable", "broke off, so what it did not get to is not known")}),
        (ran({"a": True}), ran({"a": None, "b": False}, "held"), {("incomparable", "a")}),
    ],
)  # fmt: skip
def test_a_change_is_what_was_seen(
    old: dict[str, Any] | None, new: dict[str, Any] | None, found: set[tuple[str, str]]
) -> None:
    """Neither silence nor a probe that broke resolves anything."""
    assert found == changes(old, new)


_ATTACKS = some.dictionaries(some.sampled_from("abc"), some.sampled_from([True, False, None]), max_size=3)


@given(_ATTACKS, _ATTACKS, some.booleans())
def test_each_breach_of_either_run_is_told_once_and_none_is_lost(
    old: dict[str, bool | None], new: dict[str, bool | None], shown: bool
) -> None:
    """What got through before is resolved only if it was stopped, or all of the control held."""
    before, after = ran(old), ran(new, shown=shown)
    told = [one for one in compare_reports(document(before), document(after)) if one.words[1:2] == ":"]
    breached = {case for each in (old, new) for case, through in each.items() if through}
    assert sorted(one.words[0] for one in told) == sorted(breached)
    for one in told:
        case = one.words[0]
        expected = {
            Became.NEW: new.get(case) is True and old.get(case) is not True,
            Became.UNCHANGED: new.get(case) is True and old.get(case) is True,
            Became.RESOLVED: old.get(case) is True and new.get(case) is False and shown,
            Became.GONE: old.get(case) is True and case not in new and after["verdict"] == "held",
            Became.INCOMPARABLE: old.get(case) is True and new.get(case) is not True and after["verdict"] != "held",
        }
        assert expected[one.change]


def test_what_it_used_counts() -> None:
    """A second Service behind the same port is another breach."""
    one, two = ran({"a": True}), ran({"a": True})
    one["attacks"][0]["used"], two["attacks"][0]["used"] = [["web/a"]], [["web/a"], ["web/b"]]
    assert {("new", "a")} == {each for each in changes(one, two) if each[0] == "new"}


def test_results_under_a_sabotage_are_left_out() -> None:
    """They are breached on purpose."""
    sabotaged = {**ran({"a": True}), "phase": "sabotaged"}
    assert set() == changes(sabotaged, sabotaged)


def test_it_is_told_in_lines() -> None:
    """How many of each, then what is new, in doubt, better."""
    old, new = ran({"a": True, "b": True}), ran({"a": False, "c": True})
    new["blamed"] = [{"case": "c", "place": "infra/__main__.py:12"}]
    assert [
        "1 new, 1 resolved, 0 gone, 0 unchanged, 1 incomparable",
        "new: net-door high: c: knock (infra/__main__.py:12)",
        "incomparable: net-door high: b: knock: got through before, and is neither tried nor stopped now",
        "resolved: net-door high: a: knock",
    ] == comparison_lines(compare_reports(document(old), document(new)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ("[]", "is no report"),
        ("{}", "is no report"),
        ('{"schema": 2}', "is of schema 2"),
        ('{"schema": 1}', "is not as k8ssec writes it: KeyError"),
        ('{"schema": 1, "run": {}, "results": [1]}', "is not as k8ssec writes it: TypeError"),
        ('{"schema": 1, "run": {}, "results": null}', "is not as k8ssec writes it: TypeError"),
        ('{"schema": 1, "run": {}, "results": [{}]}', "is not as k8ssec writes it: KeyError"),
        (_HALF, "is not as k8ssec writes it: KeyError"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_report_is_told(tmp_path: Path, text: str, words: str) -> None:
    """With its name and what to do."""
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(SettingsError, match=r"report\.json") as caught:
        read_comparable(tmp_path)
    assert words in str(caught.value)
    assert "fix: " in str(caught.value)


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    """By its folder or its own name; one that is not there is told."""
    made = document(ran({"a": True}))
    path = write_report(tmp_path, made)
    assert json.loads(json.dumps(made)) == read_report(tmp_path) == read_report(path)
    with pytest.raises(SettingsError, match="can't be read: No such file"):
        read_report(tmp_path / "nowhere.json")


def test_two_tests_of_one_name_are_two_and_the_parameters_of_one_are_all_of_it() -> None:
    """A breach in the first is not lost behind the second."""
    one, two = ran({"a": True}, place="test_a.py:3", subject=""), ran({"a": False}, place="test_b.py:3", subject="")
    assert [("new", "a")] == [
        (str(each.change), each.words[0])
        for each in compare_reports(document(two), document(one, two))
        if each.change is Became.NEW
    ]
    both = document(ran({"a": True}), ran({"b": False}))
    assert [Became.UNCHANGED] == [each.change for each in compare_reports(both, both)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("web/shop at 10.0.0.5:30080", "web/shop at 10.0.0.5:31337"),
        ("port 30080 of this machine", "port 31337 of this machine"),
        ("namespace tenant-100001", "namespace tenant-100002"),
        ("Deployment web/app-mssql", "Deployment web/app-pgsql"),
        ("node worker (10.0.0.3)", "node worker (fd00::3)"),
        ("metadata at 169.254.169.254", "metadata at 10.0.0.1"),
        ("metadata at fd00:ec2::254", "metadata at fd00::1"),
        ("web/shop:8080", "web/shop:8081"),
    ],
)
def test_what_a_user_chose_is_not_taken_for_what_was_drawn(one: str, other: str) -> None:
    """Two breaches that are taken for one hide the second."""
    assert lasting_name(one, "x") != lasting_name(other, "x")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Service web/shop at 172.18.0.2:32176", "Service web/shop at 172.18.0.3:31891"),
        ("Pod kube-system/kube-proxy-9hkpt", "Pod kube-system/kube-proxy-jnz4f"),
        ("Pod batch/report-28934520-x2v4z", "Pod batch/report-28934525-k69hm"),
        ("ReplicaSet web/shop-857599f47", "ReplicaSet web/shop-589f44dc88"),
        ("pod k8ssec-12345678/canary", "pod k8ssec-5711c5b3/canary"),
        ("[fd00::5]:80 of x", "[fd00:1::7]:80 of x"),
    ],
)
def test_what_is_drawn_anew_is_the_same(one: str, other: str) -> None:
    """Else each run would have nothing but new breaches."""
    assert lasting_name(one, "x") == lasting_name(other, "x")
