"""What several threads ask for at the same time is found out once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_k8ssec.machine.once import Once

LONG = 10


def test_the_first_thread_finds_out_and_the_others_wait_for_that() -> None:
    """Nobody asks twice, however many ask before the answer is there."""
    once, asked, answer = Once[int](), threading.Event(), threading.Event()
    calls: list[int] = []

    def find_out() -> int:
        calls.append(1)
        asked.set()
        assert answer.wait(LONG)
        return 7

    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(once.get, "what", find_out)
        assert asked.wait(LONG)
        others = [threads.submit(once.get, "what", lambda: 8) for _ in range(2)]
        assert once.values == []
        answer.set()
        assert [7, 7, 7] == [each.result(LONG) for each in (first, *others)]
    assert ([1], [7]) == (calls, once.values)


def test_what_failed_is_tried_again_by_who_asks_next() -> None:
    """An error is no answer that is kept."""
    once = Once[int]()

    def fails() -> int:
        raise ValueError("not yet")

    with pytest.raises(ValueError, match="not yet"):
        once.get("what", fails)
    assert once.values == []
    assert once.get("what", lambda: 3) == 3


def test_who_waits_for_what_fails_is_told_the_same() -> None:
    """A thread that waited has no answer either."""
    once, asked, answer = Once[int](), threading.Event(), threading.Event()

    def fails() -> int:
        asked.set()
        assert answer.wait(LONG)
        raise ValueError("not yet")

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(once.get, "what", fails)
        assert asked.wait(LONG)
        other = threads.submit(once.get, "what", fails)
        answer.set()
        for each in (first, other):
            with pytest.raises(ValueError, match="not yet"):
                each.result(LONG)


def test_what_was_forgotten_is_found_out_anew() -> None:
    """As after a sabotage: nothing of before it counts."""
    once = Once[int]()
    assert once.get("what", lambda: 1) == 1
    once.clear()
    assert once.get("what", lambda: 2) == 2
