"""What a verdict means for pytest, in each phase, and how a result reads in the report."""

from __future__ import annotations

from itertools import product

import pytest

from pytest_k8ssec.catalogue.control import Sabotage
from pytest_k8ssec.evidence import Outcome as Answer
from pytest_k8ssec.plugin.pass_or_fail import PytestOutcome, expect
from pytest_k8ssec.reports.result import Result
from pytest_k8ssec.sabotages.packs import Pack
from pytest_k8ssec.sabotages.phases import Phase, PhaseName
from pytest_k8ssec.verdict import Judge, Verdict
from tests.unit.fakes import evidence

HELD, BREACHED, INCONCLUSIVE, NOT_APPLICABLE, WAIVED = Verdict
PASSED, FAILED, SKIPPED = PytestOutcome

LENIENCY = list(product((True, False), (None, "why")))

SABOTAGE = Sabotage(
    "open-door",
    "The door stands open",
    kills=frozenset({"net-door", "net-window"}),
    blinds=frozenset({"net-cellar"}),
    owner="net-door",
)


@pytest.mark.parametrize("phase", [None, "intact", "restored"])
@pytest.mark.parametrize(
    ("verdict", "strict", "declared", "expected", "headline"),
    [
        *((HELD, strict, declared, PASSED, "HELD") for strict in (True, False) for declared in (None, "why")),
        *((BREACHED, strict, declared, FAILED, "BREACHED") for strict in (True, False) for declared in (None, "why")),
        (INCONCLUSIVE, True, None, FAILED, "INCONCLUSIVE"),
        (INCONCLUSIVE, False, None, FAILED, "INCONCLUSIVE"),
        (INCONCLUSIVE, False, "why", FAILED, "INCONCLUSIVE"),
        (NOT_APPLICABLE, True, None, FAILED, "NOT-APPLICABLE"),
        (NOT_APPLICABLE, False, None, SKIPPED, "not-applicable"),
        (NOT_APPLICABLE, True, "why", SKIPPED, "not-applicable (declared: why)"),
        (NOT_APPLICABLE, False, "why", SKIPPED, "not-applicable (declared: why)"),
    ],
)
def test_without_a_sabotage_in_force_only_held_passes(
    phase: PhaseName | None,
    verdict: Verdict,
    strict: bool,
    declared: str | None,
    expected: PytestOutcome,
    headline: str,
) -> None:
    """A plain run, and what is before and after a sabotage, pass if held; not-applicable fails unless declared."""
    sabotage = SABOTAGE if phase == "restored" else None
    found = expect(
        "net-door", Phase(phase, Pack.alone(sabotage) if sabotage else None), verdict, strict=strict, declared=declared
    )
    assert (expected, headline) == (found.outcome, found.headline)


@pytest.mark.parametrize("control", ["net-door", "net-window"])
@pytest.mark.parametrize(("strict", "declared"), LENIENCY)
@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_sabotage_must_breach_what_it_is_said_to_kill(
    control: str, strict: bool, declared: str | None, verdict: Verdict
) -> None:
    """Under sabotage nothing but breached passes, and no declaration and no leniency excuses a survivor."""
    found = expect(control, Phase("sabotaged", Pack.alone(SABOTAGE)), verdict, strict=strict, declared=declared)
    if verdict is BREACHED:
        assert (PASSED, "KILLED") == (found.outcome, found.headline)
    else:
        assert FAILED == found.outcome
        assert (
            f"SURVIVED: {control} did not notice the sabotage 'open-door': {verdict}, expected breached"
            == found.headline
        )


@pytest.mark.parametrize(("strict", "declared"), LENIENCY)
@pytest.mark.parametrize(
    ("verdict", "expected", "headline"),
    [
        (HELD, FAILED, "UNEARNED: under the sabotage 'open-door' net-cellar can't tell, and says held"),
        (WAIVED, FAILED, "UNEARNED: under the sabotage 'open-door' net-cellar can't tell, and says waived"),
        (BREACHED, FAILED, "UNEXPECTED KILL: the sabotage 'open-door' breached net-cellar too"),
        (INCONCLUSIVE, PASSED, "inconclusive, as expected"),
        (NOT_APPLICABLE, PASSED, "not-applicable, as expected"),
    ],
)
def test_a_blinded_control_must_not_say_held(
    strict: bool, declared: str | None, verdict: Verdict, expected: PytestOutcome, headline: str
) -> None:
    """Where a sabotage takes away what a control needs to see, held would be unearned."""
    phase = Phase("sabotaged", Pack.alone(SABOTAGE), bystander=True)
    found = expect("net-cellar", phase, verdict, strict=strict, declared=declared)
    assert (expected, headline) == (found.outcome, found.headline)


@pytest.mark.parametrize(
    ("verdict", "strict", "declared", "expected", "headline"),
    [
        (HELD, True, None, PASSED, "UNMOVED"),
        (HELD, False, "why", PASSED, "UNMOVED"),
        (BREACHED, True, None, FAILED, "UNEXPECTED KILL: the sabotage 'open-door' breached net-roof too"),
        (BREACHED, False, "why", FAILED, "UNEXPECTED KILL: the sabotage 'open-door' breached net-roof too"),
        (WAIVED, True, None, PASSED, "UNMOVED"),
        (INCONCLUSIVE, True, None, FAILED, "INCONCLUSIVE beside the sabotage 'open-door', expected held"),
        (INCONCLUSIVE, False, "why", FAILED, "INCONCLUSIVE beside the sabotage 'open-door', expected held"),
        (NOT_APPLICABLE, True, None, FAILED, "NOT-APPLICABLE beside the sabotage 'open-door', expected held"),
        (NOT_APPLICABLE, False, None, SKIPPED, "not-applicable"),
        (NOT_APPLICABLE, True, "why", SKIPPED, "not-applicable (declared: why)"),
    ],
)
def test_a_bystander_must_hold(
    verdict: Verdict, strict: bool, declared: str | None, expected: PytestOutcome, headline: str
) -> None:
    """A control that a sabotage is not said to move must hold beside it."""
    phase = Phase("sabotaged", Pack.alone(SABOTAGE), bystander=True)
    found = expect("net-roof", phase, verdict, strict=strict, declared=declared)
    assert (expected, headline) == (found.outcome, found.headline)


@pytest.mark.parametrize(
    ("through", "headline"),
    [
        (["the front door", "the back door"], "KILLED"),
        (["the front door"], "SURVIVED: net-door is breached, but 'b' should have made it name back*oor"),
        (
            [],
            "SURVIVED: net-door is breached, but 'a' should have made it name front; 'b' should have made it name back*oor",
        ),
    ],
)
def test_of_several_sabotages_each_must_be_named(through: list[str], headline: str) -> None:
    """In an attack that got through: that one of them was noticed says nothing of the other."""
    members = [
        Sabotage(name, name, frozenset({"net-door"}), frozenset(), owner="net-door", shows={"net-door": (words,)})
        for name, words in (("a", "front"), ("b", "back*oor"))
    ]
    phase, judge = Phase("sabotaged", Pack("both", tuple(members))), Judge()
    for what in ("the front door", "the back door", "the cellar door"):
        judge.case("house").attack(what, evidence(Answer.OPEN), through=what in (*through, "the cellar door"))
    missing = phase.missing("net-door", judge.attacks)
    found = expect("net-door", phase, BREACHED, strict=True, missing=missing)
    assert (headline, headline == "KILLED") == (found.headline, found.outcome is PASSED)
    assert {} == Phase("restored", phase.pack).missing("net-door", judge.attacks)
    assert "both" == phase.sabotage("net-door") == phase.sabotage("net-roof")


@pytest.mark.parametrize(
    ("name", "active"), [(None, None), ("intact", None), ("restored", None), ("sabotaged", SABOTAGE)]
)
def test_a_sabotage_is_in_force_only_while_sabotaged(name: PhaseName | None, active: Sabotage | None) -> None:
    """Only the phase of that name runs under the sabotage."""
    pack = Phase(name, Pack.alone(SABOTAGE)).active
    assert active == (pack and pack.members[0])


def result(judge: Judge, reason: str = "") -> Result:
    """A result of a user's own test."""
    return Result(
        "test_x",
        "test_x",
        "test_x[a]",
        "",
        Phase("sabotaged", Pack.alone(SABOTAGE)),
        judge.verdict()[0],
        "",
        1.23456,
        reason,
        judge,
    )


def test_the_summary_counts_what_was_tried_and_what_came_of_it() -> None:
    """Attacks, targets and positive controls are counted, those that got through and those that were shown."""
    judge = Judge()
    for through in (True, False, None):
        judge.case(f"port {through}").attack("connect", evidence(Answer.OPEN), through=through)
    for succeeded in (True, False):
        judge.cases[0].positive("it listens", evidence(Answer.OPEN), succeeded=succeeded)
    assert "3 attacks on 3 targets, 1 got through; 1 of 2 positive controls succeeded" == result(judge).summary


def test_without_any_record_the_summary_is_the_reason() -> None:
    """Where nothing was tried the first line of the reason says why."""
    assert "no docker daemon answers" == result(Judge(), "no docker daemon answers\n  fix: start it").summary


def test_a_result_is_an_entry_of_the_report() -> None:
    """Phase, sabotage, verdict, notes and numbers are told as schema 1 has them."""
    judge = Judge()
    judge.note("enforced after 20 ms")
    entry = result(judge, "because").to_json()
    assert {
        "control": "test_x",
        "title": "test_x",
        "test": "test_x[a]",
        "subject": "",
        "cluster": "",
        "place": "",
        "whole": True,
        "doubts": [],
        "phase": "sabotaged",
        "sabotage": "open-door",
        "bystander": False,
        "sabotages": [],
        "own_sabotages": [],
        "missing": {},
        "pack": "open-door",
        "expected": "held",
        "verdict": "inconclusive",
        "severity": "",
        "seconds": 1.235,
        "summary": "because",
        "reason": "because",
        "attacks": [],
        "positives": [],
        "blamed": [],
        "changed": {},
        "waived": [],
        "waivers": [],
        "notes": ["enforced after 20 ms"],
        "graphs": [],
        "tables": [],
        "coverage": None,
        "remediation": "",
        "snippets": [],
        "mappings": {},
    } == entry
