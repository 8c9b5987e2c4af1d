"""A verdict, turned into pytest's outcome: passed, failed or skipped, plainly and under a sabotage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pytest_k8ssec.sabotages.phases import Phase
from pytest_k8ssec.verdict import Verdict


class PytestOutcome(StrEnum):
    """What a verdict, in its phase, means for pytest."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Expectation:
    """Outcome and one line that says why."""

    outcome: PytestOutcome
    headline: str


def expect(
    control_id: str,
    phase: Phase,
    verdict: Verdict,
    *,
    strict: bool,
    declared: str | None = None,
    missing: Mapping[str, Sequence[str]] | None = None,
    tolerated: str = "",
) -> Expectation:
    """What a verdict means.

    Args:
        control_id: whose verdict it is.
        strict: whether not-applicable fails.
        declared: the reason why this control may be not-applicable although strict, None where it was not declared.
        missing: what sabotages in force should have made it name, and did not.
        tolerated: why a breach does not fail the run, "" where it does.
    """
    pack = phase.active
    excused = verdict is Verdict.NOT_APPLICABLE and (not strict or declared is not None)
    if pack is not None and not (excused and not pack.touching(control_id)):
        return _under_sabotage(control_id, phase, verdict, missing or {})
    if excused:
        return Expectation(PytestOutcome.SKIPPED, f"not-applicable{f' (declared: {declared})' if declared else ''}")
    if verdict is Verdict.WAIVED:
        return Expectation(PytestOutcome.SKIPPED, "WAIVED: breached, and somebody answers for all of it")
    if verdict is Verdict.BREACHED and tolerated:
        return Expectation(PytestOutcome.SKIPPED, f"BREACHED, and not failed: {tolerated}")
    passed = verdict is Verdict.HELD
    return Expectation(PytestOutcome.PASSED if passed else PytestOutcome.FAILED, verdict.upper())


def _under_sabotage(
    control_id: str, phase: Phase, verdict: Verdict, missing: Mapping[str, Sequence[str]]
) -> Expectation:
    name, expected = f"the sabotage {phase.sabotage(control_id)!r}", phase.expected(control_id)
    touching = expected is not Verdict.HELD
    if expected is Verdict.BREACHED:
        if verdict is Verdict.BREACHED and missing:
            told = "; ".join(f"{each!r} should have made it name {', '.join(words)}" for each, words in missing.items())
            return Expectation(PytestOutcome.FAILED, f"SURVIVED: {control_id} is breached, but {told}")
        if verdict is Verdict.BREACHED:
            return Expectation(PytestOutcome.PASSED, "KILLED")
        return Expectation(
            PytestOutcome.FAILED,
            f"SURVIVED: {control_id} did not notice {name}: {verdict}, expected breached",
        )
    if verdict is Verdict.BREACHED:
        return Expectation(PytestOutcome.FAILED, f"UNEXPECTED KILL: {name} breached {control_id} too")
    stands = verdict in (Verdict.HELD, Verdict.WAIVED)  # waived is only what was so on the intact cluster
    if touching and stands:
        return Expectation(PytestOutcome.FAILED, f"UNEARNED: under {name} {control_id} can't tell, and says {verdict}")
    if not stands and not touching:
        return Expectation(PytestOutcome.FAILED, f"{verdict.upper()} beside {name}, expected held")
    return Expectation(PytestOutcome.PASSED, f"{verdict}, as expected" if touching else "UNMOVED")
