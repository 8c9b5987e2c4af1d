"""What one look at the machine found, and what fixes it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    """Tests run, and some may fail or mislead."""
    ERROR = "error"
    """No test that needs a cluster can run."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was looked at."""

    level: Level
    subject: str
    told: str
    """What was found, in one line."""
    fix: str = ""
    """A command that can be pasted, or what to do; "" where nothing need be done."""

    def to_json(self) -> dict[str, Any]:
        """The finding as ``k8ssec doctor --json`` has it."""
        return asdict(self)


def ok(subject: str, told: str) -> Diagnosis:
    """Nothing to fix."""
    return Diagnosis(Level.OK, subject, told)


def warning(subject: str, told: str, fix: str) -> Diagnosis:
    """Tests run, and some may fail or mislead."""
    return Diagnosis(Level.WARNING, subject, told, fix)


def error(subject: str, told: str, fix: str) -> Diagnosis:
    """No test that needs a cluster can run."""
    return Diagnosis(Level.ERROR, subject, told, fix)


def at_least(version: str, minimum: str) -> bool | None:
    """Whether a version is a minimum or newer; None where it can't be told."""
    have, want = _numbers(version), _numbers(minimum)
    return have >= want if have else None


def _numbers(version: str) -> tuple[int, ...]:
    numbers = []
    for part in version.lstrip("v").split("."):
        digits = part[: next((at for at, letter in enumerate(part) if not letter.isdigit()), len(part))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)
