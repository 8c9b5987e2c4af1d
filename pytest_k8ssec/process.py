"""Run an external command: always with a deadline, never through a shell, its children ended with it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_k8ssec.errors import CommandError

if TYPE_CHECKING:
    import psutil

MARK = "K8SSEC_RUN"
"""Environment variable by which a run's long-lived commands, and all that these start, are known again."""

_TAIL = 30
"""Lines of a failed command's output that an error shows."""
_END_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ran to its end."""

    argv: tuple[str, ...]
    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output, decoded."""
        return self.stdout.decode(errors="replace")

    @property
    def errors(self) -> str:
        """The last lines of standard error, or of standard output where that is empty."""
        said = (self.stderr or self.stdout).decode(errors="replace").strip()
        return "\n".join(said.splitlines()[-_TAIL:])


def run(
    argv: Sequence[str],
    *,
    deadline: float,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    stdin: bytes = b"",
    check: bool = True,
) -> Completed:
    """Run ``argv`` to its end in a process group of its own.

    Args:
        argv: command and arguments; secrets belong into ``stdin`` or ``env``, as errors quote the arguments.
        deadline: seconds until the whole group is ended.
        env: the complete environment, or None for the present one.
        stdin: what the command reads; empty means end of file at once.
        check: whether an exit code other than 0 is an error.

    Raises:
        CommandError: it could not be started, ran past its deadline, or (with ``check``) failed.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if env is None else dict(env),
            cwd=cwd,
            # A Ctrl-C reaches this process alone: it decides what the command's end shall be.
            start_new_session=True,
        )
    except OSError as error:
        raise CommandError(f"{argv[0]}: could not be started: {error.strerror}") from error
    try:
        stdout, stderr = process.communicate(stdin, timeout=deadline)
    except BaseException as error:
        _end(process)
        if isinstance(error, subprocess.TimeoutExpired):
            raise CommandError(f"{_show(argv)}: no end after {deadline:g} s") from error
        raise
    done = Completed(tuple(argv), process.returncode, stdout, stderr)
    if check and done.code != 0:
        raise CommandError(f"{_show(argv)}: exit code {done.code}", details=done.errors)
    return done


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process group that we started, politely first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.communicate(timeout=5)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        else:
            return


def end_marked(run_id: str) -> int:
    """Kill what a run started under its mark and did not end itself, as it was killed; nothing else bears that mark.

    Killed and not asked: what they were making is removed next.

    Returns:
        how many processes there were.
    """
    import psutil  # here, as each pytest run would pay for it

    ended: set[int] = set()
    stop = time.monotonic() + _END_SECONDS
    while time.monotonic() < stop:
        marked = [each for each in psutil.process_iter() if _mark_of(each) == run_id]
        if not marked:
            break
        for process in marked:
            ended.add(process.pid)
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(marked, timeout=1)
    return len(ended)


def _mark_of(process: psutil.Process) -> str:
    """The run that a process belongs to, "" for none, or where that may not be known."""
    import psutil

    try:
        return process.environ().get(MARK, "") if process.status() != psutil.STATUS_ZOMBIE else ""
    except (psutil.Error, OSError):
        return ""


def _show(argv: Sequence[str]) -> str:
    line = shlex.join(argv)
    return line if len(line) <= 160 else f"{line[:157]}..."
