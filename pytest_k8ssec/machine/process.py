"""Run an external command: always with a deadline, never through a shell, its children ended with it."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pytest_k8ssec.errors import CommandError
from pytest_k8ssec.machine.proxies import direct
from pytest_k8ssec.machine.terminate import BY, RUN_VARIABLE, end_group

Tell = Callable[[str], None]


_TAIL = 30
"""Lines of a failed command's output that an error shows."""
_REAP_SECONDS = 5


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
    mark: str = "",
) -> Completed:
    """Run ``argv`` to its end in a process group of its own.

    Args:
        argv: command and arguments; secrets belong in ``stdin`` or ``env``, as errors quote the arguments.
        deadline: seconds until the whole group is ended.
        env: the complete environment, or None for the present one; loopback is excepted from its proxies.
        stdin: what the command reads; empty means end of file at once.
        check: whether an exit code other than 0 is an error.
        mark: id of the run that it belongs to, if a sweep must be able to end it after this process was killed.

    Raises:
        CommandError: it could not be started, ran past its deadline, or (with ``check``) failed.
    """
    env = direct(os.environ if env is None else env)
    if mark:
        env |= {RUN_VARIABLE: mark, BY: str(os.getpid())}
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            cwd=cwd,
            # A Ctrl-C reaches this process alone: it decides what the command's end shall be.
            start_new_session=True,
        )
    except OSError as error:
        raise CommandError(f"{argv[0]}: could not be started: {error.strerror}") from error
    try:
        stdout, stderr = process.communicate(stdin, timeout=deadline)
    except BaseException as error:
        stderr = _end(process)
        if isinstance(error, subprocess.TimeoutExpired):
            # Not what is on standard output, which may be half of a secret.
            said = Completed(tuple(argv), -1, b"", stderr).errors
            raise CommandError(f"{_show(argv)}: did not end within {deadline:g} s", details=said) from error
        raise
    done = Completed(tuple(argv), process.returncode, stdout, stderr)
    if check and done.code != 0:
        raise exit_error(done)
    return done


def exit_error(done: Completed) -> CommandError:
    """The error for a command that ended with another code than 0."""
    return CommandError(f"{_show(done.argv)}: exit code {done.code}", details=done.errors)


def _end(process: subprocess.Popen[bytes]) -> bytes:
    """End the process group that we started. Returns what it said on standard error."""
    end_group(process.pid)
    try:
        return process.communicate(timeout=_REAP_SECONDS)[1]
    except subprocess.TimeoutExpired as error:  # one that left the group holds the pipes
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                with suppress(OSError):
                    pipe.close()
        process.poll()
        return error.stderr or b""


def _show(argv: Sequence[str]) -> str:
    line = shlex.join(argv)
    return line if len(line) <= 160 else f"{line[:157]}..."
