"""One source, one destination, and what is known about the connection between them.

*Open* was seen. *Blocked* is concluded: the source got no connection, its own network is shown to work, and somebody else
reached the same listener at that moment. All else is *unknown*, and an unknown cell answers no question.

Where many pods are sampled, a cell may not have been measured. It is then *as its class*: it has the answer of a cell between
the same two classes that was, and names that one; or it is unknown.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from pytest_k8ssec.evidence import STOPPED, Evidence, Outcome
from pytest_k8ssec.reach.places import NODE, Destination, Origin

Passage = Literal["open", "blocked", "unknown"]
REMEDY = "measure all pods: --k8ssec-reach-limit all"
"""What makes measured cells of those that were not."""
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
    measured: bool = True
    """Whether something was sent; if not, nothing else here was seen of this very connection."""
    like: Cell | None = None
    """The measured cell that it has its answer from, if it was not measured; None if no answer follows."""
    unserved: str = ""
    """Why the way leads to nobody although no policy is involved, in words; "" where it leads to somebody."""
    only_its_node: bool = False
    """Whether nobody but its own node was seen to reach this port of a node."""
    decider: Callable[[], str] | None = field(default=None, compare=False, repr=False)
    """Finds out which policies decide it: for a few cells, as it takes longer than to know what they give."""
    unlike: Cell | None = None
    """Another measured cell between the same two classes, which has another answer; None if there is none."""

    @property
    def verdict(self) -> Passage:
        """Open, blocked or unknown."""
        if not self.measured:
            return self.like.verdict if self.like else "unknown"
        if self.outcome is Outcome.OPEN:
            return "open"
        return "blocked" if self.outcome in STOPPED and self.proof and not self.doubt else "unknown"

    @property
    def kept(self) -> bool:
        """Whether a node keeps this port to itself, by a firewall of its own, as it would on loopback."""
        seen = self.like if self.like is not None and not self.measured else self
        return seen.only_its_node and self.verdict == "blocked"

    @property
    def exempt(self) -> bool:
        """Whether no policy can forbid it: a node reaches the pods that it runs, and other nodes."""
        if self.origin.namespace != NODE:
            return False
        return self.destination.namespace == NODE or self.origin.end.node in {end.node for end in self.destination.ends}

    @property
    def decided_by(self) -> str:
        """Which policies decide it, by kind, name and rule, in words; "" where that is not known."""
        return self.decider() if self.decider else ""

    @property
    def by_class(self) -> bool:
        """Whether it was not measured, and has the answer of its class."""
        return self.like is not None

    @property
    def answer(self) -> str:
        """The verdict, and whether it is another cell's: ``blocked``, ``blocked by class``."""
        return f"{self.verdict} by class" if self.by_class else self.verdict

    @property
    def way(self) -> str:
        """From where to where: ``web/shop -> pay/api:8080/TCP (pod api-0, TCP 10.244.0.1:8080)``."""
        return f"{self.origin.name} -> {self.destination.subject} ({self.destination.words}, {self.destination.dial})"

    @property
    def why(self) -> str:
        """The reasons for the verdict, in words."""
        if not self.measured:
            return f"not measured; as its class: {self.like}" if self.like else f"not measured: {self.doubt}"
        found = [f"unlike its class: {self.unlike.way} is {self.unlike.verdict}"] if self.unlike else []
        if self.verdict == "blocked":
            found.insert(0, f"while {self.proof} reached it")
        elif self.verdict == "unknown":
            found.append(self.detail if self.outcome is Outcome.ERROR else self.doubt or _NO_PROOF)
        if self.unserved and self.verdict != "open":
            found.append(self.unserved)
        return "; ".join(found)

    @property
    def evidence(self) -> Evidence:
        """The cell as evidence for a judge. A broken probe, or an answer without a witness, is an error there.

        So is a cell that was not measured, whatever its class says: what nobody tried was not stopped. The text names the
        connection that was measured in its place.
        """
        if self.like is not None:
            return self._as_evidence(
                Outcome.ERROR, f"not measured; in its place {self.like.way} was, and is {self.verdict} ({REMEDY})"
            )
        known = self.verdict != "unknown"
        words = "; ".join(word for word in (self.detail, self.why) if word)
        return self._as_evidence(self.outcome if known else Outcome.ERROR, words)

    @property
    def evidence_of_class(self) -> Evidence:
        """As :attr:`evidence`, but of a cell by class that of the one it is like, from where that was sent.

        For whoever takes the class's word for it: this very connection may still be another.
        """
        if self.like is None:
            return self.evidence
        seen = self.like.evidence
        return replace(seen, detail=f"{seen.detail}; stands for {self.way}, which was not measured".lstrip("; "))

    def _as_evidence(self, outcome: Outcome, detail: str) -> Evidence:
        return Evidence(
            self.origin.vantage.source,
            f"{self.destination.dial} ({self.destination.words})",
            outcome,
            detail=detail,
            latency_ms=self.latency,
            at=dt.datetime.fromtimestamp(self.at, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        )

    def __str__(self) -> str:
        if not self.measured:
            return f"{self.way}: {self.answer} ({self.why})"
        answer = str(self.outcome) if self.outcome is not Outcome.ERROR else "unknown"
        took = f" in {self.latency:.1f} ms" if self.latency is not None else ""
        words = "; ".join(dict.fromkeys(word for word in (self.detail, self.why) if word))
        return f"{self.way}: {answer}{took}{f' ({words})' if words else ''}"
