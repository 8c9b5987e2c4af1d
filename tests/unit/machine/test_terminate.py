"""Ending commands: all that they started goes, and one that makes a container is waited for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_k8ssec.errors import CommandError
from pytest_k8ssec.machine import terminate
from pytest_k8ssec.machine.process import run
from pytest_k8ssec.machine.terminate import RUN_VARIABLE, end_group, end_marked
from tests.unit.machine.processes import gone

Command = subprocess.Popen[bytes]


@pytest.fixture
def started() -> Iterator[list[Command]]:
    """Commands that the test started; whatever it forgot is killed."""
    commands: list[Command] = []
    yield commands
    for command in commands:
        if command.poll() is None:
            os.killpg(command.pid, signal.SIGKILL)
        command.wait()


def start(started: list[Command], *argv: str, mark: str = "") -> Command:
    """Start a command in a group of its own."""
    env = {**os.environ, **({RUN_VARIABLE: mark} if mark else {})}
    started.append(subprocess.Popen(argv, env=env, start_new_session=True))
    return started[-1]


def fake_docker(tmp_path: Path) -> Path:
    """A `docker` that takes a second to make a container, here a file."""
    program = tmp_path / "docker"
    program.symlink_to("/bin/sh")  # the name is what counts, and `sh run` reads its commands from the file `run`
    (tmp_path / "run").write_text('echo begun > "$1.begun"\nsleep 20\necho made > "$1"\n')
    return program


def wait_for(path: Path) -> None:
    """Wait until a file is there."""
    end = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.02)


def test_what_makes_a_container_is_waited_for(
    tmp_path: Path, started: list[Command], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that started `docker run` goes at once, `docker run` only when it is done."""
    monkeypatch.chdir(tmp_path)
    docker = fake_docker(tmp_path)
    kind = start(
        started,
        sys.executable,
        "-c",
        f"import subprocess as s; s.run(['{docker}', 'run', 'node']); s.run(['touch', 'next'])",
    )
    wait_for(tmp_path / "node.begun")
    assert 2 <= end_group(kind.pid)
    assert (tmp_path / "node").exists()
    assert not (tmp_path / "next").exists()
    assert -signal.SIGTERM == kind.wait(5)


def test_what_ignores_a_polite_word_is_killed(
    tmp_path: Path, started: list[Command], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM may be ignored, SIGKILL not."""
    monkeypatch.setattr(terminate, "_POLITE_SECONDS", 0.2)
    deaf = (
        "import signal, time, pathlib; signal.signal(15, signal.SIG_IGN); pathlib.Path('deaf').touch(); time.sleep(60)"
    )
    monkeypatch.chdir(tmp_path)
    command = start(started, sys.executable, "-c", deaf)
    wait_for(tmp_path / "deaf")
    assert 1 == end_group(command.pid)
    assert -signal.SIGKILL == command.wait(5)


def test_only_what_bears_the_mark_is_ended(started: list[Command]) -> None:
    """Another run's commands, and those of nobody, live on."""
    mine, others, nobodys = (
        start(started, "sleep", "60", mark=mark) for mark in (f"a-{os.getpid()}", f"b-{os.getpid()}", "")
    )
    assert 1 == end_marked(f"a-{os.getpid()}")
    assert -signal.SIGKILL == mine.wait(5)
    assert others.poll() is None
    assert nobodys.poll() is None


def test_command_past_its_deadline_ends_with_its_children(tmp_path: Path) -> None:
    """What a command has started in the background goes with it, and the error says how long it was given."""
    with pytest.raises(CommandError, match=r"did not end within 2 s"):
        run(["sh", "-c", "sleep 60 & echo $! > child; wait"], deadline=2, cwd=tmp_path)
    assert gone(int((tmp_path / "child").read_text()))
