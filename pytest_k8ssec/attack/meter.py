"""The bounds of a walk, and the meter that enforces them. What was skipped because of a bound is never refuted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far one walk goes."""

    depth: int = 4
    """How many positions (pods, identities, nodes, namespaces) may follow one another."""
    requests: int = 200
    """How many requests may be sent with found credentials."""
    per_second: float = 5
    endpoints: int = 256
    """How many endpoints one position connects to."""
    seconds: float = 120


class BoundReached(Exception):
    """The walk may not go on; its text names the bound."""


@dataclass(slots=True)
class Meter:
    """Counts what a walk does, and paces its requests."""

    bounds: Bounds
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    requests: int = 0
    _started: float = field(init=False)
    _next: float = field(init=False)

    def __post_init__(self) -> None:
        self._started = self._next = self.clock()

    @property
    def seconds(self) -> float:
        """Seconds since the walk began."""
        return self.clock() - self._started

    def request(self) -> None:
        """Wait until one more request may be sent. Raises BoundReached."""
        self.check()
        if self.requests >= self.bounds.requests:
            raise BoundReached(f"{self.bounds.requests} requests with found credentials")
        now = self.clock()
        if now < self._next:
            self.pause(self._next - now)
        self._next = max(now, self._next) + 1 / self.bounds.per_second
        self.requests += 1

    def check(self) -> None:
        """Raises BoundReached if the time is up."""
        if self.seconds > self.bounds.seconds:
            raise BoundReached(f"{self.bounds.seconds:g} seconds")
