"""How bad a breach is, in the words that reports and markers have."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """How bad a breach is."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
