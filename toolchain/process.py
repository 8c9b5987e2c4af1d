"""Runs other programs: always with a deadline, never with a shell, and none outlives an interrupted build."""

import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from toolchain.errors import ToolchainError

TAIL_LINES = 25
"""How much of a failed program's output goes into the error."""

GRACE = 10.0
"""Seconds that a program gets to clean up after itself, once it is told to end."""

_running: set[subprocess.Popen[str]] = set()
_stopping = threading.Event()
_lock = threading.Lock()


def capture(
    argv: Sequence[str | Path], *, deadline: float, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> str:
    """What the program printed on stdout; its stderr only appears in an error."""
    with _started(argv, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        started = time.monotonic()
        try:
            out, err = child.communicate(timeout=deadline)
        except subprocess.TimeoutExpired:
            raise ToolchainError(_failure(argv, f"gave no answer in {deadline:.0f} s", "")) from None
        if child.returncode:
            raise ToolchainError(_failure(argv, _ending(child.returncode, started), err or out))
        return out


def succeeds(argv: Sequence[str | Path], *, deadline: float) -> bool:
    """Whether the program exits with 0; not being there, or not answering in time, counts as no."""
    try:
        capture(argv, deadline=deadline)
    except ToolchainError:
        return False
    return True


def logged(
    argv: Sequence[str | Path],
    *,
    log: Path,
    deadline: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """Appends all that the program prints to the log; a failure shows the log's tail and where the rest is."""
    with log.open("a", encoding="utf-8") as output:
        output.write(f"$ {shlex.join(map(str, argv))}\n")
        output.flush()
        start = output.tell()
        with _started(argv, env=env, cwd=cwd, stdout=output, stderr=subprocess.STDOUT) as child:
            started = time.monotonic()
            try:
                child.wait(timeout=deadline)
            except subprocess.TimeoutExpired:
                raise ToolchainError(
                    _failure(argv, f"was not done in {deadline:.0f} s", _tail(log, start), log)
                ) from None
            if child.returncode:
                raise ToolchainError(_failure(argv, _ending(child.returncode, started), _tail(log, start), log))


def detached(argv: Sequence[str | Path], *, log: Path) -> int:
    """Starts a daemon and leaves it: a session of its own, and no stream that a caller could be waiting on."""
    with log.open("a", encoding="utf-8") as output:
        child = subprocess.Popen(
            [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            close_fds=True,
        )
    return child.pid


def stop_all() -> None:
    """Ends the programs that this process is waiting for, and lets it start no more."""
    with _lock:
        _stopping.set()
        children = list(_running)
    for child in children:
        _end(child)


@contextmanager
def _started(
    argv: Sequence[str | Path], *, env: Mapping[str, str] | None, cwd: Path | None, stdout: IO[str] | int, stderr: int
) -> Iterator["subprocess.Popen[str]"]:
    """A child in a process group of its own, which is gone when the block is left, however that happens."""
    with _lock:
        if _stopping.is_set():
            raise ToolchainError(f"{argv[0]}: not started, because the build is being stopped")
        try:
            child = subprocess.Popen(
                [str(word) for word in argv],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                text=True,
                errors="replace",
                env=None if env is None else {**os.environ, **env},
                cwd=cwd,
                start_new_session=True,
            )
        except OSError as error:
            raise ToolchainError(f"{argv[0]}: can't be run: {error.strerror}") from error
        _running.add(child)
    try:
        yield child
    finally:
        _end(child)
        _running.discard(child)
        for stream in (child.stdout, child.stderr):
            if stream:
                stream.close()


def _end(child: "subprocess.Popen[str]") -> None:
    """The whole group, so that a compiler does not outlive the `go` that started it; first with time to clean up."""
    for how, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, None)):
        if child.poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(child.pid, how)
        with suppress(subprocess.TimeoutExpired):
            child.wait(patience)


def _ending(returncode: int, started: float) -> str:
    how = f"exit status {returncode}" if returncode > 0 else f"killed by {signal.Signals(-returncode).name}"
    return f"{how} after {time.monotonic() - started:.1f} s"


def _tail(log: Path, start: int) -> str:
    with log.open(encoding="utf-8", errors="replace") as lines:
        lines.seek(start)
        return "".join(lines.readlines()[-TAIL_LINES:])


def _failure(argv: Sequence[str | Path], how: str, output: str, log: Path | None = None) -> str:
    lines = [f"{Path(argv[0]).name}: {how}", f"  command: {shlex.join(map(str, argv))}"]
    lines += [f"  | {line}" for line in output.strip().splitlines()[-TAIL_LINES:]]
    if log:
        lines.append(f"  whole log: {log}")
    return "\n".join(lines)
