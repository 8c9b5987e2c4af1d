"""Signals that come while something is cleaned up."""

from __future__ import annotations

import os
import signal

import pytest

from pytest_k8ssec.machine.signals import Terminated, held, obey_sigterm, uninterrupted


def test_signal_is_obeyed_after_the_clean_up() -> None:
    """What was begun ends, and then the signal counts."""
    ended = False
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        os.kill(os.getpid(), signal.SIGINT)
        ended = True
    assert ended


def test_signal_is_obeyed_by_whoever_is_furthest_out() -> None:
    """Held off twice, it is noted by the outer one, and nothing is raised in between."""
    with held() as came:
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGTERM)
        assert [signal.SIGTERM] == came


def test_patience_ends() -> None:
    """So many signals are held off, and the next one is obeyed at once."""
    with held(patience=1) as came, pytest.raises(Terminated):
        os.kill(os.getpid(), signal.SIGINT)
        assert [signal.SIGINT] == came
        os.kill(os.getpid(), signal.SIGTERM)


def test_handlers_are_put_back() -> None:
    """Afterwards signals do what they did before, also where there was an error."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    undo = obey_sigterm()
    with pytest.raises(ValueError, match="on purpose"), held():
        raise ValueError("on purpose")
    undo()
    assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
