"""Reports: what a person reads in the terminal, and the shape of report.json that machines rely on."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import pytest

from pytest_k8ssec.catalogue.annotated import control_of
from pytest_k8ssec.catalogue.control import Sabotage
from pytest_k8ssec.controls.etcd.client_auth import test_etcd_client_auth as etcd_client_auth
from pytest_k8ssec.errors import DiskError
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.evidence.causes import Blame, Culprit, ObjectName
from pytest_k8ssec.plugin.waiving.waive import states, waive
from pytest_k8ssec.reach.by_class import Extent
from pytest_k8ssec.reports import terminal
from pytest_k8ssec.reports.json import REPORT_SCHEMA, report_document, write_report
from pytest_k8ssec.reports.junit import properties
from pytest_k8ssec.reports.result import Result
from pytest_k8ssec.reports.screen import run_summary
from pytest_k8ssec.sabotages.packs import Pack
from pytest_k8ssec.sabotages.phases import Phase, PhaseName
from pytest_k8ssec.secrecy.redact import MARK, register
from pytest_k8ssec.settings.waivers import Waiver
from pytest_k8ssec.verdict import Judge, Verdict
from tests.unit.fakes import evidence

ETCD = control_of(etcd_client_auth)
OPEN_DOOR = Sabotage("open-door", "The door stands open", frozenset({"net-door"}), frozenset(), owner="net-door")
RUN: Mapping[str, Any] = {
    "id": "45a8aa50",
    "started": "2030-01-02T03:04:05Z",
    "seconds": 98.1,
    "cluster": {"name": "k8ssec-45a8aa50", "origin": "user", "ephemeral": True, "nodes": ["a"]},
    "stack": {},
    "versions": {"pytest": "9.2.0"},
    "host": {"system": "Linux"},
}


def judge(attacks: int = 2, *, through: bool | None = False, succeeded: bool | None = True) -> Judge:
    """Records of one case: so many attacks, and one positive control."""
    made = Judge()
    case = made.case("door")
    for number in range(attacks):
        case.attack(f"knock {number}", evidence(), through=through)
    case.positive("somebody is in", evidence(Outcome.HTTP, status=200), succeeded=succeeded)
    return made


def entry(
    control: str = "net-door",
    verdict: str = "held",
    phase: PhaseName | None = None,
    sabotage: Sabotage | None = None,
    **more: Any,
) -> dict[str, Any]:
    """One result as in report.json."""
    result = Result(
        control, "The door is shut", f"test_{control}", "cluster", Phase(phase, Pack.alone(sabotage) if sabotage else None), Verdict(verdict), "high", 1.25,
        "", judge(), "Shut the door.", {"cis": ["2.2"]},
    )  # fmt: skip
    return {**result.to_json(), **more}


# -- report.json ------------------------------------------------------------------------------------------------------

Check = Callable[[Any], bool]
TEXT: Check = lambda value: isinstance(value, str)  # noqa: E731 - a shape is read best in one column
WORDS: Check = lambda value: isinstance(value, str) and value.strip() != ""  # noqa: E731
NUMBER: Check = lambda value: isinstance(value, int | float) and not isinstance(value, bool) and value >= 0  # noqa: E731
FLAG: Check = lambda value: isinstance(value, bool)  # noqa: E731
MAPPING: Check = lambda value: isinstance(value, dict)  # noqa: E731
TIME: Check = lambda value: re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", value) is not None  # noqa: E731


def one_of(*values: object) -> Check:
    """One of these, and nothing that only looks like it."""
    return lambda value: any(value is each or (isinstance(each, str) and value == each) for each in values)


def list_of(check: Check) -> Check:
    """A list of such things."""
    return lambda value: isinstance(value, list) and all(map(check, value))


def shape(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """A mapping with these keys and no others."""
    optional = optional or {}

    def check(value: Any) -> bool:
        assert isinstance(value, dict)
        assert set(required) <= set(value), f"missing: {set(required) - set(value)}"
        assert set(value) <= {*required, *optional}, f"unknown: {set(value) - {*required, *optional}}"
        for key, each in value.items():
            assert {**required, **optional}[key](each), f"{key}: {each!r}"
        return True

    return check


SOURCE = shape(
    {"kind": one_of("pod", "node", "outside", "client"), "name": WORDS},
    {"address": TEXT, "node": TEXT, "identity": TEXT},
)
ATTEMPT: Mapping[str, Check] = {
    "case": WORDS,
    "what": WORDS,
    "source": SOURCE,
    "request": WORDS,
    "outcome": one_of(*map(str, Outcome)),
    "at": TIME,
}
MAYBE: Mapping[str, Check] = {"detail": WORDS, "status": NUMBER, "latency_ms": NUMBER, "facts": MAPPING}
CULPRIT = ("kind", "namespace", "name", "field", "how", "place")
LEFT = list_of(shape({"at": MAPPING, "why": WORDS}))
COVERAGE = shape(
    {
        "words": WORDS,
        **dict.fromkeys(("existing", "tried", "by_class", "left_out", "absent"), NUMBER),
        **dict.fromkeys(("untried", "nothing_there"), LEFT),
    }
)
WAIVED = ("case", "attack", "subject", "reason", "owner", "expires", "place", "lasting")
WAIVER = ("control", *WAIVED[2:-1])
RESULT = shape(
    {
        "control": WORDS,
        "title": WORDS,
        "test": WORDS,
        "subject": one_of("cluster", "stack", ""),
        "cluster": TEXT,
        "whole": FLAG,
        "doubts": list_of(WORDS),
        "phase": one_of(None, "intact", "sabotaged", "restored"),
        "sabotage": lambda value: value is None or WORDS(value),
        "bystander": FLAG,
        "sabotages": list_of(WORDS),
        "own_sabotages": list_of(WORDS),
        "missing": MAPPING,
        "pack": lambda value: value is None or WORDS(value),
        "expected": one_of("held", "breached", "inconclusive"),
        "verdict": one_of("held", "breached", "inconclusive", "not-applicable", "waived"),
        "severity": one_of("critical", "high", "medium", "low", ""),
        "seconds": NUMBER,
        "summary": TEXT,
        "reason": TEXT,
        "attacks": list_of(
            shape(
                {**ATTEMPT, "through": one_of(True, False, None)},
                {**MAYBE, "waived": one_of(True), "used": list_of(list_of(WORDS))},
            )
        ),
        "positives": list_of(shape({**ATTEMPT, "succeeded": one_of(True, False, None)}, MAYBE)),
        "notes": list_of(TEXT),
        "place": TEXT,
        "blamed": list_of(
            shape(
                {
                    "case": WORDS,
                    "finding": WORDS,
                    "culprits": list_of(shape(dict.fromkeys(CULPRIT, TEXT))),
                    "not_found": TEXT,
                    "place": TEXT,
                }
            )
        ),
        "changed": MAPPING,
        "waived": list_of(shape({**dict.fromkeys(WAIVED, WORDS), "ticket": TEXT})),
        "waivers": list_of(
            shape(
                {
                    **dict.fromkeys(WAIVER, WORDS),
                    "ticket": TEXT,
                    "near": TEXT,
                    "state": one_of("used", "expired", "unused", "nothing", "unclear"),
                    "ends_soon": FLAG,
                    "breaches": NUMBER,
                }
            )
        ),
        "coverage": lambda value: value is None or COVERAGE(value),
        "graphs": list_of(MAPPING),
        "tables": list_of(
            shape(
                {
                    "title": WORDS,
                    "columns": list_of(WORDS),
                    "rows": list_of(shape({"row": WORDS, "cells": list_of(TEXT)})),
                }
            )
        ),
        "remediation": TEXT,
        "snippets": list_of(shape({"language": one_of("yaml", "python", "sh"), "text": WORDS})),
        "mappings": lambda value: (
            value == {} or shape(dict.fromkeys(("cis", "nsa", "mitre", "owasp", "others"), list_of(WORDS)))(value)
        ),
    }
)
REPORT = shape(
    {
        "schema": lambda value: value == 1,
        "run": shape(
            {
                "id": WORDS,
                "started": TIME,
                "seconds": NUMBER,
                **dict.fromkeys(("cluster", "stack", "versions", "host"), MAPPING),
            }
        ),
        "results": list_of(RESULT),
    }
)


def written(folder: Path, *results: Result) -> dict[str, Any]:
    """What stands in report.json, read again."""
    path = write_report(folder, report_document(dict(RUN), [result.to_json() for result in results]))
    return dict(json.loads(path.read_text()))


@pytest.mark.parametrize("phase", [None, "intact", "sabotaged", "restored"])
@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("of", [ETCD, None], ids=["control", "test-of-a-user"])
def test_the_report_has_the_shape_that_is_documented(
    tmp_path: Path, phase: PhaseName | None, verdict: Verdict, of: Any
) -> None:
    """Every verdict in every phase, of a control and of a user's own test."""
    pack = Pack.alone(OPEN_DOOR) if phase in ("sabotaged", "restored") else None
    records = judge(through=True)
    records.note("a note")
    records.table("doors").put("front", "by night", evidence(), breach=True)
    records.table("no doors")
    waiver = Waiver("etcd-client-auth", "d*", "why", "team", dt.date(2027, 1, 31), "", "pyproject.toml:3: waiver 1")
    waive(records, [waiver], dt.date(2027, 1, 1))
    became = states(records, [waiver], dt.date(2027, 1, 31), whole=True)
    result = Result.of(of, "test_x", Phase(phase, pack, bystander=bool(pack)), verdict, "why", 1.23456, records)
    result = replace(result, waivers=tuple(became))
    report = written(tmp_path, result)
    assert REPORT(report)
    (found,) = report["results"]
    assert (phase, str(verdict), 1.235) == (found["phase"], found["verdict"], found["seconds"])
    assert (2, 1, ["a note"]) == (len(found["attacks"]), len(found["positives"]), found["notes"])
    assert [{"title": "doors", "columns": ["by night"], "rows": [{"row": "front", "cells": ["refused !"]}]}] == found[
        "tables"
    ]
    assert [("used", True)] == [(each["state"], each["ends_soon"]) for each in found["waivers"]]
    assert ["team", "team"] == [each["owner"] for each in found["waived"]]
    assert bool(found["snippets"]) is (of is not None)
    assert (True, True) == (found["attacks"][0]["through"], found["positives"][0]["succeeded"])


@pytest.mark.parametrize(("phase", "there"), [(None, 1), ("intact", 1), ("sabotaged", 0), ("restored", 0)])
def test_graphs_of_a_cluster_that_was_broken_on_purpose_are_left_out(phase: PhaseName | None, there: int) -> None:
    """They are of the cluster that a team runs; who takes over what another judge recorded has them, too."""
    records, other = judge(), Judge()
    records.graphs.append({"graph": {"start": "pod:web/shop"}})
    other.take_over(records)
    made = Result.of(ETCD, "test_x", Phase(phase), Verdict.HELD, "", 1.0, other)
    assert there == len(made.to_json()["graphs"])


def test_what_is_not_known_is_null_and_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    """A reader can tell "could not tell" from "no"."""
    records = judge(1, through=None, succeeded=None)
    (found,) = written(tmp_path, Result.of(None, "x", Phase(), Verdict.INCONCLUSIVE, "", 0, records))["results"]
    assert found["attacks"][0]["through"] is None
    assert found["positives"][0]["succeeded"] is None
    assert "status" not in found["attacks"][0]
    assert 200 == found["positives"][0]["status"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda report: report.update(schema=2),
        lambda report: report.pop("run"),
        lambda report: report["run"].update(extra=1),
        lambda report: report["results"][0].update(verdict="HELD"),
        lambda report: report["results"][0].update(phase=""),
        lambda report: report["results"][0].update(bystander=None),
        lambda report: report["results"][0]["mappings"].pop("nsa"),
        lambda report: report["results"][0]["attacks"][0].update(through="false"),
        lambda report: report["results"][0]["attacks"][0].update(through=0),
        lambda report: report["results"][0]["attacks"][0].pop("at"),
        lambda report: report["results"][0]["positives"][0]["source"].update(kind="host"),
    ],
)
def test_another_shape_would_be_noticed(tmp_path: Path, spoil: Callable[[dict[str, Any]], object]) -> None:
    """The check of these tests can fail."""
    report = written(tmp_path, Result.of(ETCD, "x", Phase(), Verdict.HELD, "", 0, judge()))
    assert REPORT(report)
    spoil(report)
    with pytest.raises(AssertionError):
        assert REPORT(report)


def test_the_report_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """What was there stays until the new one is complete; folders are made; others may read it."""
    folder = tmp_path / "a" / "b"
    assert folder / "report.json" == write_report(folder, {"schema": REPORT_SCHEMA, "text": "ä"})
    assert '{\n  "schema": 1,\n  "text": "ä"\n}\n' == (folder / "report.json").read_text(encoding="utf-8")
    assert 0o644 == (folder / "report.json").stat().st_mode & 0o777
    with pytest.raises(TypeError):
        write_report(folder, {"schema": object()})
    assert 1 == json.loads((folder / "report.json").read_text())["schema"]
    (folder / "c" / "report.json").mkdir(parents=True)
    with pytest.raises(DiskError, match=r"c/report\.json: a folder stands where a file is needed"):
        write_report(folder / "c", {"schema": 2})
    assert ["report.json"] == [path.name for path in (folder / "c").iterdir()]
    write_report(folder, {"schema": 3})
    assert ["c", "report.json"] == sorted(path.name for path in folder.iterdir())
    assert 3 == json.loads((folder / "report.json").read_text())["schema"]


def test_text_that_is_none_is_written_all_the_same(tmp_path: Path) -> None:
    """A file's name need not be UTF-8: what was found must not be lost over that."""
    path = write_report(tmp_path, report_document(dict(RUN), [entry(reason="/run/\udcff: ä")]))
    assert r"/run/\udcff: ä" == json.loads(path.read_bytes())["results"][0]["reason"]


def test_no_secret_is_in_the_report() -> None:
    """Neither in values nor in keys, however deep."""
    secret = register("correct-horse-battery-9")
    report = report_document({**RUN, "host": {secret: [f"x {secret} y"]}}, [entry(reason=secret)])
    assert secret not in json.dumps(report)
    assert MARK == report["results"][0]["reason"]
    assert secret == dict(RUN, host=secret)["host"]  # the caller's own is left alone


# -- terminal ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["sabotaged", "restored"])
def test_results_under_sabotage_are_no_verdicts_on_the_cluster(phase: PhaseName) -> None:
    """A breach that was made on purpose is neither in the table nor counted."""
    entries = [entry("net-door", "breached", phase, OPEN_DOOR), entry("net-door", "held", "intact")]
    assert 1 == len(run_summary(entries, width=100))
    assert "1 held, 0 breached, 0 inconclusive, 0 not-applicable" == terminal.tally_verdicts(entries)
    assert [] == run_summary(entries[:1], width=100)


def test_the_tally_counts_each_verdict() -> None:
    """None is left out, also where it is none."""
    entries = [entry(verdict=each) for each in ("held", "held", "breached", "not-applicable")]
    assert "2 held, 1 breached, 0 inconclusive, 1 not-applicable" == terminal.tally_verdicts(entries)


_DOORS = {
    "title": "doors",
    "columns": ["by day", "by night", "on Sundays"],
    "rows": [
        {"row": "front", "cells": ["403", "201 !", "403"]},
        {"row": "back door", "cells": ["403", "403", "403"]},
        {"row": "cat flap", "cells": ["403", "", "error ?"]},
    ],
}


def test_of_a_breach_s_table_the_marked_part_is_shown() -> None:
    """Rows and columns in which something got through or can't be told, with the columns' names."""
    lines = [line for line, _ in run_summary([entry(verdict="breached", tables=[_DOORS])], width=100)]
    assert [
        "    doors: [2] by night, [3] on Sundays",
        "                [2]           [3]",
        "      front     201 !         403",
        "      cat flap                error ?",
        "      (1 more rows, 0 of them marked: see report.json)",
    ] == lines[-5:]


def test_of_a_long_table_a_part_is_shown() -> None:
    """As of reasons, eight; and how many more there are."""
    rows = [{"row": f"door {number}", "cells": ["201 !"]} for number in range(12)]
    found = {"title": "doors", "columns": ["by day"], "rows": [*rows, {"row": "wall", "cells": ["403"]}]}
    lines = terminal.result_table(found, whole=False)
    assert ["  door 7  201 !", "  (5 more rows, 4 of them marked: see report.json)"] == lines[-2:]
    assert 2 + 13 == len(terminal.result_table(found, whole=True))


def test_tables_are_shown_whole_where_more_is_asked_for() -> None:
    """With -v, below every verdict; without it, below a breach only, and only where something is marked."""
    held = entry(tables=[_DOORS])
    assert [
        "    doors: [1] by day, [2] by night, [3] on Sundays",
        "                 [1]           [2]           [3]",
        "      front      403           201 !         403",
        "      back door  403           403           403",
        "      cat flap   403                         error ?",
    ] == [line for line, _ in run_summary([held], width=100, verbose=1)][1:]
    assert 1 == len(run_summary([held], width=100))
    unmarked = {**_DOORS, "rows": _DOORS["rows"][1:2]}
    assert [] == terminal.result_table(unmarked, whole=False)


def test_many_reasons_are_shortened() -> None:
    """Eight are explained, and how many more there are."""
    many = "\n".join(f"reason {number}" for number in range(1, 13))
    explained = terminal.explain_result(entry(verdict="inconclusive", reason=many), "INCONCLUSIVE").splitlines()
    assert "  reason 8" in explained
    assert "  reason 9" not in explained
    assert "  ... and 4 more" in explained


def test_why_a_test_failed_is_explained() -> None:
    """Title, reasons, what was shown to work, notes, remediation: in this order."""
    found = entry(verdict="breached", reason="door: knock", notes=["by night"], remediation="Shut it.\nLock it.")
    shown = "pod k8ssec-1/attacker: TCP 10.244.0.9:80 -> HTTP 200"
    assert (
        "BREACHED: door: knock\n"
        "\n"
        "  door: knock\n"
        "\n"
        "  shown to work meanwhile (1 positive controls), such as:\n"
        f"    door: somebody is in: {shown}\n"
        "  note: by night\n"
        "\n"
        "  remediation:\n"
        "    Shut it.\n"
        "    Lock it."
    ) == terminal.explain_result(found, "BREACHED")


def test_a_positive_control_that_failed_is_not_shown_as_one_that_worked() -> None:
    """Neither is remediation told where no breach was found."""
    failed = judge(succeeded=False)
    result = Result("c", "Title", "t", "", Phase(), Verdict.INCONCLUSIVE, "", 0, "why", failed, "Shut it.")
    assert "INCONCLUSIVE: not known: Title\n\n  why" == terminal.explain_result(result.to_json(), "INCONCLUSIVE")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"outcome": "refused"}, "door: knock: pod a/b: TCP x -> refused"),
        ({"outcome": "http", "status": 403}, "door: knock: pod a/b: TCP x -> HTTP 403"),
        ({"outcome": "http", "status": 200, "detail": "ok"}, "door: knock: pod a/b: TCP x -> HTTP 200 (ok)"),
    ],
)
def test_an_attempt_in_a_line(more: Mapping[str, Any], expected: str) -> None:
    """What was tried, from where, and what came back."""
    one = {"case": "door", "what": "knock", "source": {"kind": "pod", "name": "a/b"}, "request": "TCP x", **more}
    assert expected == terminal.attempt(one)
    named = {**one, "source": {"kind": "pod", "name": "a/b", "identity": "dev"}}
    assert expected.replace("a/b:", "a/b as dev:") == terminal.attempt(named)


# -- sabotage ---------------------------------------------------------------------------------------------------------


def phases(**verdicts: str) -> list[dict[str, Any]]:
    """A control's results by phase."""
    return [
        entry("net-door", verdict, cast("PhaseName", phase), None if phase == "intact" else OPEN_DOOR)
        for phase, verdict in verdicts.items()
    ]


@pytest.mark.parametrize(
    ("verdicts", "path", "colour"),
    [
        ({"intact": "held", "sabotaged": "breached", "restored": "held"}, "held -> breached -> held", "green"),
        ({"intact": "held", "sabotaged": "held", "restored": "held"}, "held -> held -> held", "red"),
        ({"intact": "breached", "sabotaged": "breached", "restored": "held"}, "breached -> breached -> held", "red"),
        ({"intact": "held", "sabotaged": "breached", "restored": "breached"}, "held -> breached -> breached", "red"),
        ({"intact": "held", "sabotaged": "breached"}, "held -> breached -> ?", "red"),
        ({"intact": "held", "restored": "held"}, "held -> ? -> held", "red"),
        ({"sabotaged": "breached", "restored": "held"}, "? -> breached -> held", "red"),
    ],
)
def test_a_sabotage_is_good_only_if_all_three_phases_are(verdicts: dict[str, str], path: str, colour: str) -> None:
    """Held, breached, held again; anything else, and what is missing, is red."""
    ((line, found),) = terminal.mutation_summary(phases(**verdicts))
    assert ["open-door", "net-door", path] == re.split(r"\s{2,}", line)
    assert colour == found


def test_bystanders_that_moved_are_named() -> None:
    """Those that said what they said before are not."""
    beside = [
        entry("net-roof", "held", "intact"),
        entry("net-roof", "inconclusive", "sabotaged", OPEN_DOOR, bystander=True),
        entry("net-wall", "held", "intact"),
        entry("net-wall", "held", "sabotaged", OPEN_DOOR, bystander=True),
    ]
    ((line, _),) = terminal.mutation_summary([*phases(intact="held", sabotaged="breached", restored="held"), *beside])
    assert line.endswith("held -> breached -> held; also moved: net-roof inconclusive")


def test_without_a_sabotage_there_is_no_such_table() -> None:
    """Nothing is told of what was not done."""
    assert [] == terminal.mutation_summary([entry(), entry(phase="intact")])


# -- JUnit ------------------------------------------------------------------------------------------------------------


def test_properties_for_a_ci() -> None:
    """Those without a value are left out; ids of a framework stand in one."""
    found = entry("net-door", "held", "sabotaged", OPEN_DOOR, mappings={"cis": ["2.2", "2.3"], "nsa": []})
    assert {
        "k8ssec.control": "net-door",
        "k8ssec.verdict": "held",
        "k8ssec.severity": "high",
        "k8ssec.phase": "sabotaged",
        "k8ssec.sabotage": "open-door",
        "k8ssec.cis": "2.2 2.3",
        "k8ssec.summary": found["summary"],
    } == dict(properties(found))
    assert {"k8ssec.phase", "k8ssec.sabotage", "k8ssec.severity"}.isdisjoint(dict(properties(entry(severity=""))))


def test_a_difference_within_a_class_is_told_below_what_was_measured() -> None:
    """The first few; and nothing at all where all was measured."""
    told = asdict(Extent(7, 1, 2, 3, 4, 5, 6, 10, 20, 2, tuple(f"web/{number} -> pay/api" for number in range(12))))
    lines = terminal.reach_summary([told, {**told, "seed": None}])
    assert [("yellow"), *["red"] * 8] == [colour for _, colour in lines]
    assert "10 connections measured, 20 by class, 2 neither, 12 unlike their class" in lines[0][0]
    assert ("    web/0 -> pay/api", "red") == lines[1]


def _blamed() -> Result:
    found = judge(1, through=True)
    binding = ObjectName("RoleBinding", "reporter", "batch")
    culprit = Culprit(binding, "binds Role reporter", "infra/__main__.py:12")
    found.blamed = (
        Blame("batch/reporter", "read Secrets", (culprit,), words="{case} can {attack}"),
        Blame("batch/default", "read Secrets", (culprit,)),
        Blame("web/default", "read Secrets", why_none="nobody gives the right"),
    )
    return Result("id", "title", "test", "stack", Phase(), Verdict.BREACHED, "high", 1.0, "why", found)


def test_a_breach_says_what_is_and_who_is_to_blame() -> None:
    """Each culprit once, with its place; that none was found is said."""
    entry = _blamed().to_json()
    assert terminal.blamed(entry) == [
        "finding: batch/reporter can read Secrets, by RoleBinding batch/reporter (infra/__main__.py:12)",
        "finding: batch/default: read Secrets, by RoleBinding batch/reporter (infra/__main__.py:12)",
        "finding: web/default: read Secrets",
        "culprit: RoleBinding batch/reporter (infra/__main__.py:12): binds Role reporter",
        "culprit: not found: nobody gives the right",
    ]
    assert "  culprit: RoleBinding batch/reporter" in terminal.explain_result(entry, "BREACHED")


def test_culprits_are_properties_for_a_ci() -> None:
    """Each once."""
    words = "RoleBinding batch/reporter (infra/__main__.py:12): binds Role reporter"
    assert [value for name, value in properties(_blamed().to_json()) if name == "k8ssec.culprit"] == [words]
