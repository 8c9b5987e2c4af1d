"""What was sent, from where, what came back, and when: the only thing a verdict may rest on.

Everything here is frozen and holds JSON-compatible values only, so that evidence travels unchanged into a report or
from an xdist worker. No field may hold a secret value: tokens and keys are named, never quoted.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal

from pytest_k8ssec.evidence.causes import Cause

JSON = Annotated[Any, "JSON"]
"""A value of a JSON document: a mapping, a list, a text, a number, True, False or None.

The one place where a type of ours is ``Any``, and every other place says ``JSON``. An honest one (``dict[str, JSON] | list[JSON] |
str | ...``) is not usable for what an API server answers: no step into it type-checks before an ``isinstance`` or a cast, so
that ``pod["status"]["podIP"]`` takes three. Tried in mypy's strict mode, it made 1,339 errors in 51 files that read such
answers. Only the server's schema knows more, and ``json.loads`` itself says ``Any`` for that reason.
"""
Facts = dict[str, JSON]


class Outcome(StrEnum):
    """What came back, told apart as far as the sender can tell."""

    OPEN = "open"
    """The connection was established (for a datagram: the expected answer arrived)."""
    REFUSED = "refused"
    """TCP RST or ICMP port unreachable."""
    NO_ANSWER = "no-answer"
    """Nothing came back before the deadline."""
    UNREACHABLE = "unreachable"
    """ICMP host, network or administratively prohibited, or no route."""
    TLS_ALERT = "tls-alert"
    """The peer ended the TLS handshake, or the first read after it, by an alert."""
    CLOSED = "closed"
    """The peer closed the connection without an answer."""
    HTTP = "http"
    """An HTTP response with a status."""
    DENIED = "denied"
    """The kernel refused an operation (EACCES, EPERM, EROFS)."""
    DONE = "done"
    """An operation that is not a network request was carried out: a file was read, an object was found."""
    ABSENT = "absent"
    """What was looked for is not there, and the look itself worked."""
    ERROR = "error"
    """The probe itself failed: no conclusion may be drawn."""


@dataclass(frozen=True, slots=True)
class Source:
    """From where something was sent."""

    kind: Literal["pod", "node", "outside", "client"]
    name: str
    """Pod as ``namespace/name``, node or container by name; ``client`` is this process."""
    address: str = ""
    node: str = ""
    identity: str = ""
    """User or service account in whose name it was sent; "" for none (anonymous)."""

    @property
    def place(self) -> str:
        """Where that is, without the name that it has in this run: ``pod on worker``, ``node worker``, ``outside``."""
        return (
            f"pod on {self.node}" if self.kind == "pod" else f"node {self.name}" if self.kind == "node" else self.kind
        )

    def __str__(self) -> str:
        at = f" on {self.node}" if self.node and self.node != self.name else ""
        return f"{self.kind} {self.name}{at}" + (f" as {self.identity}" if self.identity else "")


def now() -> str:
    """The current time as RFC 3339, UTC, with milliseconds."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that was sent, and what came back."""

    source: Source
    request: str
    """Method and address in words a reader can repeat: ``GET https://10.0.0.2:10250/pods without credentials``."""
    outcome: Outcome
    detail: str = ""
    """The peer's own words, shortened: an errno, a TLS alert, a Status message."""
    status: int | None = None
    """HTTP status, where there was one."""
    latency_ms: float | None = None
    at: str = field(default_factory=now)
    facts: Facts = field(default_factory=dict)
    """Further values a reader needs: the object's name, the provider, counts."""
    cause: Cause | None = None
    """What was asked for, where it is known: should it get through, that says whom to look for. It stays out of reports."""

    @property
    def broken(self) -> bool:
        """Whether the probe itself failed, so that nothing may be concluded."""
        return self.outcome is Outcome.ERROR

    def __str__(self) -> str:
        answer = f"HTTP {self.status}" if self.status is not None else str(self.outcome)
        words = f" ({self.detail})" if self.detail else ""
        return f"{self.source}: {self.request} -> {answer}{words}"

    def to_json(self) -> Facts:
        """The evidence as a JSON-compatible mapping, empty fields left out."""
        return {key: value for key, value in asdict(self).items() if key != "cause" and value not in (None, "", {})}


STOPPED = frozenset({Outcome.REFUSED, Outcome.NO_ANSWER, Outcome.UNREACHABLE})
"""What a blocked connection looks like, once the listener is proven."""


def blocked(answer: Evidence) -> bool | None:
    """Whether a connection was stopped; None where the answer says neither."""
    is_open = got_through(answer)
    return None if is_open is None else not is_open


def got_through(evidence: Evidence) -> bool | None:
    """Whether a connection was made; None where the answer says neither."""
    if evidence.outcome is Outcome.OPEN:
        return True
    return False if evidence.outcome in STOPPED else None
