"""Connects from many places to many addresses: one exec a place, places side by side, each place's answers as it ends.

Nothing here knows a stack or a policy: places and addresses are enough to measure.
"""

from __future__ import annotations

import json
import secrets
import time
from array import array
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pytest_k8ssec.agent import vantage as vantages
from pytest_k8ssec.agent.tasks import host_and_port
from pytest_k8ssec.agent.vantage import BOOT, Vantage, program
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Outcome, Source
from pytest_k8ssec.machine.process import Completed

SWEEPER = Path(vantages.__file__).parent / "remote" / "sweeper.py"
LEAN = (BOOT[0], "-IS", *BOOT[1:])
"""Python without what the sweeper has no use for: it starts once a source."""
Protocol = Literal["TCP", "UDP", "SCTP"]
OUTCOMES = (Outcome.OPEN, Outcome.REFUSED, Outcome.NO_ANSWER, Outcome.UNREACHABLE, Outcome.ERROR)
_CODES = {str(outcome): code for code, outcome in enumerate(OUTCOMES)}
_UNKNOWN = OUTCOMES.index(Outcome.ERROR)


@dataclass(frozen=True, slots=True)
class Dial:
    """One address to connect to."""

    host: str
    """An address, or a name that the source itself looks up."""
    port: int
    protocol: Protocol = "TCP"

    def __str__(self) -> str:
        return f"{self.protocol} {host_and_port(self.host, self.port)}"


@dataclass(frozen=True, slots=True)
class Manner:
    """How a measurement is made: how long it waits, and how much load it makes."""

    timeout: float = 1.2
    """Seconds that one connection may take; after one, the kernel sends a TCP connection's first packet again."""
    attempts: int = 2
    """How often a silent target is tried, in all: a lost packet does not mean blocked."""
    execs: int = 24
    """Places that measure at the same time."""
    rate: float = 6000.0
    """Connections a second, over all places together."""
    sockets: int = 256
    """Connections under way from one place at most."""
    resolve: float = 5.0
    """Seconds that a place has to look up all names."""
    exec_targets: int = 5000
    """With more targets than this, an Indexed Job of pods like the source measures, instead of one exec."""


MANNER = Manner()


@dataclass(slots=True)
class Row:
    """All answers that one place got: five bytes each, and words only where there are some."""

    codes: bytearray
    """Indices of ``OUTCOMES``, by target."""
    latencies: array[float]
    """Milliseconds, NaN for none."""
    details: dict[int, str]
    started: float
    """When it began, by this process's monotonic clock."""
    ended: float
    broken: str = ""
    """Why nothing is known from this place, "" if all is well."""
    at: float = field(default_factory=time.time)
    """When it ended, by the wall clock."""

    @classmethod
    def unknown(cls, count: int, why: str, started: float) -> Row:
        """A row of which nothing is known."""
        nothing = array("f", [float("nan")]) * count
        return cls(bytearray([_UNKNOWN]) * count, nothing, {}, started, time.monotonic(), why)

    def outcome(self, number: int) -> Outcome:
        """The outcome of one target."""
        return OUTCOMES[self.codes[number]]

    def forget(self, number: int, why: str) -> None:
        """Take an answer back, because something was learnt that makes it worthless."""
        self.codes[number] = _UNKNOWN
        self.details[number] = why


def measure(
    sources: Sequence[Vantage], targets: Sequence[Dial], *, timeout: float = MANNER.timeout, manner: Manner = MANNER
) -> Iterator[tuple[int, Row]]:
    """Connect from every source to every target.

    Yields:
        the source's index and its row, when the source is done; each source gets exactly one row.
    """
    yield from run_plan([(source, targets) for source in sources], replace(manner, timeout=timeout))


def run_plan(plan: Sequence[tuple[Vantage, Sequence[Dial]]], manner: Manner = MANNER) -> Iterator[tuple[int, Row]]:
    """Like :func:`measure`, but each source has its own targets. A source without targets costs no exec."""
    together = max(1, min(manner.execs, len(plan)))
    todo = iter(enumerate(plan))
    with ThreadPoolExecutor(max_workers=together) as threads:
        running: dict[Future[Row], int] = {}

        def feed(count: int) -> None:
            # Only as many as run: what has not begun holds no memory.
            for number, (source, targets) in islice(todo, count):
                running[threads.submit(measure_from, source, targets, manner, together)] = number

        feed(together)
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()
            feed(len(done))


def measure_from(source: Vantage, targets: Sequence[Dial], manner: Manner = MANNER, together: int = 1) -> Row:
    """Connect to all targets from one place. If the exec breaks, each target is unknown, with the reason.

    Args:
        together: how many places share the rate.
    """
    started = time.monotonic()
    if not targets:
        return Row(bytearray(), array("f"), {}, started, started)
    nonce = secrets.token_hex(8)
    told = specification(targets, manner, nonce, together)
    try:
        done = source.execute(LEAN, program(SWEEPER, told), allowance(len(targets), manner, together))
        return believed(done, nonce, len(targets), source.source, started)
    except ProbeError as error:
        return Row.unknown(len(targets), error.message, started)


def specification(targets: Sequence[Dial], manner: Manner, nonce: str, together: int) -> dict[str, Any]:
    """What the sweeper is to do, as it reads it.

    Args:
        together: how many places share the rate.
    """
    return {
        "nonce": nonce,
        "targets": [(each.host, each.port, each.protocol) for each in targets],
        "timeout": manner.timeout,
        "attempts": manner.attempts,
        "sockets": manner.sockets,
        "rate": max(1.0, manner.rate / together),
        "resolve": manner.resolve,
    }


def allowance(count: int, manner: Manner, together: int) -> float:
    """Seconds after which a sweep of so many targets is broken."""
    rounds = -(-count // min(64, manner.sockets)) * manner.attempts
    paced = count * manner.attempts * together / manner.rate
    return 20 + manner.resolve + rounds * manner.timeout + paced


def believed(done: Completed, nonce: str, count: int, source: Source, started: float) -> Row:
    """The answers of one sweep, if all are there and the closing line carries the nonce. Raises ProbeError if not."""
    row = Row.unknown(count, "", started)
    answered, ended = set(), False
    for line in done.stdout.splitlines():
        try:
            answer: Any = json.loads(line)
            if isinstance(answer, Mapping):
                ended = answer["end"] == nonce
                continue
            number, outcome, milliseconds, detail = answer
            if number in answered:
                raise ValueError(number)
            row.codes[number] = _CODES[outcome]
        except (ValueError, KeyError, TypeError, IndexError):
            raise ProbeError(f"{source}: answered with something that is not an answer") from None
        answered.add(number)
        if milliseconds is not None:
            row.latencies[number] = milliseconds
        if detail:
            row.details[number] = str(detail)[:300]
    if done.code != 0 or not ended or answered != set(range(count)):
        raise ProbeError(
            f"{source}: did not finish (exit code {done.code}, {len(answered)} of {count} answers): "
            f"{''.join(done.stderr.decode(errors='replace').strip().splitlines()[-1:]) or 'no word why'}"
        )
    row.at = time.time()
    return row
