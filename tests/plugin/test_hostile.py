"""Names and answers that want to be more than text: whatever shows a result shows them escaped."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from pytest_k8ssec.plain import line, shown
from tests.plugin.conftest import Run

NASTY = "\x1b[2J\x1b]8;;http://evil\x07\x00\r\u202e\u2028\x9b\ud800]]><script>alert(1)</script>\nHELD  all is well"
MODULE = """
import pytest
from pytest_k8ssec.errors import ProbeError
from lab import saw, held
NASTY = %r

def test_breached(judge):
    case = judge.case(NASTY)
    case.attack(NASTY, saw("open", request=NASTY, detail=NASTY, facts={NASTY: NASTY}), through=True)
    case.positive(NASTY, saw("open", detail=NASTY), succeeded=True)
    judge.note(NASTY)
    judge.table(NASTY).put(NASTY, NASTY, saw("open"), breach=True)

def test_inconclusive(judge):
    raise ProbeError(NASTY, fix=NASTY, details=NASTY)

def test_error(judge):
    raise RuntimeError(NASTY)

def test_asserted(judge):
    held(judge)
    assert NASTY == "x"

def test_skipped(judge):
    pytest.skip(NASTY)

def test_not_applicable(judge):
    judge.not_applicable(NASTY)

@pytest.fixture
def broken():
    raise RuntimeError(NASTY)

def test_set_up(judge, broken): held(judge)

def test_mine():
    print("\\x1b[1mmine")
    assert False
"""


@pytest.mark.parametrize(
    "options", [["-v"], ["-vv", "-l", "-rA", "--tb=short"], ["--k8ssec-strict=off", "-rs", "-n", "1"]], ids=" ".join
)
def test_whatever_shows_a_result_shows_it_escaped(lab: pytest.Pytester, run: Run, options: list[str]) -> None:
    """The terminal, JUnit and report.json, also from a worker and with all that pytest can add."""
    result = run(MODULE % NASTY, "--junitxml=junit.xml", "--color=no", *options)
    output = "\n".join(result.outlines)
    for letter in ("\x00", "\r", "\u202e", "\u2028", "\x9b", "\x1b[2J", "\x1b]8"):
        assert letter not in output.replace("\x1b[1mmine", ""), repr(letter)
    assert line(NASTY)[:20] in output
    assert not [each for each in result.outlines if each.startswith("HELD  all is well")]
    raw = (lab.path / "report" / "report.json").read_text(encoding="utf-8")
    assert shown(raw) == raw
    entries = {each["test"]: each for each in json.loads(raw)["results"]}
    assert line(NASTY) == entries["test_breached"]["attacks"][0]["request"]
    assert [line(NASTY)] == entries["test_breached"]["notes"]
    assert "\n" not in entries["test_breached"]["reason"]
    assert "\x1b" not in json.dumps(entries, ensure_ascii=False)
    suite = ET.parse(lab.path / "junit.xml").getroot()
    told = [each.get("value", "") for each in suite.iter("property")]
    assert told
    for value in told:
        assert line(value) == value
    assert "\u202e" not in (lab.path / "junit.xml").read_text(encoding="utf-8")


def test_colours_of_pytest_and_what_a_test_prints_stay(run: Run) -> None:
    """Nothing of that is ours."""
    result = run(MODULE % NASTY, "--color=yes", "-k", "mine")
    output = result.stdout.str()
    assert "\x1b[1mmine" in output
    assert "\x1b[31m" in output
