"""Waivers hide no sabotage: what is breached beyond what was waived on the intact cluster is noticed, whatever matches it."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from pytest_k8ssec.plugin.waiving import told
from tests.plugin.conftest import Run
from tests.plugin.test_sabotage import RESUMED, outcomes, world
from tests.plugin.test_sabotage import told as verdicts

EVERYTHING = {"control": "net-door", "subject": "*", "reason": "known", "owner": "team", "expires": "2999-12-31"}
TWO = """
def look(judge, name):
    for one, through in (("old", name == "door" and OLD), (name, WORLD[name])):
        case = judge.case(f"web/{one}-857599f47-5ft6x at 10.0.0.{len(EVENTS)}:80")
        case.attack("push", saw("open" if through else "refused"), through=through)
        case.positive("there", saw("open"), succeeded=True)


@control("""
"""Its first case, ``old``, is breached from the beginning; names of pods and addresses are others in each state."""


@pytest.fixture(autouse=True)
def that_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run is on one day."""
    monkeypatch.setattr(told, "today", lambda: dt.date(2026, 6, 1))


def module(*, old: bool = True, **more: str) -> str:
    """Two controls of two cases each, and a sabotage."""
    made = world(**more)  # type: ignore[arg-type]  # options of several types, by name
    begin, _, rest = made.partition("def look(judge, name):")
    return f"{begin}OLD = {old}\n{TWO.strip().removesuffix('@control(')}@control({rest.partition('@control(')[2]}"


def waive(lab: pytest.Pytester, *entries: dict[str, str]) -> None:
    """Write waivers."""
    (lab.path / "k8ssec-waivers.yaml").write_text(json.dumps({"waivers": [{**EVERYTHING, **each} for each in entries]}))


@pytest.mark.parametrize("subject", ["*", "web/old-*"])
def test_what_a_glob_happens_to_match_is_noticed(lab: pytest.Pytester, run: Run, subject: str) -> None:
    """And what was waived is waived again, not held."""
    waive(lab, {"subject": subject})
    result = run(module(), "--k8ssec-sabotage", "-v")
    assert pytest.ExitCode.OK == result.ret
    found = {name: verdict for name, (verdict, _) in verdicts(lab).items()}
    assert found["test_net_door[intact]"] == "waived"
    assert found["test_net_door[sabotaged]"] == "breached"
    assert found["test_net_door[restored]"] == "waived"
    result.stdout.fnmatch_lines(["unlock *net-door *waived -> breached -> waived"])
    (entry,) = [
        each
        for each in json.loads((lab.path / "report" / "report.json").read_text())["results"]
        if each["phase"] == "sabotaged" and each["control"] == "net-door"
    ]
    assert [each["case"].partition("-")[0] for each in entry["waived"]] == ["web/old"]
    assert entry["reason"].startswith("web/door-")


def test_what_was_waived_before_is_not_noticing(lab: pytest.Pytester, run: Run) -> None:
    """A sabotage that breaks nothing survives, though its control has a breach."""
    waive(lab, {})
    result = run(module(breaking="pass"), "--k8ssec-sabotage", "-v")
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    result.stdout.fnmatch_lines(["SURVIVED: net-door did not notice the sabotage 'unlock': waived, expected breached*"])


def test_an_unused_glob_hides_no_sabotage(lab: pytest.Pytester, run: Run) -> None:
    """Nothing is waived on the intact cluster, so nothing is under the sabotage."""
    waive(lab, {})
    result = run(module(old=False), "--k8ssec-sabotage", "-v")
    assert pytest.ExitCode.OK == result.ret
    assert "BREACHED, as expected" == outcomes(result)["test_net_door[sabotaged]"]
    result.stdout.fnmatch_lines(["unlock *net-door *held -> breached -> held"])


def test_a_bystander_that_is_breached_is_not_waived(lab: pytest.Pytester, run: Run) -> None:
    """A glob of its own does not make an unexpected kill expected."""
    waive(lab, {}, {"control": "net-window"})
    result = run(module(breaking="WORLD.update(door=True, window=True)"), "--k8ssec-sabotage")
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    result.stdout.fnmatch_lines(["UNEXPECTED KILL: the sabotage 'unlock' breached net-window too*"])


def test_a_cluster_that_stays_broken_is_not_waived(lab: pytest.Pytester, run: Run) -> None:
    """After a sabotage was undone, only what was waived before it is waived."""
    waive(lab, {})
    result = run(module(undoing="WORLD.update(door=True)"), "--k8ssec-sabotage", "-v")
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    assert "BREACHED" == outcomes(result)["test_net_door[restored]"]


def test_a_resumed_run_knows_what_was_waived(lab: pytest.Pytester, run: Run) -> None:
    """From the results of the interrupted one; other waivers are another run."""
    waive(lab, {})
    lab.makepyfile(test_it=module(breaking="raise KeyboardInterrupt"))
    assert pytest.ExitCode.INTERRUPTED == lab.runpytest_subprocess("--k8ssec-report=report", *RESUMED).ret
    result = run(module(), *RESUMED)
    assert pytest.ExitCode.OK == result.ret
    assert "test_net_door[intact]" not in outcomes(result)
    assert verdicts(lab)["test_net_door[restored]"][0] == "waived"
    lab.makepyfile(test_it=module(breaking="raise KeyboardInterrupt"))
    assert pytest.ExitCode.INTERRUPTED == lab.runpytest_subprocess("--k8ssec-report=report", *RESUMED).ret
    waive(lab, {"subject": "web/old*"})
    assert "test_net_door[intact]" in outcomes(run(module(), *RESUMED))
