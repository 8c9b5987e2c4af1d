"""Signals: a run that is asked to end must still clean up, and a clean-up must not be interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM, which is obeyed as Ctrl-C is: everything is torn down on the way out."""


def interrupt(number: int, _: FrameType | None = None) -> None:
    """A signal handler.

    Raises:
        KeyboardInterrupt: always; for SIGTERM its subclass ``Terminated``.
    """
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def obey_sigterm() -> Callable[[], None]:
    """Make SIGTERM end this process in good order. Returns a function that restores what was before."""
    if threading.current_thread() is not threading.main_thread():
        return lambda: None  # only the main thread may say what a signal does
    before = signal.signal(signal.SIGTERM, interrupt)

    def undo() -> None:
        if signal.getsignal(signal.SIGTERM) is interrupt:
            # None stands for a handler that was not set from Python: it can't be put back.
            signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)

    return undo


@contextmanager
def held(patience: int | None = None) -> Iterator[list[int]]:
    """Hold SIGINT and SIGTERM off. Gives the numbers of those that come meanwhile.

    Args:
        patience: how many are held off before the next one is obeyed at once; None for all.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came  # only the main thread is ever interrupted
        return

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)
        if patience is not None and len(came) > patience:
            interrupt(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            # None stands for a handler that was not set from Python: it can't be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold SIGINT and SIGTERM off while something is cleaned up; they are obeyed afterwards.

    Raises:
        KeyboardInterrupt: at the end, where a signal came meanwhile and nobody further out holds them off.
    """
    with held() as came:
        yield
    if came:
        handler = signal.getsignal(came[0])
        if callable(handler):
            handler(came[0], None)
        else:
            interrupt(came[0])
