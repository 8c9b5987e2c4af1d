"""Breaches that somebody answers for: shown everywhere, never held, never a failure; and what is stale is told."""

from __future__ import annotations

import datetime as dt
import json
import time
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from pytest_k8ssec.plugin.waiving import told
from pytest_k8ssec.settings.waivers import read_waivers
from tests.plugin.conftest import Run

HEAD = "import pytest\nfrom lab import held, breached, saw\n"
DAY = dt.date(2026, 6, 1)


@pytest.fixture(autouse=True)
def that_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run is on one day."""
    monkeypatch.setattr(told, "today", lambda: DAY)


def body(*lines: str) -> str:
    """A module with one test that does this."""
    return HEAD + "def test_door(judge):\n" + "".join(f"    {line}\n" for line in lines)


def waive(lab: pytest.Pytester, *entries: dict[str, str]) -> None:
    """Write waivers; what an entry does not say is what suits ``test_door``."""
    whole = {
        "control": "test_door",
        "subject": "door",
        "reason": "it is a shop",
        "owner": "team",
        "expires": "2026-12-31",
    }
    (lab.path / "k8ssec-waivers.yaml").write_text(json.dumps({"waivers": [{**whole, **each} for each in entries]}))


def entries(place: Path) -> list[dict[str, Any]]:
    """The results in report.json."""
    found: list[dict[str, Any]] = json.loads((place / "report" / "report.json").read_text())["results"]
    return found


def test_a_waived_breach_is_shown_and_fails_nothing(lab: pytest.Pytester, run: Run) -> None:
    """In the terminal, in report.json and in JUnit; it is never held."""
    waive(lab, {"ticket": "OPS-7"})
    result = run(body("breached(judge)"), "--junitxml=junit.xml")
    assert result.ret == 0
    result.assert_outcomes(skipped=1)
    (found,) = entries(lab.path)
    assert found["verdict"] == "waived"
    (waived,) = found["waived"]
    assert waived["case"] == "door"
    assert (waived["reason"], waived["owner"], waived["expires"]) == ("it is a shop", "team", "2026-12-31")
    assert [each["state"] for each in found["waivers"]] == ["used"]
    text = result.stdout.str()
    for line in (
        "waived: door: knock: until 2026-12-31: it is a shop (team, OPS-7)",
        "0 held, 0 breached, 0 inconclusive, 0 not-applicable, 1 waived",
        "not failed, as all that is breached in them is waived: test_door",
    ):
        assert line in text
    suite = ET.parse(lab.path / "junit.xml")
    properties = {each.get("name"): each.get("value") for each in suite.iter("property")}
    assert properties["k8ssec.verdict"] == "waived"
    assert "team" in str(properties["k8ssec.waived"])
    (skipped,) = suite.iter("skipped")
    assert "it is a shop" in str(skipped.get("message"))


@pytest.mark.parametrize(
    ("lines", "entry", "verdict"),
    [
        (["breached(judge)", "held(judge, 'gate')"], {}, "waived"),
        (["breached(judge)", "breached(judge, 'gate')"], {}, "breached"),
        (["breached(judge)", "breached(judge, 'gate')"], {"subject": "*"}, "waived"),
        (["breached(judge)"], {"subject": "doors"}, "breached"),
        (["breached(judge)"], {"subject": "Door"}, "breached"),
        (["breached(judge)"], {"expires": "2026-05-31"}, "breached"),
        (["breached(judge)"], {"expires": "2026-06-01"}, "waived"),
        (["breached(judge)"], {"subject": "door: knock"}, "waived"),
        (["breached(judge)"], {"subject": "door: kick"}, "breached"),
        (["breached(judge)", "judge.case('gate')"], {"subject": "*"}, "inconclusive"),
        (["breached(judge)", "judge.case('gate').attack('kick', saw('error'), through=None)"], {"subject": "*"}, "inconclusive"),
        (["breached(judge)", "judge.cases[0].attack('kick', saw('error'), through=None)"], {"subject": "*"}, "inconclusive"),
        (["breached(judge)", "judge.cases[0].attack('kick', saw('refused'), through=False)"], {}, "waived"),
        (
            ["breached(judge)", "c = judge.cases[0]", "c.attack('kick', saw('refused'), through=False)",
             "c.positive('light', saw('refused'), succeeded=False)"], {}, "inconclusive",
        ),
        (["breached(judge)", "raise RuntimeError('boom')"], {}, "inconclusive"),
        (["breached(judge)", "assert 1 == 2"], {}, "breached"),
        (["pass"], {"subject": "*"}, "inconclusive"),
        (["held(judge)"], {"subject": "*"}, "held"),
        (["breached(judge, 'Deployment web/shop (made by x), container app')"], {"subject": "web/shop"}, "waived"),
        (["breached(judge, 'Deployment web/shop, container app')"], {"subject": "web/shop/app"}, "waived"),
        (["breached(judge, 'Deployment web/shop, container app')"], {"subject": "web/shop/init"}, "breached"),
        (["breached(judge, 'etcd from pod web/shop')"], {"subject": "web/shop"}, "breached"),
        (["breached(judge, 'Service web/shop and Service web/other at 10.0.0.1:80')"], {"subject": "web/shop"}, "breached"),
        (["breached(judge, 'namespace web (enforces baseline)')"], {"subject": "Namespace w*"}, "waived"),
        (["breached(judge, 'service account web/a')"], {"subject": "ServiceAccount web/a"}, "waived"),
        (
            ["judge.case('node n').attack('port', saw('open'), through=True, used=[['Service web/shop', 'web/shop:http']])"],
            {"subject": "web/shop:http"}, "waived",
        ),
        (
            ["judge.case('node n').attack('port', saw('open'), through=True, used=[['Service web/shop'], ['Service a/b']])"],
            {"subject": "Service web/shop"}, "breached",
        ),
    ],
)  # fmt: skip
def test_a_waiver_covers_what_it_names(
    lab: pytest.Pytester, run: Run, lines: list[str], entry: dict[str, str], verdict: str
) -> None:
    """Nothing else; and what is not known stays unknown."""
    waive(lab, entry)
    result = run(body(*lines))
    assert entries(lab.path)[0]["verdict"] == verdict
    assert (result.ret == 0) is (verdict in ("held", "waived"))


@pytest.mark.parametrize(
    ("lines", "entry", "told_so"),
    [
        (["breached(judge)"], {"expires": "2026-05-31"}, "EXPIRED on 2026-05-31: test_door door"),
        (["held(judge)"], {"expires": "2026-05-31"}, "nothing is breached: remove it"),
        (["held(judge)"], {}, "waiver unused: test_door door"),
        (["held(judge)"], {"subject": "doors"}, "waiver matches nothing: test_door doors (*; did you mean 'door'?"),
        (["breached(judge)"], {"expires": "2026-06-15"}, "waiver ends on 2026-06-15: test_door door"),
        (["breached(judge)"], {"expires": "2026-06-16"}, ""),
        (["held(judge)", "judge.case('gate')"], {"subject": "gate"}, ""),
        (["judge.not_applicable('no doors')"], {}, ""),
    ],
)
def test_a_stale_waiver_is_told(
    lab: pytest.Pytester, run: Run, lines: list[str], entry: dict[str, str], told_so: str
) -> None:
    """And is an error where strict; where nobody can tell, nothing is told."""
    waive(lab, entry)
    options = ["--k8ssec-strict=off"] if "not_applicable" in lines[0] else []
    plain, strict = run(body(*lines), *options), run(body(*lines), *options, "--k8ssec-waivers=strict")
    if told_so:
        plain.stdout.fnmatch_lines([f"*{told_so.replace('(', '[(]').replace('?', '[?]')}*"])
        assert strict.ret == 1
    else:
        assert "waiver " not in plain.stdout.str()
        assert strict.ret == plain.ret


def test_a_control_that_there_is_not_stops_the_run(lab: pytest.Pytester, run: Run) -> None:
    """With the one that was probably meant, before any test runs."""
    waive(lab, {"control": "net-ingres-deny"})
    result = run(body("held(judge)"))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*k8ssec-waivers.yaml:1: waiver 1: there is no control 'net-ingres-deny'", "*did you mean 'net-ingress-deny'?"]
    )
    assert not (lab.path / "report").exists()


def test_a_name_that_two_tests_have_is_no_name(lab: pytest.Pytester) -> None:
    """Its author may have looked at one of them; with its file it is one."""
    for name in ("test_a.py", "test_b.py"):
        (lab.path / name).write_text(body("breached(judge)"))
    waive(lab, {})
    result = lab.runpytest("-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*'test_door' is the name of 2 tests", "*write which: test_a.py::test_door or test_b.py::test_door"]
    )
    waive(lab, {"control": "test_a.py::test_door"})
    lab.runpytest("-p", "no:cacheprovider").assert_outcomes(skipped=1, failed=1)


def test_a_waiver_that_one_of_several_parameters_uses_is_not_stale(lab: pytest.Pytester, run: Run) -> None:
    """Each of them is a test, and the waiver is of all."""
    waive(lab, {"subject": "b"})
    result = run(
        HEAD + "@pytest.mark.parametrize('name', 'abc')\n"
        "def test_door(judge, name):\n    (breached if name == 'b' else held)(judge, name)\n",
        "--k8ssec-waivers=strict",
    )
    assert result.ret == 0
    assert "waiver " not in result.stdout.str()


def test_below_a_breach_stands_what_nobody_answers_for(lab: pytest.Pytester, run: Run) -> None:
    """What is waived comes first there, and is no reason to fail."""
    waive(lab, {})
    text = run(body("breached(judge)", "breached(judge, 'gate')")).stdout.str()
    assert "test_door  breached: gate: knock" in text
    assert "breached: door" not in text
    (found,) = entries(lab.path)
    assert ["gate"] == [each["case"] for each in found["blamed"]] or not found["blamed"]


@pytest.mark.parametrize(("flag", "told_so"), [("-q", False), ("-v", True)])
def test_a_quiet_run_is_no_verbose_one(lab: pytest.Pytester, run: Run, flag: str, told_so: bool) -> None:
    """Reasons of each case are for -v."""
    lines = [f"judge.case('gate-{number}')" for number in range(12)]
    assert ("gate-11: no attack" in run(body(*lines), flag).stdout.str()) is told_so


def test_tests_without_a_judge_don_t_ask_for_controls(lab: pytest.Pytester) -> None:
    """A project's other tests are no place to complain."""
    waive(lab, {"control": "net-ingres-deny"})
    lab.makepyfile("def test_it(): pass")
    assert lab.runpytest("-p", "no:cacheprovider").ret == 0


def test_a_malformed_file_stops_at_once(lab: pytest.Pytester, run: Run) -> None:
    """Exit code 4, within two seconds, in one error without a traceback."""
    waive(lab, {"expires": "tomorrow"})
    started = time.monotonic()
    result = run(body("held(judge)"))
    assert time.monotonic() - started < 2
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: k8ssec-waivers.yaml:1: waiver 1: `expires` is not a date*", "*fix: *2027-01-31*"]
    )
    assert "Traceback" not in result.stderr.str()


def test_workers_tell_their_controller(lab: pytest.Pytester, run: Run) -> None:
    """A waiver of no control fails a run with xdist too, once."""
    waive(lab, {"control": "net-ingres-deny"}, {"expires": "2026-12-30"})
    result = run(body("breached(judge)"), "-n2")
    assert result.ret == 1
    assert result.stdout.str().count("there is no control 'net-ingres-deny'") == 1


def test_allow_is_read_and_told_in_its_new_form(lab: pytest.Pytester, run: Run) -> None:
    """What is printed is a waiver that can be read; what is no breach stays as it is."""
    lab.makepyprojecttoml("[tool.k8ssec.allow.test_door]\n'web/shop:\"8080\"' = 'public'\n'Release app' = 'known'\n")
    module = HEAD + "def test_door(judge, allowed):\n    held(judge)\n    assert len(allowed) == 2\n"
    result = run(module)
    assert result.ret == 0
    text = result.stdout.str()
    pasted = text[text.index("  [[tool.k8ssec.waiver]]") :].split("\n1 held")[0].split("\n\n")[0]
    table = tomllib.loads("\n".join(pasted.splitlines()[:6]))["tool"]["k8ssec"]
    (found,) = read_waivers(table, lab.path / "pyproject.toml")
    assert (found.control, found.subject, found.reason) == ("test_door", 'web/shop:"8080"', "public")
    assert "Release app" not in pasted


def test_a_run_without_any_says_nothing_of_them(lab: pytest.Pytester, run: Run) -> None:
    """Nor does report.json have any."""
    result = run(body("breached(judge)"))
    assert "waived" not in result.stdout.str()
    assert "[[tool.k8ssec.waiver]]" not in result.stdout.str()
    assert entries(lab.path)[0]["waived"] == []
