"""Values that are found out once, also where several threads ask for one at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Once(Generic[Value]):
    """Remembers by a key what was found out. The first thread that asks finds it out, and the others wait for that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, Future[Value]] = {}

    def get(self, key: str, find_out: Callable[[], Value]) -> Value:
        """What is known under a key, found out now if need be.

        Raises:
            whatever ``find_out`` raises: in each thread that waits for it. Who asks after that finds out anew.
        """
        with self._lock:
            known = self._known.get(key)
            mine = Future[Value]() if known is None else None
            if mine is not None:
                self._known[key] = mine
        if known is not None:
            return known.result()
        assert mine is not None
        try:
            mine.set_result(find_out())
        except BaseException as error:
            with self._lock:
                if self._known.get(key) is mine:
                    del self._known[key]
            mine.set_exception(error)
            raise
        return mine.result()

    def knows(self, key: str) -> bool:
        """Whether that was found out, or is being found out now."""
        with self._lock:
            return key in self._known

    def forget(self, key: str) -> list[Value]:
        """Forget one that was found out, and return it; none where it was not, or not yet."""
        with self._lock:
            known = self._known.get(key)
            if known is None or not known.done() or known.exception() is not None:
                return []
            del self._known[key]
            return [known.result()]

    @property
    def values(self) -> list[Value]:
        """All that is known by now."""
        with self._lock:
            return [each.result() for each in self._known.values() if each.done() and each.exception() is None]

    def clear(self) -> None:
        """Forget it all."""
        with self._lock:
            self._known.clear()
