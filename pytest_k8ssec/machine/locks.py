"""File locks of the kernel (flock): one is released when the process that holds it ends, in whatever way.

Unlike filelock, this never recreates a folder that was removed, and a locked file may be renamed.
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
        """Close it in a forked process; the process that holds it goes on holding it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def release(self) -> None:
        """Release it; a second call does nothing."""
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
def waited_for(path: Path, deadline: float, *, shared: bool = False, refusal: str = "") -> Iterator[None]:
    """Wait until a lock is free, then hold it.

    Args:
        shared: as for :func:`take`.
        refusal: what the error says, instead of the path.

    Raises:
        TimeoutError: that took too long.
        OSError: as for :func:`take`.
    """
    end = time.monotonic() + deadline
    while (lock := take(path, shared=shared)) is None:
        if time.monotonic() > end:
            raise TimeoutError(refusal or f"{path}: is locked by another process")
        time.sleep(_PAUSE)  # flock has no deadline of its own
    try:
        yield
    finally:
        lock.release()
