"""Ends commands, and all that they have started; a command that is making a container may finish that first.

Killing `docker run` does not undo it: the daemon goes on, and seconds later there is a container that nobody looks for
any more. Making it takes a while, as the daemon copies a node's files. If the command may finish, its container can be
found and removed.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

RUN_VARIABLE = "K8SSEC_RUN"
"""Environment variable by which a run's long-lived commands, and all that these start, are recognised."""
BY = "K8SSEC_BY"
"""Environment variable that tells which process of the run started them, by its id."""

_POLITE_SECONDS = 5
_CREATE_SECONDS = 60
"""How long making a container may take."""
_GIVE_UP_SECONDS = 5
_PAUSE = 0.05


def end_group(leader: int) -> int:
    """End a process group that we started, politely first. Returns how many processes there were."""
    return _end(lambda: _having(lambda process: os.getpgid(process.pid) == leader), polite=_POLITE_SECONDS)


def end_marked(run_id: str, *, by: int | None = None) -> int:
    """Kill what a killed run had started under its mark and left behind; nothing else has that mark.

    They are killed, not asked to end: what they were making is removed next.

    Args:
        by: the process of the run whose commands they are; None for all of the run.

    Returns:
        how many processes there were.
    """

    def is_marked(process: psutil.Process) -> bool:
        env = process.environ()
        return env.get(RUN_VARIABLE) == run_id and by in (None, int(env.get(BY, "0")))

    return _end(lambda: _having(is_marked), polite=0)


def _having(trait: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    """The running processes with a trait; one of which it can't be known has it not."""
    import psutil  # here, as each pytest run would pay for it

    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if trait(process) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _end(find: Callable[[], list[psutil.Process]], *, polite: float) -> int:
    """End processes until none is found; one that can't be killed is left after some time.

    Args:
        polite: seconds between asking and killing.
    """
    began = time.monotonic()
    asked: set[int] = set()
    while found := find():
        elapsed = time.monotonic() - began
        if elapsed > _CREATE_SECONDS + _GIVE_UP_SECONDS:
            break
        for process in found:
            first = process.pid not in asked
            asked.add(process.pid)
            if _makes_container(process) and elapsed < _CREATE_SECONDS:
                continue
            if elapsed >= polite:
                _send(process, signal.SIGKILL)
            elif first:
                _send(process, signal.SIGTERM)
        time.sleep(_PAUSE)
    return len(asked)


def _makes_container(process: psutil.Process) -> bool:
    import psutil

    try:
        program, *arguments = process.cmdline() or [""]
    except (psutil.Error, OSError):
        return False
    return Path(program).name == "docker" and arguments[:1] in (["run"], ["create"])


def _send(process: psutil.Process, number: signal.Signals) -> None:
    import psutil

    with suppress(psutil.Error, OSError):
        process.send_signal(number)  # refuses where the process id belongs to another process by now
