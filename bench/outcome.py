"""What a tool's report of a broken cluster is worth, beside its report of the hardened one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bench.peers.interface import Report

_SHOWN = 3
"""Findings that a cell names."""


class Outcome(StrEnum):
    """What a cell says."""

    DETECTED = "detected"
    MISSED = "missed"
    FALSE_ALARM = "false alarm"
    UNCLEAR = "could not tell"
    NOT_RUN = "not run"
    OUT_OF_SCOPE = "out of scope"


MEANING = {
    Outcome.DETECTED: "it says something about this very weakness that it does not say of the hardened cluster",
    Outcome.MISSED: "it has checks for this, and none of them says anything",
    Outcome.FALSE_ALARM: "what it says, it says of the hardened cluster too, where the weakness is not",
    Outcome.UNCLEAR: "it says itself that it could not tell",
    Outcome.NOT_RUN: "it could not be run, or the sabotage could not be put in force",
    Outcome.OUT_OF_SCOPE: "it has nothing about this",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One tool, one mutant."""

    outcome: Outcome
    seconds: float | None = None
    evidence: tuple[str, ...] = ()
    """Some of the findings that decided, or why it was not run."""
    commands: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As detection.json has it."""
        seconds = None if self.seconds is None else round(self.seconds, 1)
        return {
            "outcome": self.outcome.value,
            "seconds": seconds,
            "evidence": list(self.evidence),
            "commands": list(self.commands),
        }


def compared(about: str, hardened: Report, broken: Report) -> Cell:
    """What a peer's two reports say of one weakness.

    Args:
        about: which findings are about it, a regular expression.
    """

    def relevant(findings: frozenset[str]) -> tuple[str, ...]:
        return tuple(sorted(each for each in findings if re.search(about, each)))

    for outcome, findings in (
        (Outcome.DETECTED, relevant(broken.findings - hardened.findings)),
        (Outcome.UNCLEAR, relevant(broken.unclear)),
        (Outcome.FALSE_ALARM, relevant(broken.findings)),
    ):
        if findings:
            return Cell(outcome, broken.seconds, findings[:_SHOWN], broken.commands)
    return Cell(Outcome.MISSED, broken.seconds, (), broken.commands)


def own(intact: str, broken: str, seconds: float) -> Cell:
    """What the sabotage's own control says: ours is held to the same.

    Args:
        intact: its verdict on the hardened cluster.
        broken: its verdict beside the sabotage.
    """
    if intact == "breached":
        return Cell(Outcome.FALSE_ALARM, seconds, ("breached on the hardened cluster",))
    told = {"breached": Outcome.DETECTED, "held": Outcome.MISSED}.get(broken, Outcome.UNCLEAR)
    return Cell(told, seconds, (f"intact {intact}, sabotaged {broken}",))
