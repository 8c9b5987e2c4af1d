"""Locks: one holder at a time, and none that outlives its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_k8ssec.machine.locks import take, waited_for

HOLDER = """
import os, sys, time
from pathlib import Path
from pytest_k8ssec.machine.locks import take
lock = take(Path(sys.argv[1]))
{then}
print("holds" if lock else "refused", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holders() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that the test started; all are killed."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def hold(holders: list[subprocess.Popen[bytes]], path: Path, then: str = "") -> subprocess.Popen[bytes]:
    """Another process that has taken the lock, and then does something."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER.format(then=then), str(path)], stdout=subprocess.PIPE)
    holders.append(process)
    assert process.stdout
    assert b"holds\n" == process.stdout.readline()
    return process


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    """Who comes second gets nothing, until the first lets go; also within one process."""
    path = tmp_path / "lock"
    first = take(path)
    assert first
    assert take(path) is None
    first.release()
    second = take(path)
    assert second
    first.release()  # a second time: that lock is another's by now
    assert take(path) is None
    second.release()


def test_a_lock_is_for_its_owner_only(tmp_path: Path) -> None:
    """Nobody else may hold a run up by locking its file."""
    lock = take(tmp_path / "lock")
    assert lock
    assert 0o600 == (tmp_path / "lock").stat().st_mode & 0o777
    lock.release()


def test_a_lock_goes_with_its_process(tmp_path: Path, holders: list[subprocess.Popen[bytes]]) -> None:
    """However that ends."""
    path = tmp_path / "lock"
    process = hold(holders, path)
    assert take(path) is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    lock = take(path)
    assert lock
    lock.release()


def test_a_child_that_lives_on_does_not_keep_the_lock(tmp_path: Path, holders: list[subprocess.Popen[bytes]]) -> None:
    """Neither a command that was started, nor, once it was let go, a fork."""
    path = tmp_path / "lock"
    started = f"import subprocess; child = subprocess.Popen(['sleep', '60']); open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))"
    process = hold(holders, path, started)
    process.kill()
    process.wait()
    lock = take(path)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert lock
    lock.release()
    forked = "if os.fork() == 0: os.close(1); time.sleep(5); os._exit(0)\nlock.release()"
    hold(holders, tmp_path / "other", forked)
    lock = take(tmp_path / "other")
    assert lock
    lock.release()


def test_a_locked_folder_may_be_renamed(tmp_path: Path) -> None:
    """The lock stays with its file, and letting it go brings nothing back."""
    (tmp_path / "old").mkdir()
    lock = take(tmp_path / "old" / "lock")
    assert lock
    (tmp_path / "old").rename(tmp_path / "new")
    assert take(tmp_path / "new" / "lock") is None
    lock.release()
    assert ["new"] == [path.name for path in tmp_path.iterdir()]


def test_a_folder_that_is_gone_stays_gone(tmp_path: Path) -> None:
    """Taking makes a file, never a folder."""
    with pytest.raises(FileNotFoundError):
        take(tmp_path / "gone" / "lock")
    assert [] == list(tmp_path.iterdir())


def test_what_is_no_file_can_not_be_locked(tmp_path: Path) -> None:
    """That is an error, and not a lock that another holds."""
    with pytest.raises(IsADirectoryError):
        take(tmp_path)


def test_waiting_ends_when_the_holder_lets_go(tmp_path: Path) -> None:
    """And then it is held; after the block it is free, also where the block failed."""
    path = tmp_path / "lock"
    first = take(path)
    assert first
    started = time.monotonic()
    threading.Timer(0.3, first.release).start()

    def failing() -> None:
        with waited_for(path, 20):
            assert 0.2 < time.monotonic() - started
            assert take(path) is None
            raise KeyError("within")

    with pytest.raises(KeyError, match="within"):
        failing()
    free = take(path)
    assert free
    free.release()


@pytest.mark.parametrize("deadline", [0.0, 0.2])
def test_waiting_has_a_deadline(tmp_path: Path, deadline: float) -> None:
    """Its end is an error that names the file, and the holder keeps the lock."""
    path = tmp_path / "lock"
    first = take(path)
    assert first
    started = time.monotonic()
    with pytest.raises(TimeoutError, match="lock: is locked by another process"), waited_for(path, deadline):
        pytest.fail("it is held by somebody else")
    assert deadline <= time.monotonic() - started < deadline + 30
    assert take(path) is None
    first.release()


def test_many_threads_take_turns(tmp_path: Path) -> None:
    """Between reading and writing nobody comes in between."""
    count = tmp_path / "count"
    count.write_text("0")

    def increase() -> None:
        for _ in range(5):
            with waited_for(tmp_path / "lock", 20):
                value = int(count.read_text())
                time.sleep(0.001)
                count.write_text(str(value + 1))

    threads = [threading.Thread(target=increase) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "20" == count.read_text()


def test_a_process_that_was_forked_off_has_no_lock(tmp_path: Path) -> None:
    """It neither lets ours go nor keeps it: a test of the user's may fork, and its child may outlive us."""
    lock = take(tmp_path / "lock")
    assert lock is not None
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        lock.release()
        os.read(reading, 1)
        os._exit(0)
    try:
        assert take(tmp_path / "lock") is None, "let go by the child"
        lock.release()
        again = take(tmp_path / "lock")
        assert again is not None, "kept by the child"
        again.release()
    finally:
        os.write(writing, b"x")
        os.waitpid(child, 0)
