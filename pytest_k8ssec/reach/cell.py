"""One source, one destination, and what is known about the connection between them.

*Open* was seen. *Blocked* is concluded: the source got no connection, its own network is shown to work, and somebody else
reached the same listener at that moment. All else is *unknown*, and an unknown cell answers no question.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from pytest_k8ssec.evidence import STOPPED, Evidence, Outcome
from pytest_k8ssec.reach.places import NODE, Destination, Origin

Passage = Literal["open", "blocked", "unknown"]
_NO_PROOF = "nobody reached this listener at that moment"


@dataclass(frozen=True, slots=True)
class Cell:
    """One source, one destination, one answer."""

    origin: Origin
    destination: Destination
    outcome: Outcome
    detail: str
    latency: float | None
    """Milliseconds that the answer took."""
    at: float
    proof: str
    """Who reached the same listener at that moment; "" for nobody, and for an open cell."""
    doubt: str = ""
    """Why "no answer" from this source may not be taken for blocked; "" if it may."""
    expected: bool | None = None
    """What the policies should give; None if they do not decide it."""

    @property
    def verdict(self) -> Passage:
        """Open, blocked or unknown."""
        if self.outcome is Outcome.OPEN:
            return "open"
        return "blocked" if self.outcome in STOPPED and self.proof and not self.doubt else "unknown"

    @property
    def exempt(self) -> bool:
        """Whether no policy can forbid it: a node reaches the pods that it runs, and other nodes."""
        if self.origin.namespace != NODE:
            return False
        return self.destination.namespace == NODE or self.origin.end.node in {end.node for end in self.destination.ends}

    @property
    def why(self) -> str:
        """The reasons for the verdict, in words."""
        if self.verdict == "blocked":
            return f"while {self.proof} reached it"
        if self.verdict == "open":
            return ""
        return self.detail if self.outcome is Outcome.ERROR else self.doubt or _NO_PROOF

    @property
    def evidence(self) -> Evidence:
        """The cell as evidence for a judge. A broken probe, or an answer without a witness, is an error there."""
        known = self.verdict != "unknown"
        return Evidence(
            self.origin.vantage.source,
            f"{self.destination.dial} ({self.destination.words})",
            self.outcome if known else Outcome.ERROR,
            detail="; ".join(word for word in (self.detail, self.why) if word),
            latency_ms=self.latency,
            at=dt.datetime.fromtimestamp(self.at, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        )

    def __str__(self) -> str:
        answer = str(self.outcome) if self.outcome is not Outcome.ERROR else "unknown"
        took = f" in {self.latency:.1f} ms" if self.latency is not None else ""
        words = "; ".join(dict.fromkeys(word for word in (self.detail, self.why) if word))
        reached = f"{self.destination.subject} ({self.destination.words}, {self.destination.dial})"
        return f"{self.origin.name} -> {reached}: {answer}{took}{f' ({words})' if words else ''}"
