"""End a whole session of processes: Pulumi gives each plugin a process group of its own, but the same session."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import psutil

_PASSES = 50
_PAUSE = 0.02


def end_session(leader: int, *, but: int | None = None) -> None:
    """Kill every process of a session, and those that they start meanwhile.

    They are killed, not asked to end: their work is thrown away with the cluster, and Pulumi ends slowly when asked.

    Args:
        leader: process id of the session's leader, which we started; it may have ended already.
        but: a process to spare, such as the caller.
    """
    for _ in range(_PASSES):
        members = [pid for pid in _members(leader) if pid != but]
        if not members:
            return
        for pid in members:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(_PAUSE)


def _members(leader: int) -> Iterator[int]:
    for process in psutil.process_iter(["pid", "status"]):
        pid = process.info["pid"]
        try:
            if pid > 0 and os.getsid(pid) == leader and process.info["status"] != psutil.STATUS_ZOMBIE:
                yield pid
        except (ProcessLookupError, PermissionError):
            continue
