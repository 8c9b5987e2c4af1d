"""Run a program to its end, and say what it cost: all arms are measured by this, from start to exit."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_k8ssec.errors import CommandError


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run of a program took, its children's share included."""

    seconds: float
    cpu_s: float
    """User and system time."""
    rss_mb: float
    """The most memory that it had at a time."""
    said: str
    """Standard output."""


def environment() -> dict[str, str]:
    """What an arm has of this process's environment: nothing that could change what it does."""
    return {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "PYTHONPATH")}


def measured(argv: Sequence[str], *, env: Mapping[str, str], stdin: str, deadline: float) -> Cost:
    """Run ``argv``, with ``stdin`` to read and ``env`` as its whole environment.

    Raises:
        CommandError: it failed, or ran past its deadline.
    """
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as errors:
        given.write(stdin.encode())
        given.seek(0)
        started = time.monotonic()
        process = subprocess.Popen(argv, stdin=given, stdout=said, stderr=errors, env=dict(env), start_new_session=True)
        late = threading.Timer(deadline, process.kill)
        late.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            late.cancel()
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        if process.returncode:
            raise CommandError(
                f"{argv[0]}: {'no end in time' if seconds >= deadline else f'exit code {process.returncode}'}",
                details=errors.read().decode(errors="replace")[-3000:],
            )
        said.seek(0)
        return Cost(
            round(seconds, 3), round(usage.ru_utime + usage.ru_stime, 3), round(usage.ru_maxrss / 1024, 1),
            said.read().decode(errors="replace"),
        )  # fmt: skip
