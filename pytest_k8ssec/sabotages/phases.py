"""The phases of a control, and what decides whether a verdict passes, fails or skips a test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Literal

from pytest_k8ssec.sabotages.packs import Pack
from pytest_k8ssec.verdict import Attack, Verdict

PhaseName = Literal["intact", "sabotaged", "restored"]


@dataclass(frozen=True, slots=True)
class Phase:
    """In which state of the cluster a control runs; the default is the plain run, without any sabotage."""

    name: PhaseName | None = None
    pack: Pack | None = None
    bystander: bool = False
    """Whether all of the pack's sabotages belong to other controls."""

    @property
    def active(self) -> Pack | None:
        """The sabotages that are in force."""
        return self.pack if self.name == "sabotaged" else None

    def sabotage(self, control_id: str) -> str | None:
        """Name of the sabotage that touches a control; of the whole pack where none does, or several do."""
        if self.pack is None:
            return None
        touching = self.pack.touching(control_id)
        return (touching[0] if len(touching) == 1 else self.pack).name

    def expected(self, control_id: str) -> Verdict:
        """The verdict that it asks of a control."""
        touching = self.active.touching(control_id) if self.active else ()
        if not touching:
            return Verdict.HELD
        return Verdict.BREACHED if control_id in touching[0].kills else Verdict.INCONCLUSIVE

    def missing(self, control_id: str, attacks: Iterable[Attack]) -> dict[str, list[str]]:
        """What the sabotages in force should have made a control name, and it did not, by sabotage."""
        said = [attack.what for attack in attacks if attack.got_through]
        found = {
            each.name: [
                words
                for words in each.shows.get(control_id, ())
                if not any(fnmatchcase(one, f"*{words}*") for one in said)
            ]
            for each in (self.active.touching(control_id) if self.active else ())
        }
        return {name: words for name, words in found.items() if words}


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
) -> Expectation:
    """What a verdict means.

    Args:
        control_id: whose verdict it is.
        strict: whether not-applicable fails.
        declared: the reason why this control may be not-applicable although strict, None where it was not declared.
        missing: what sabotages in force should have made it name, and did not.
    """
    pack = phase.active
    excused = verdict is Verdict.NOT_APPLICABLE and (not strict or declared is not None)
    if pack is not None and not (excused and not pack.touching(control_id)):
        return _under_sabotage(control_id, phase, verdict, missing or {})
    if excused:
        return Expectation(PytestOutcome.SKIPPED, f"not-applicable{f' (declared: {declared})' if declared else ''}")
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
    if touching and verdict is Verdict.HELD:
        return Expectation(PytestOutcome.FAILED, f"UNEARNED: under {name} {control_id} can't tell, and says held")
    if verdict is not Verdict.HELD and not touching:
        return Expectation(PytestOutcome.FAILED, f"{verdict.upper()} beside {name}, expected held")
    return Expectation(PytestOutcome.PASSED, f"{verdict}, as expected" if touching else "UNMOVED")
