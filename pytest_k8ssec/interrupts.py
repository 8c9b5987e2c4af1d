"""Signals: an end that was asked for must still clean up, and a clean-up must not be cut off."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def interrupt(*_: Any) -> None:
    """A signal handler that makes SIGTERM what Ctrl-C is: everything is torn down on the way out."""
    raise KeyboardInterrupt


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold SIGINT and SIGTERM off while something is cleaned up; they are obeyed afterwards.

    Raises:
        KeyboardInterrupt: at the end, where a signal came meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is ever interrupted
        return
    waiting: list[int] = []
    held = {number: signal.signal(number, lambda got, _: waiting.append(got)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
    if waiting:
        raise KeyboardInterrupt
