"""The recorder: what comes to be is written down by its id, also when whoever asked for it is killed meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.machine import docker, ledger, locks, recorder
from pytest_k8ssec.machine.ledger import Run
from pytest_k8ssec.machine.terminate import BY, RUN_VARIABLE
from tests.unit.machine.dockers import FakeDocker

SECONDS = 60

ATTENDED = """
import subprocess, sys, time
from pathlib import Path
from pytest_k8ssec.machine import process, recorder
from pytest_k8ssec.machine.ledger import Run
run = Run.begin()
recorder.attend(run)
run.will_create("container", "late")
print(run.directory, flush=True)
process.run(["sleep", "600"], deadline=600, mark=run.id)
"""


@pytest.fixture
def run(fake_docker: FakeDocker) -> Iterator[Run]:
    """A run with a recorder."""
    begun = Run.begin()
    recorder.attend(begun)
    yield begun
    begun.end()


def until(happened: Callable[[], object]) -> None:
    """Wait for it."""
    end = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def recorded(directory: Path) -> list[str]:
    """The ids in a record."""
    return [each.id for each in ledger.read_run(directory).made]


def test_a_container_is_written_down_as_it_comes_to_be(fake_docker: FakeDocker, run: Run) -> None:
    """By its id, without anybody's asking; one of the user's that is made meanwhile is not."""
    run.will_create("container", "x")
    fake_docker.container("mine", "com.example", "x")
    identity = fake_docker.container("x", docker.RUN_LABEL, run.id)
    until(lambda: recorded(run.directory))
    assert [identity] == recorded(run.directory)


def test_it_says_that_it_lives_until_it_is_let_go(run: Run) -> None:
    """Each sign is later than the one before; the last one stays as it is."""
    first = ledger.read_run(run.directory).last_sign
    assert first > 0
    until(lambda: ledger.read_run(run.directory).last_sign > first)
    assert not ledger.read_run(run.directory).settled
    run.dismiss_recorder()
    last = ledger.read_run(run.directory)
    assert last.settled
    assert last.last_sign <= time.time()
    recorder.await_recorders(run)
    assert last.last_sign == ledger.read_run(run.directory).last_sign


def test_there_is_one_for_each_process_of_a_run(run: Run) -> None:
    """Asked for again it is the same, unless that was killed."""
    before = run.recorder
    recorder.attend(run)
    assert before is run.recorder
    (sign,) = (run.directory / "signs").iterdir()
    os.kill(int(sign.name), signal.SIGKILL)
    until(lambda: run.recorder and not run.recorder.lives)
    recorder.attend(run)
    assert before is not run.recorder
    assert run.recorder is not None
    assert run.recorder.lives


def test_threads_that_ask_at_once_get_one(fake_docker: FakeDocker) -> None:
    """Started before anybody needs it; whoever comes while it does not listen yet waits for it."""
    run = Run.begin()
    try:
        recorder.attend_soon(run)
        soon = run.recorder
        with ThreadPoolExecutor(8) as threads:
            done = [threads.submit(recorder.attend, run) for _ in range(8)]
        assert [None] * 8 == [each.result() for each in done]
        assert soon is run.recorder
        assert 1 == len(list(run.signs()))
    finally:
        run.end()


def test_one_that_is_let_go_before_it_listens_is_no_error(fake_docker: FakeDocker) -> None:
    """What needed it was not wanted after all."""
    run = Run.begin()
    recorder.attend_soon(run)
    attendant = run.recorder
    assert attendant is not None
    run.end()
    until(lambda: not attendant.lives)


def test_it_outlives_a_kill_and_writes_down_what_comes_of_it(fake_docker: FakeDocker) -> None:
    """What the process had started is ended, what another process of the run had started is not."""
    process = subprocess.Popen([sys.executable, "-c", ATTENDED], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    directory = Path(process.stdout.readline().strip())
    process.stdout.close()
    started = subprocess.Popen(["sleep", "600"], env={**os.environ, RUN_VARIABLE: directory.name, BY: str(process.pid)})
    another = subprocess.Popen(["sleep", "600"], env={**os.environ, RUN_VARIABLE: directory.name, BY: str(os.getpid())})
    try:
        process.kill()
        process.wait()
        identity = fake_docker.container("late", docker.RUN_LABEL, directory.name)
        assert started.wait(SECONDS) < 0
        recorder.await_recorders(Run.join(directory))
        entry = ledger.read_run(directory)
        assert entry.settled
        assert [identity] == [each.id for each in entry.made]
        assert another.poll() is None
    finally:
        for each in (started, another):
            each.kill()
            each.wait()


def test_a_sweep_waits_for_it(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """One that does not end is told by its process."""
    monkeypatch.setattr(recorder, "_SETTLE_SECONDS", 0.1)
    (sign,) = (run.directory / "signs").iterdir()
    with pytest.raises(ClusterError, match=f"recorder {sign.name} of run {run.id}: has not ended yet") as caught:
        recorder.await_recorders(run)
    assert f"kill {sign.name}" in caught.value.fix
    run.dismiss_recorder()
    recorder.await_recorders(run)
    lock = locks.take(sign)
    assert lock is not None
    lock.release()


def test_docker_may_go_and_come_back(fake_docker: FakeDocker, run: Run) -> None:
    """What was made in between is written down with the next that comes."""
    run.will_create("container", "x")
    broken = fake_docker.folder / "state" / "broken"
    fake_docker.breaks("Cannot connect")
    until(lambda: sum(line.startswith("events ") for line in fake_docker.asked) > 1)
    broken.unlink()
    begun = len(fake_docker.asked)
    until(lambda: any(line.startswith("events ") for line in fake_docker.asked[begun:]))
    identity = fake_docker.container("x", docker.RUN_LABEL, run.id)
    until(lambda: recorded(run.directory))
    assert [identity] == recorded(run.directory)
