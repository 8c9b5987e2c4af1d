"""One control's run, as the report has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_k8ssec.catalogue.control import Control, Snippet
from pytest_k8ssec.catalogue.severity import Severity
from pytest_k8ssec.plain import lines_of
from pytest_k8ssec.reports.json import TEXTS
from pytest_k8ssec.sabotages.phases import Phase
from pytest_k8ssec.secrecy.redact import redacted
from pytest_k8ssec.verdict import Judge, Verdict

_DOUBTS = 8
Entry = Mapping[str, Any]
"""One result, as in report.json."""


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
    changed: Mapping[str, list[str]] = field(default_factory=dict)
    """By sabotage in force: the objects that it changed."""
    waivers: tuple[Mapping[str, Any], ...] = ()
    """What became of each waiver of the control."""
    whole: bool = True
    """Whether the test came to its end: what it did not get to may be breached, too."""
    cluster: str = ""
    """The name of the cluster that was judged, "" for none."""
    place: str = ""
    """``file:line`` of a user's own test, "" of a control."""

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
        """Combine what a control says of itself with the outcome of its run."""
        if control is None:
            return cls(test, test, test, "", phase, verdict, "", seconds, reason, judge)
        mappings = {name: list(ids) for name, ids in control.mappings.items()}
        return cls(
            control.id, control.title, test, control.subject, phase, verdict, _severity(control, judge), seconds, reason, judge,
            control.remediation, mappings, control.snippets,
        )  # fmt: skip

    @property
    def missing(self) -> dict[str, list[str]]:
        """By sabotage in force: the words that the control should have named because of it, and did not."""
        return self.phase.missing(self.control, self.judge.open_attacks)

    @property
    def summary(self) -> str:
        """One line: how much was tried, and how much of it succeeded."""
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
        """The result as an entry of report.json, schema 1: redacted and safe to show."""
        entry = redacted(self._entry())
        return dict(lines_of(entry, texts=TEXTS))

    def _entry(self) -> dict[str, Any]:
        return {
            "control": self.control,
            "title": self.title,
            "test": self.test,
            "subject": self.subject,
            "cluster": self.cluster,
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
            "whole": self.whole,
            "doubts": self.judge.doubts[:_DOUBTS] if self.verdict in (Verdict.BREACHED, Verdict.WAIVED) else [],
            "attacks": [
                attack.to_json() | ({"waived": True} if number in case.waived else {})
                for case in self.judge.cases
                for number, attack in enumerate(case.attacks)
            ],
            "positives": [positive.to_json() for positive in self.judge.positives],
            "blamed": [each.to_json() for each in self.judge.blamed],
            "changed": dict(self.changed),
            "waived": [each.to_json() for each in self.judge.waived],
            "waivers": [dict(each) for each in self.waivers],
            "place": self.place,
            "notes": list(self.judge.notes),
            "coverage": self.judge.coverage.to_json(self.judge.tried),
            # Of a cluster that was broken on purpose nobody wants to see them.
            "graphs": [] if self.phase.name in ("sabotaged", "restored") else list(self.judge.graphs),
            "tables": [table.to_json() for table in self.judge.tables],
            "remediation": self.remediation,
            "snippets": [{"language": each.language, "text": each.text} for each in self.snippets],
            "mappings": self.mappings,
        }


def _severity(control: Control, judge: Judge) -> str:
    """How bad it was: as the control says, unless all that got through is less."""
    through = {each.severity for each in judge.open_attacks if each.got_through} or {
        each.severity for each in judge.attacks if each.got_through
    }
    return (
        next((each for each in Severity if each in through), control.severity)
        if "" not in through
        else control.severity
    )
