"""Progress on stderr: a line when a step ends, and a sign of life while long ones run."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class Console:
    """Safe to use from several threads; every line starts with the seconds since the build began."""

    def __init__(self, stream: TextIO = sys.stderr, heartbeat: float = 10.0) -> None:
        """The heartbeat is the longest silence, in seconds, while a step runs."""
        self._stream = stream
        self._heartbeat = heartbeat
        self._began = time.monotonic()
        self._running: dict[str, float] = {}
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        """One line."""
        with self._lock:
            self._stream.write(f"{time.monotonic() - self._began:7.1f} s  {text}\n")
            self._stream.flush()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Names the work that the block does, in the heartbeat and when it is done."""
        started = time.monotonic()
        with self._lock:
            self._running[name] = started
        try:
            yield
            self.say(f"{name}: done in {time.monotonic() - started:.1f} s")
        finally:
            with self._lock:
                del self._running[name]

    @contextmanager
    def heartbeats(self) -> Iterator[None]:
        """While the block runs, says every few seconds which steps are under way."""
        done = threading.Event()
        thread = threading.Thread(target=self._beat, args=(done,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _beat(self, done: threading.Event) -> None:
        while not done.wait(self._heartbeat):
            with self._lock:
                running = dict(self._running)
            if running:
                now = time.monotonic()
                self.say("... " + ", ".join(f"{name} ({now - since:.0f} s)" for name, since in running.items()))
