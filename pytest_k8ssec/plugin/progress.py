"""How far a sabotage run has come, and about how long it will still take."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from pytest_k8ssec.plugin.ordering import phase_of


class Progress:
    """A pytest plugin of its own: a line whenever another sabotage is put in force.

    Args:
        tell: prints a line.
        clock: returns the seconds of a monotonic clock.
    """

    def __init__(self, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._packs: list[str] = []
        self._left = 0
        self._done = 0
        self._started = 0.0
        self._current = ""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count what is to come."""
        names = (_pack(item) for item in session.items)
        self._packs = list(dict.fromkeys(name for name in names if name))
        self._left = len(session.items)
        self._started = self._clock()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Say which sabotage comes next. The tests so far tell how long the rest will take."""
        name = _pack(item)
        if name and name != self._current:
            self._current = name
            seconds = (self._clock() - self._started) / max(self._done, 1) * self._left
            rest = f", about {max(1, round(seconds / 60))} min left" if self._done else ""
            self._tell(f"sabotage {self._packs.index(name) + 1} of {len(self._packs)}: {name}{rest}")

    def pytest_runtest_logfinish(self) -> None:
        """Count a test that has ended."""
        self._left -= 1
        self._done += 1


def _pack(item: pytest.Item) -> str:
    phase = phase_of(item)
    return phase.pack.name if phase and phase.pack else ""
