"""An agent that stays in a pod of ours: to start Python there, under a pod's limit of CPU, takes longer than most questions.

The same program does the same tasks in the same container, each specification in a child of its own, and the same is believed
of its answers. Only how it is started differs, and how often.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import JSON, Source
from pytest_k8ssec.machine.process import Completed

_START_SECONDS = 20
_BUSY_SECONDS = 0.5
"""So long a question waits for another one's answer: most take less, and to send an agent anew takes longer."""


class Session(Protocol):
    """A command that runs on; see :class:`pytest_k8ssec.clusters.exec_session.ExecSession`."""

    @property
    def alive(self) -> bool:
        """Whether it still runs."""

    def tell(self, data: bytes) -> None:
        """Write to its standard input. Raises ProbeError."""

    def hear(self, seconds: float) -> tuple[bytes, bytes]:
        """What comes next on standard output and standard error. Raises ProbeError."""

    def close(self) -> None:
        """End it."""


class Residence(Protocol):
    """Where an agent can be sent to."""

    @property
    def source(self) -> Source:
        """How evidence names it."""

    def begin(self, argv: Sequence[str], deadline: float) -> Session:
        """Start a command that runs on. Raises ProbeError."""


class Resident:
    """The agent of one pod, started when it is first asked, and again where it has gone meanwhile.

    One question at a time: who finds it busy has to send an agent of their own. Safe to share between threads.

    Args:
        place: the pod.
        argv: the command that runs a program from standard input.
        code: the program.
    """

    def __init__(self, place: Residence, argv: Sequence[str], code: bytes) -> None:
        self._place = place
        self._argv = tuple(argv)
        self._code = code
        self._free = threading.Lock()
        self._session: Session | None = None

    def ask(self, specification: Mapping[str, JSON], deadline: float) -> Completed | None:
        """Have the tasks of a specification done; None where it is busy with another one.

        Raises:
            ProbeError: it could not be started, broke off, or did not come to its end before the deadline.
        """
        if not self._free.acquire(timeout=_BUSY_SECONDS):
            return None
        try:
            end = time.monotonic() + deadline
            kept = self._session
            if kept is not None and kept.alive and (done := self._asked(kept, specification, end)) is not None:
                return done
            # It went, as when its container or the API server was started anew: a new one is asked, as for the first time.
            self._leave()
            self._session = self._place.begin(self._argv, min(deadline, _START_SECONDS))
            self._session.tell(b"%d\n%b" % (len(self._code), self._code))
            if (done := self._asked(self._session, specification, end)) is None:
                raise ProbeError(f"{self._place.source}: the agent ended before it answered")
        except BaseException:
            self._leave()  # what comes of it later must not be taken for an answer to something else
            raise
        else:
            return done
        finally:
            self._free.release()

    def close(self) -> None:
        """End it; who waits for its answer is told that it broke off. It can be asked again."""
        if self._free.acquire(timeout=_BUSY_SECONDS):
            try:
                self._leave()
            finally:
                self._free.release()
        elif (session := self._session) is not None:
            session.close()

    def _leave(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _asked(self, session: Session, specification: Mapping[str, JSON], end: float) -> Completed | None:
        """What it says, up to the line that tells the child's exit code; None where it ended without a word."""
        told = json.dumps({**specification, "stay": True}).encode()
        out, errors = bytearray(), bytearray()
        try:
            session.tell(b"%d\n%b" % (len(told), told))
            while True:
                if (left := end - time.monotonic()) <= 0:
                    raise ProbeError(f"{self._place.source}: the agent did not end in time")
                came, complained = session.hear(left)
                out += came
                errors += complained
                if out.endswith(b"\n"):
                    answers, _, line = bytes(out[:-1]).rpartition(b"\n")
                    if (code := _code(line, str(specification["nonce"]))) is not None:
                        return Completed(self._argv, code, answers, bytes(errors))
                if not came and not complained and not session.alive:
                    break
        except ProbeError:
            if out or session.alive:
                raise
        if out:
            raise ProbeError(f"{self._place.source}: the agent broke off in the middle of its answer")
        return None


def _code(line: bytes, nonce: str) -> int | None:
    """The exit code of the child that answered, where that is what the line tells."""
    try:
        told = json.loads(line)
        if isinstance(told, dict) and told.get("left") == nonce:
            return int(told["code"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return None
