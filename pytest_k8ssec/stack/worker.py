"""The parent's side of the child process: starts it in a session of its own, yields what it says, always ends it."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import IO, Self, cast

from pytest_k8ssec.errors import StackError
from pytest_k8ssec.machine.end_session import end_session
from pytest_k8ssec.stack.messages import EARLY, Diagnostic, Failed, Finished, Job, Message, decode
from pytest_k8ssec.stack.workspace import Workspace

_CHUNK = 1 << 16
_TAIL = 40
"""Lines of the child's standard error that are kept."""


class OutOfTime(Exception):
    """The deadline came before the child's last message."""


def _started(env: Mapping[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            sys.executable,
            "-P",
            "-m",
            "pytest_k8ssec.stack.child",
            *arguments,
        ],  # -P: nothing of where pytest was started
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(env),
        start_new_session=True,
    )


def _order(process: subprocess.Popen[bytes], job: Job) -> None:
    """Send a job. Standard input stays open: the child takes its end for ours."""
    assert process.stdin is not None
    try:
        process.stdin.write(job.to_json().encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        return  # it died before: its standard error tells why


def _ended(process: subprocess.Popen[bytes]) -> None:
    end_session(process.pid)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            with suppress(BrokenPipeError):  # what it was not told before it died is still in there
                stream.close()


class EarlyChild:
    """A child that is started while there is no cluster yet: it imports Pulumi, and can make the stack in its workspace.

    Like every child it goes when this process does.
    """

    def __init__(self) -> None:
        # Nothing that could lead to the user's stacks or clusters; the rest of its environment comes with its first job.
        env = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_") and key != "KUBECONFIG"}
        self._process: subprocess.Popen[bytes] | None = _started(env, EARLY)
        self._workspace: Workspace | None = None

    def make_stack(self, workspace: Workspace) -> None:
        """Have it make the stack there; else that is left to the first job."""
        assert self._process is not None
        self._workspace = workspace
        _order(self._process, workspace.job("init", workspace.env))

    @property
    def workspace(self) -> Workspace | None:
        """Where it made the stack, as long as nobody took it."""
        return self._workspace if self._process is not None else None

    def take(self) -> subprocess.Popen[bytes] | None:
        """The process, once; None where it was taken, or has died. With a workspace its first word is about ``init``."""
        process, self._process = self._process, None
        if process is not None and process.poll() is not None:
            _ended(process)
            return None
        return process

    def end(self) -> None:
        """End it, where nobody took it."""
        if self._process is not None:
            _ended(self._process)
            self._process = None


class Worker:
    """The child process. Use it inside a ``with``: leaving that ends all its processes.

    Args:
        env: the child's complete environment.
        deadline: when it must have ended, in time.monotonic()'s seconds.
        hide: takes secret values out of a text; all that the child says in words goes through it.
        early: one that was started before, if there is one.
    """

    def __init__(
        self,
        *,
        env: Mapping[str, str],
        deadline: float,
        hide: Callable[[str], str] = str,
        early: EarlyChild | None = None,
    ) -> None:
        self._deadline = deadline
        self._env = env
        self._hide = hide
        self._early = early
        self._told: Mapping[str, str] = {}
        self._initial = False
        self._errors: deque[str] = deque(maxlen=_TAIL)

    def __enter__(self) -> Self:
        initial = self._early is not None and self._early.workspace is not None
        waiting = self._early.take() if self._early else None
        if waiting is not None:
            self._told = self._env
            self._initial = initial
        self._process = waiting or _started(self._env)
        return self

    def __exit__(self, *_: object) -> None:
        _ended(self._process)

    def hurry(self, seconds: float) -> None:
        """Bring the deadline forward, to so many seconds from now at the latest."""
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    def put_off(self, seconds: float) -> None:
        """Put the deadline off by so many seconds."""
        self._deadline += seconds

    def run(self, job: Job) -> Iterator[Message]:
        """Run a job. Yields what the child says, up to and with ``Finished`` or ``Failed``.

        Raises:
            OutOfTime: the deadline came first.
            StackError: the child broke off without a last message.
        """
        if self._initial:
            self._initial = False
            last = deque(self._said("init"), maxlen=1).pop()
            if isinstance(last, Failed):
                yield last
                return
        _order(self._process, replace(job, environment=self._told))
        yield from self._said(job.operation)

    def _said(self, operation: str) -> Iterator[Message]:
        """What the child says about an operation, up to its last word."""
        for line in self._lines():
            message = decode(line)
            if isinstance(message, Diagnostic | Failed):
                message = replace(message, message=self._hide(message.message))
            yield message
            if isinstance(message, Finished | Failed):
                return
        raise StackError(
            f"pulumi: broke off with exit code {self._process.wait()} in the middle of {operation}",
            details=self._hide("\n".join(self._errors)),
        )

    def _lines(self) -> Iterator[str]:
        """Lines of standard output, until it ends; those of standard error are kept aside."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        with selectors.DefaultSelector() as selector:
            pending = {self._process.stdout: b"", self._process.stderr: b""}
            for stream in pending:
                selector.register(stream, selectors.EVENT_READ)
            while self._process.stdout in pending:
                left = self._deadline - time.monotonic()
                ready = selector.select(left) if left > 0 else []
                if not ready:
                    raise OutOfTime
                for key, _ in ready:
                    stream = cast("IO[bytes]", key.fileobj)
                    chunk = os.read(key.fd, _CHUNK)
                    *lines, pending[stream] = (pending[stream] + chunk).split(b"\n")
                    if not chunk:
                        del pending[stream]
                        selector.unregister(stream)
                    if stream is self._process.stdout:
                        yield from (line.decode() for line in lines)
                    else:
                        self._errors.extend(line.decode(errors="replace") for line in lines)
