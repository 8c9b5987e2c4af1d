"""A lock on a file that is the kernel's: it goes with the process that holds it, however that ends.

Unlike filelock, this never makes a folder that is gone come back, and what was locked may be renamed.
"""

from __future__ import annotations

import fcntl
import os
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PAUSE = 0.01


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


class Lock:
    """A lock that is held. Take one with :func:`take`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        _held.add(self)

    def forget(self) -> None:
        """Close it in a process that was forked off; whoever holds it goes on holding it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def release(self) -> None:
        """Let it go; a second time does nothing."""
        if self._descriptor >= 0:
            # Said outright: closing alone would leave it with children that were forked meanwhile.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = -1


def _forget_all() -> None:
    for lock in list(_held):
        lock.forget()


# Else a child of a test's own, that outlives us, would keep what is ours locked, or let it go.
os.register_at_fork(after_in_child=_forget_all)


def take(path: Path, *, shared: bool = False) -> Lock | None:
    """Lock a file, making it if need be. Returns None where another process holds it.

    Args:
        shared: whether others may hold it so too; then it is refused only where somebody holds it alone.

    Raises:
        OSError: it can't be opened, as its folder is gone or not ours.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return Lock(descriptor)


@contextmanager
def waited_for(path: Path, deadline: float) -> Iterator[None]:
    """Hold a lock, once whoever has it lets it go.

    Raises:
        TimeoutError: that took too long.
        OSError: as for :func:`take`.
    """
    end = time.monotonic() + deadline
    while (lock := take(path)) is None:
        if time.monotonic() > end:
            raise TimeoutError(f"{path}: is locked by another process")
        time.sleep(_PAUSE)
    try:
        yield
    finally:
        lock.release()
