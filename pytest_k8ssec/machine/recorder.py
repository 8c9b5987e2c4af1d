"""The recorder: a small process beside each process of a run that makes containers. It outlives a kill of that process.

A container that kind makes has an id only once it exists, and the process that waits for the id may be killed in that
instant. So the recorder listens to docker, and writes down the id of each container of the run as soon as it exists.
Meanwhile it gives signs of life. When its parent ends without a word, the recorder ends what the parent had started,
lets docker finish what docker was asked for, writes that down too, and ends. See :mod:`belongings` for what follows
from that.
"""

from __future__ import annotations

import atexit
import os
import selectors
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from pytest_k8ssec.errors import ClusterError, K8ssecError
from pytest_k8ssec.machine import belongings, locks
from pytest_k8ssec.machine.ledger import Run
from pytest_k8ssec.machine.terminate import BY, RUN_VARIABLE, end_marked

_PULSE = 0.2
"""Seconds between two signs of life."""
_PATIENCE = 1
"""Seconds until a daemon that is gone is looked for again."""
_CLOCKS_SECONDS = 5
"""How far the daemon's clock may be behind: what it told before is told again, and does no harm."""
_START_SECONDS = 20
_END_SECONDS = 5
_SETTLE_SECONDS = 90
"""How long a recorder that lost its parent may take: it waits for docker to finish a container."""
_DONE = b"done\n"
_STARTING = threading.Lock()
"""Whoever has it starts a recorder, or waits until one listens."""


class Recorder:
    """The parent's side. Get one with :func:`attend`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._parent = os.getpid()
        self._listens = False

    def await_listening(self) -> None:
        """Wait until it would write a container down. Raises ClusterError where it does not come to that."""
        if self._listens:
            return
        if not _began(self._process):
            self._process.kill()
            self._process.wait()
            raise ClusterError(
                "recorder of what is created: did not start", fix="try again: the machine may be too busy"
            )
        self._listens = True

    @property
    def lives(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def dismiss(self) -> None:
        """End it: all that was made is written down. In a forked process this does nothing."""
        if os.getpid() != self._parent:
            return
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):  # it was killed, or was dismissed before
            self._process.stdin.write(_DONE)
            self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def attend(run: Run) -> None:
    """Have a recorder for this process, until the run is over. Called before a name is recorded in advance.

    Several threads may call it at once.

    Raises:
        ClusterError: it does not start.
    """
    with _STARTING:
        attend_soon(run)
        assert run.recorder is not None
        run.recorder.await_listening()


def attend_soon(run: Run) -> None:
    """Start a recorder where there is none; :func:`attend` waits for it, once something is to be made."""
    if run.recorder is not None and run.recorder.lives:
        return
    env = {key: value for key, value in os.environ.items() if key not in (RUN_VARIABLE, BY)}
    process = subprocess.Popen(
        # -P: what lies where pytest was started is not ours to import.
        [sys.executable, "-P", "-m", __name__, str(run.directory), str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=env,
        start_new_session=True,  # a Ctrl-C is for its parent
    )
    run.recorder = recorder = Recorder(process)
    atexit.register(recorder.dismiss)


def _began(process: subprocess.Popen[bytes]) -> bool:
    assert process.stdout is not None
    with process.stdout as told, selectors.DefaultSelector() as selector:
        selector.register(told, selectors.EVENT_READ)
        return bool(selector.select(_START_SECONDS) and told.readline())


def await_recorders(run: Run) -> None:
    """Wait until the recorders of a dead run have written down what they have to.

    Raises:
        ClusterError: one of them does not end.
    """
    for sign in run.signs():
        try:
            with locks.waited_for(sign, _SETTLE_SECONDS):
                pass
        except TimeoutError as error:
            raise ClusterError(
                f"recorder {sign.name} of run {run.id}: has not ended yet",
                fix=f"try again later, or end it: kill {sign.name}",
            ) from error


def keep_record(directory: Path, parent: int) -> None:
    """Record a process's containers, until the process says that it is done, or is gone."""
    run = Run.join(directory)
    over = threading.Event()
    sign = run.sign_file(os.getpid())
    lock = locks.take(sign)
    _say_alive(sign)
    threading.Thread(target=_live, args=(sign, over), daemon=True).start()
    os.write(1, b"ready\n")
    try:
        if not _listen(run, parent):
            end_marked(run.id, by=parent)
            _write_down(run)
        with suppress(OSError, K8ssecError):
            _say_alive(sign)
            run.settled(os.getpid())
    finally:
        over.set()
        if lock:
            lock.release()


def _live(sign: Path, over: threading.Event) -> None:
    while not over.wait(_PULSE):
        with suppress(OSError):  # the folder is gone, or the disk is full
            _say_alive(sign)


def _say_alive(sign: Path) -> None:
    """Always as long, so that nobody ever reads half of it."""
    descriptor = os.open(sign, os.O_WRONLY)
    try:
        os.pwrite(descriptor, f"{time.time():017.6f}".encode(), 0)
    finally:
        os.close(descriptor)


def _listen(run: Run, parent: int) -> bool:
    """Write down each container as it comes to be. Returns whether the parent said that it is done."""
    since = time.time() - _CLOCKS_SECONDS
    while os.getppid() == parent:
        with _events(run, since) as events, selectors.DefaultSelector() as selector:
            assert events.stdout is not None
            selector.register(0, selectors.EVENT_READ)
            selector.register(events.stdout, selectors.EVENT_READ)
            try:
                while os.getppid() == parent:
                    for key, _ in selector.select(_PULSE):
                        said = os.read(key.fd, 1 << 16)
                        if key.fd == 0:
                            return said == _DONE
                        if not said:
                            raise _Deaf
                        _write_down(run)
            except _Deaf:
                time.sleep(_PATIENCE)  # the daemon is gone and may come back; nobody tells when
            finally:
                events.kill()
    return False


class _Deaf(Exception):
    """Docker tells no more."""


def _events(run: Run, since: float) -> subprocess.Popen[bytes]:
    """Docker's word of each container that was made since; it bears the run's mark, so that a sweep finds it."""
    return subprocess.Popen(
        [
            *("docker", "events", "--since", f"{since:.9f}", "--filter", "type=container"),
            *("--filter", "event=create", "--format", "{{.ID}}"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, RUN_VARIABLE: run.id, BY: str(os.getpid())},
    )


def _write_down(run: Run) -> None:
    with suppress(K8ssecError):  # docker does not answer, or the disk is full: the name was written ahead
        run.made(belongings.of_living(run))


if __name__ == "__main__":
    keep_record(Path(sys.argv[1]), int(sys.argv[2]))
