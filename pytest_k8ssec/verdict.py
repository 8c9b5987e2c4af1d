"""The judge: turns recorded attacks and positive controls into a verdict. *Held* has to be earned.

A *case* is one thing that can be attacked: an address, a service account, a namespace. It holds the attacks that were
made on it and the positive controls which show that those attacks would have been seen to succeed. The rules:

- one attack that got through: the case is **breached**;
- an attack or a positive control whose outcome is unknown, an attack without a positive control, or a positive control
  that failed: the case is **inconclusive**;
- every attack was stopped and every positive control succeeded: the case **held**.

Whatever got through in a breached case may be *waived*: somebody answers for it, until some day. Then the case is **waived**, which
is neither held nor a failure; but what else is unknown in it leaves it inconclusive.

An optional case whose positive control failed beyond doubt is left out, unless it is breached. An optional case whose
positive control is missing or unknown is not left out. The test's verdict is the worst of its cases (breached, then
inconclusive, then waived, then held). No case at all is inconclusive, unless the control said that there is nothing to attack: then
it is not-applicable. What exists and no attack tried (see :mod:`pytest_k8ssec.coverage`) is inconclusive too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from pytest_k8ssec.coverage import Combination, Coverage, combination
from pytest_k8ssec.evidence import JSON, Evidence
from pytest_k8ssec.evidence.causes import Blame, Cause
from pytest_k8ssec.plain import line


class Verdict(StrEnum):
    """The result of a control's run."""

    HELD = "held"
    BREACHED = "breached"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not-applicable"
    WAIVED = "waived"
    """Breached, and somebody answers for each breach."""


_MARKS = {True: " !", False: "", None: " ?"}
At = Mapping[str, object] | Sequence[Mapping[str, object]]
"""A combination of values by dimension, or several."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack: did it get through? None where that can't be told."""

    case: str
    what: str
    evidence: Evidence
    through: bool | None
    severity: str = ""
    """How bad it is if it gets through, where that is less than what its control says of a breach; else ""."""
    tries: tuple[Combination, ...] = ()
    """The combinations of its control's dimensions that it tries."""
    causes: tuple[Cause, ...] = ()
    """What may have let it through, should it have got through; nobody asks before."""
    used: tuple[tuple[str, ...], ...] = ()
    """Each thing that it used, by the names that this has: a waiver of the attack alone has to be one of each."""

    @property
    def got_through(self) -> bool:
        """Whether it succeeded beyond doubt."""
        return self.through is True and not self.evidence.broken

    @property
    def stopped(self) -> bool:
        """Whether it failed beyond doubt."""
        return self.through is False and not self.evidence.broken

    def to_json(self) -> dict[str, JSON]:
        """JSON-compatible form for the report."""
        more: dict[str, JSON] = {"severity": self.severity} if self.severity else {}
        if self.used:
            more["used"] = [list(names) for names in self.used]
        return {"case": self.case, "what": self.what, "through": self.through, **more, **self.evidence.to_json()}


@dataclass(frozen=True, slots=True)
class Positive:
    """One positive control: did what must succeed succeed? None where that can't be told."""

    case: str
    what: str
    evidence: Evidence
    succeeded: bool | None

    @property
    def shown(self) -> bool:
        """Whether it succeeded beyond doubt."""
        return self.succeeded is True and not self.evidence.broken

    @property
    def refuted(self) -> bool:
        """Whether it failed beyond doubt."""
        return self.succeeded is False and not self.evidence.broken

    def to_json(self) -> dict[str, JSON]:
        """JSON-compatible form for the report."""
        return {"case": self.case, "what": self.what, "succeeded": self.succeeded, **self.evidence.to_json()}


@dataclass(frozen=True, slots=True)
class Waived:
    """One attack that got through, and who answers for that."""

    case: str
    attack: str
    subject: str
    """As it is waived."""
    reason: str
    owner: str
    expires: str
    ticket: str
    place: str
    """Where the waiver is written."""
    lasting: str = ""
    """The same for the same breach on another cluster."""

    def __str__(self) -> str:
        ticket = f", {self.ticket}" if self.ticket else ""
        return f"{self.case}: {self.attack}: waived until {self.expires}: {self.reason} ({self.owner}{ticket})"

    def to_json(self) -> dict[str, JSON]:
        """JSON-compatible form for the report."""
        return asdict(self)


@dataclass(slots=True)
class Case:
    """One thing that can be attacked. Made by :meth:`Judge.case`."""

    name: str
    required: bool
    causes: tuple[Cause, ...] = ()
    """What may let any of its attacks through that says nothing of that itself."""
    attacks: list[Attack] = field(default_factory=list)
    positives: list[Positive] = field(default_factory=list)
    subjects: tuple[str, ...] = ()
    """Further names by which it may be waived, besides those that can be told from its own."""
    waived: dict[int, tuple[Waived, ...]] = field(default_factory=dict)
    """By number of an attack that got through: who answers for it."""

    def attack(
        self,
        what: str,
        evidence: Evidence,
        *,
        through: bool | None,
        severity: str = "",
        at: At = (),
        cause: Cause | Sequence[Cause] = (),
        used: Sequence[Sequence[str]] = (),
    ) -> None:
        """Record an attack.

        Args:
            what: what was tried, in a few words.
            evidence: what was sent and what came back. Evidence of a probe that failed by itself
                (``Outcome.ERROR``) makes the attack's outcome unknown, whatever ``through`` says.
            through: whether the attacker got what it wanted; None where that can't be told.
            severity: how bad that is, where it is less than what the control says of a breach.
            at: the combination that it tries, a value for each of the control's dimensions; or several that one attack
                tries at once.
            cause: what may have let it through, should it have; else that of the case counts, then that of the evidence.
            used: each thing that it uses, by the names that this has, where it can be waived by itself.
        """
        tries = tuple(combination(each) for each in ([at] if isinstance(at, Mapping) else at))
        given = tuple(cause) if isinstance(cause, Sequence) else (cause,)
        causes = (
            given or self.causes or ((evidence.cause,) if isinstance(evidence, Evidence) and evidence.cause else ())
        )
        outcome = _outcome("through", through, evidence)
        things = tuple(_names("used", each) for each in used)
        self.attacks.append(Attack(self.name, str(what), evidence, outcome, severity, tries, causes, things))

    def positive(self, what: str, evidence: Evidence, *, succeeded: bool | None) -> None:
        """Record a positive control: proof that the attacks of this case would have been noticed.

        Args:
            what: what was shown, in a few words.
            evidence: as for :meth:`attack`.
            succeeded: whether it was shown; None where that can't be told.
        """
        self.positives.append(Positive(self.name, what, evidence, _outcome("succeeded", succeeded, evidence)))

    @property
    def open_attacks(self) -> list[Attack]:
        """Those that nobody answers for."""
        return [attack for number, attack in enumerate(self.attacks) if number not in self.waived]

    @property
    def counts(self) -> bool:
        """Whether it counts for the verdict: not if it is optional, was shown to be no target, and was not breached."""
        if self.required or any(attack.got_through for attack in self.attacks):
            return True
        return not any(positive.refuted for positive in self.positives)

    def verdict(self) -> tuple[Verdict, str]:
        """The case's verdict and the reason for it, "" where it held or is waived."""
        for attack in self.open_attacks:
            if attack.got_through:
                return Verdict.BREACHED, f"{self.name}: {attack.what}: {attack.evidence}"
        if doubt := self.doubt():
            return Verdict.INCONCLUSIVE, doubt
        return (Verdict.WAIVED if self.waived else Verdict.HELD), ""

    def doubt(self) -> str:
        """What is not known of it, whatever got through; "" for nothing."""
        if not self.attacks:
            return f"{self.name}: no attack was recorded"
        rest = [attack for attack in self.attacks if not attack.got_through]
        if not rest:
            return ""
        if not self.positives:
            return f"{self.name}: no positive control was recorded"
        for positive in self.positives:
            if not positive.shown:
                return f"{self.name}: positive control failed: {positive.what}: {positive.evidence}"
        for attack in rest:
            if not attack.stopped:
                return f"{self.name}: could not tell: {attack.what}: {attack.evidence}"
        return ""


@dataclass(slots=True)
class Table:
    """Answers by row and column, to be seen all at once; no verdict depends on it. Made by :meth:`Judge.table`."""

    title: str
    cells: dict[tuple[str, str], str] = field(default_factory=dict)
    """What was answered, by row and column; ``!`` after a breach, ``?`` after what can't be told."""

    def put(self, row: str, column: str, evidence: Evidence, *, breach: bool | None) -> None:
        """Enter an answer.

        Args:
            breach: as ``through`` of :meth:`Case.attack`; False also for what is open on purpose.
        """
        said = str(evidence.outcome if evidence.status is None else evidence.status)
        self.cells[row, column] = said + _MARKS[_outcome("breach", breach, evidence)]

    def to_json(self) -> dict[str, JSON]:
        """JSON-compatible form for the report: rows and columns in the order in which they came, "" where nothing is."""
        rows = dict.fromkeys(row for row, _ in self.cells)
        columns = list(dict.fromkeys(column for _, column in self.cells))
        return {
            "title": self.title,
            "columns": columns,
            "rows": [{"row": row, "cells": [self.cells.get((row, each), "") for each in columns]} for row in rows],
        }


class Judge:
    """Where one test records what it did; the plugin asks it for the verdict at the end.

    A control never says "held": it records, and the verdict follows.

    Args:
        dimensions: those that the control declared, so that it has to say what there is to try in them.
    """

    def __init__(self, dimensions: Sequence[str] = ()) -> None:
        self.cases: list[Case] = []
        self.coverage = Coverage(tuple(dimensions))
        self._nothing = ""
        self._notes: list[str] = []
        self._tables: dict[str, Table] = {}
        self.graphs: list[Mapping[str, JSON]] = []
        """What was found out as graphs, in the node-link form; no verdict depends on them."""
        self.blamed: tuple[Blame, ...] = ()
        """Who is to blame for the breaches, once that was found out."""

    def case(
        self, name: str, *, required: bool = True, causes: Sequence[Cause] = (), subjects: Sequence[str] = ()
    ) -> Case:
        """A new case for one thing to attack.

        Args:
            name: what is attacked, as the report shall name it.
            required: False for one of several equivalent places where a failed positive control is evidence only
                (a port that nothing listens on). At least one case must still be proven, and a case whose positive
                control is missing or unknown still counts.
            causes: what may let its attacks through, should one get through.
            subjects: further names by which it may be waived. ``web/shop`` of ``Deployment web/shop, container app`` is one
                without being said.
        """
        made = Case(str(name), required, tuple(causes), subjects=_names("subjects", subjects))
        self.cases.append(made)
        return made

    def not_applicable(self, reason: str) -> None:
        """Say that there is nothing to attack, or no access to do it. This counts only if there is no case."""
        self._nothing = reason

    def note(self, text: str) -> None:
        """Add a line to the report; no verdict depends on it."""
        self._notes.append(text)

    def table(self, title: str) -> Table:
        """The table of that title, made if there is none. It is shown with the result, and stands in report.json."""
        return self._tables.setdefault(title, Table(title))

    def take_over(self, other: Judge) -> None:
        """Have what another one recorded, instead of what was recorded here."""
        self.cases, self.coverage = other.cases, other.coverage
        self._nothing, self._notes, self._tables = other._nothing, other._notes, other._tables
        self.graphs = other.graphs

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables so far that hold something."""
        return tuple(table for table in self._tables.values() if table.cells)

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes so far."""
        return tuple(self._notes)

    @property
    def attacks(self) -> list[Attack]:
        """All attacks of all cases."""
        return [attack for case in self.cases for attack in case.attacks]

    @property
    def open_attacks(self) -> list[Attack]:
        """All attacks of all cases, but those that got through and that somebody answers for."""
        return [attack for case in self.cases for attack in case.open_attacks]

    @property
    def waived(self) -> tuple[Waived, ...]:
        """Each attack that got through and that somebody answers for."""
        return tuple(each for case in self.cases for found in case.waived.values() for each in found)

    def breaches(self, blames: tuple[type, ...]) -> list[tuple[str, str, tuple[Cause, ...]]]:
        """Each breached case, what got through first in it, and what may have let through whatever did.

        Of what is waived only where nothing else is breached.

        Args:
            blames: the kinds of causes that count.
        """
        worst = self.verdict()[0] is Verdict.BREACHED  # then it is not who is waived that fails the run
        through = [
            (case.name, [each for each in (case.open_attacks if worst else case.attacks) if each.got_through])
            for case in self.cases
        ]
        return [
            (name, came[0].what, tuple(one for each in came for one in each.causes if isinstance(one, blames)))
            for name, came in through
            if came
        ]

    @property
    def positives(self) -> list[Positive]:
        """All positive controls of all cases."""
        return [positive for case in self.cases for positive in case.positives]

    @property
    def tried(self) -> frozenset[Combination]:
        """The combinations that attacks tried."""
        return frozenset(each for attack in self.attacks for each in attack.tries)

    def verdict(self) -> tuple[Verdict, str]:
        """The verdict on all cases, and the reasons for it, one a line ("" where it held)."""
        if not self.cases:
            if self._nothing.strip():
                return Verdict.NOT_APPLICABLE, self._nothing
            return Verdict.INCONCLUSIVE, "no attack and no positive control were recorded"
        found = [case.verdict() for case in self._counted]
        if untried := self.coverage.reason(self.tried):
            found.append((Verdict.INCONCLUSIVE, untried))
        for worst in (Verdict.BREACHED, Verdict.INCONCLUSIVE):
            if reasons := [reason for verdict, reason in found if verdict is worst]:
                return worst, "\n".join(map(line, reasons))
        if any(verdict is Verdict.WAIVED for verdict, _ in found):
            return Verdict.WAIVED, "\n".join(line(str(each)) for each in self.waived)
        return Verdict.HELD, ""

    @property
    def doubts(self) -> list[str]:
        """What is not known, also where something is breached, which counts for more."""
        found = [*(case.doubt() for case in self._counted), self.coverage.reason(self.tried)]
        return [each for each in found if each]

    @property
    def _counted(self) -> list[Case]:
        return [case for case in self.cases if case.counts] or self.cases


def _names(what: str, given: Sequence[str]) -> tuple[str, ...]:
    """Raises TypeError for a text in place of several, which would be its letters."""
    if isinstance(given, str):
        raise TypeError(f"{what}: several names, not {given!r}")
    return tuple(map(str, given))


def _outcome(name: str, value: bool | None, evidence: Evidence) -> bool | None:  # noqa: FBT001 - the value that is checked
    """What may be recorded: nothing of a probe that broke, and never something that only looks true or false.

    Raises:
        TypeError: the evidence is none, or the value is neither True, False nor None.
    """
    if not isinstance(evidence, Evidence):
        raise TypeError(f"evidence must be Evidence from a probe, not {type(evidence).__name__}")
    if value is not None and not isinstance(value, bool):
        raise TypeError(f"{name} must be True, False or None, not {value!r}")
    return None if evidence.broken else value
