"""One control's run as the report has it, and what that run's verdict means for pytest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Literal

from pytest_k8ssec.control import Control, Snippet
from pytest_k8ssec.packs import Pack
from pytest_k8ssec.plain import lines_of
from pytest_k8ssec.reports.json import TEXTS
from pytest_k8ssec.secrecy.redact import redacted
from pytest_k8ssec.verdict import Attack, Judge, Verdict

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


class Outcome(StrEnum):
    """What a verdict, in its phase, means for pytest."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Expectation:
    """Outcome and one line that says why."""

    outcome: Outcome
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
        return Expectation(Outcome.SKIPPED, f"not-applicable{f' (declared: {declared})' if declared else ''}")
    passed = verdict is Verdict.HELD
    return Expectation(Outcome.PASSED if passed else Outcome.FAILED, verdict.upper())


def _under_sabotage(
    control_id: str, phase: Phase, verdict: Verdict, missing: Mapping[str, Sequence[str]]
) -> Expectation:
    name, expected = f"the sabotage {phase.sabotage(control_id)!r}", phase.expected(control_id)
    touching = expected is not Verdict.HELD
    if expected is Verdict.BREACHED:
        if verdict is Verdict.BREACHED and missing:
            told = "; ".join(f"{each!r} should have made it name {', '.join(words)}" for each, words in missing.items())
            return Expectation(Outcome.FAILED, f"SURVIVED: {control_id} is breached, but {told}")
        if verdict is Verdict.BREACHED:
            return Expectation(Outcome.PASSED, "KILLED")
        return Expectation(
            Outcome.FAILED,
            f"SURVIVED: {control_id} did not notice {name}: {verdict}, expected breached",
        )
    if verdict is Verdict.BREACHED:
        return Expectation(Outcome.FAILED, f"UNEXPECTED KILL: {name} breached {control_id} too")
    if touching and verdict is Verdict.HELD:
        return Expectation(Outcome.FAILED, f"UNEARNED: under {name} {control_id} can't tell, and says held")
    if verdict is not Verdict.HELD and not touching:
        return Expectation(Outcome.FAILED, f"{verdict.upper()} beside {name}, expected held")
    return Expectation(Outcome.PASSED, f"{verdict}, as expected" if touching else "UNMOVED")


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run of one control, or of a user's own test with ``judge``."""

    control: str
    title: str
    test: str
    subject: str
    phase: Phase
    verdict: Verdict
    severity: str
    seconds: float
    reason: str
    judge: Judge
    remediation: str = ""
    mappings: dict[str, list[str]] = field(default_factory=dict)
    snippets: tuple[Snippet, ...] = ()

    @classmethod
    def of(
        cls,
        control: Control | None,
        test: str,
        phase: Phase,
        verdict: Verdict,
        reason: str,
        seconds: float,
        judge: Judge,
    ) -> Result:
        """Put together what the control says of itself and what came of it."""
        if control is None:
            return cls(test, test, test, "", phase, verdict, "", seconds, reason, judge)
        mappings = {name: list(ids) for name, ids in control.mappings.items()}
        return cls(
            control.id, control.title, test, control.subject, phase, verdict, control.severity, seconds, reason, judge,
            control.remediation, mappings, control.snippets,
        )  # fmt: skip

    @property
    def missing(self) -> dict[str, list[str]]:
        """What the sabotages in force should have made it name, and it did not, by sabotage."""
        return self.phase.missing(self.control, self.judge.attacks)

    @property
    def summary(self) -> str:
        """One line: how much was tried, and what came of it."""
        attacks, positives = self.judge.attacks, self.judge.positives
        through = sum(attack.through is True for attack in attacks)
        shown = sum(positive.succeeded is True for positive in positives)
        if not attacks and not positives:
            return self.reason.partition("\n")[0]
        return (
            f"{len(attacks)} attacks on {len(self.judge.cases)} targets, {through} got through; "
            f"{shown} of {len(positives)} positive controls succeeded"
        )

    def to_json(self) -> dict[str, Any]:
        """The result as an entry of report.json, schema 1: redacted and safe to show, for whoever shows it."""
        entry = redacted(self._entry())
        return dict(lines_of(entry, texts=TEXTS))

    def _entry(self) -> dict[str, Any]:
        return {
            "control": self.control,
            "title": self.title,
            "test": self.test,
            "subject": self.subject,
            "phase": self.phase.name,
            "sabotage": self.phase.sabotage(self.control),
            "bystander": self.phase.bystander,
            "sabotages": [each.name for each in self.phase.pack.touching(self.control)] if self.phase.pack else [],
            "own_sabotages": [each.name for each in self.phase.pack.made_for(self.control)] if self.phase.pack else [],
            "missing": self.missing,
            "pack": self.phase.pack.name if self.phase.pack else None,
            "expected": str(self.phase.expected(self.control)),
            "verdict": str(self.verdict),
            "severity": str(self.severity),
            "seconds": round(self.seconds, 3),
            "summary": self.summary,
            "reason": self.reason,
            "attacks": [attack.to_json() for attack in self.judge.attacks],
            "positives": [positive.to_json() for positive in self.judge.positives],
            "notes": list(self.judge.notes),
            "tables": [table.to_json() for table in self.judge.tables],
            "remediation": self.remediation,
            "snippets": [{"language": each.language, "text": each.text} for each in self.snippets],
            "mappings": self.mappings,
        }
