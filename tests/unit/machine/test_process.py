"""Commands: a deadline is an error that keeps what was said, and nothing that was started stays."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from pytest_k8ssec.errors import CommandError
from pytest_k8ssec.machine import process
from pytest_k8ssec.machine.process import Completed, run
from pytest_k8ssec.machine.terminate import RUN_VARIABLE
from tests.unit.machine.processes import gone


def script(text: str) -> list[str]:
    """A command that runs Python."""
    return [sys.executable, "-c", text]


def test_both_outputs_are_kept_apart() -> None:
    """Bytes as they came, and text for whoever wants it."""
    done = run(script("import sys; sys.stdout.buffer.write(b'a\\xff'); sys.stderr.write('b')"), deadline=20)
    assert (0, b"a\xff", b"b", "a\ufffd") == (done.code, done.stdout, done.stderr, done.text)


def test_much_output_on_both_sides_does_not_block() -> None:
    """Pipes are read while the command runs, and its input is written meanwhile."""
    much = b"x" * 300_000
    done = run(
        script("import sys; s = sys.stdin.read(); sys.stderr.write(s); sys.stdout.write(s)"), deadline=20, stdin=much
    )
    assert (much, much) == (done.stdout, done.stderr)


def test_without_input_it_is_at_its_end() -> None:
    """A command that asks a question gets no answer, instead of waiting for one."""
    assert b"''" == run(script("import sys; print(repr(sys.stdin.read()), end='')"), deadline=20).stdout


def test_input_that_nobody_reads_is_no_error() -> None:
    """A command may end without having read all."""
    assert 0 == run(["true"], deadline=20, stdin=b"x" * 300_000).code


def test_a_failure_is_told_with_what_the_command_said() -> None:
    """The command line, its exit code, and the end of its standard error."""
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "echo out; seq 1 40 >&2; exit 3"], deadline=20)
    assert "sh -c 'echo out; seq 1 40 >&2; exit 3': exit code 3" == caught.value.message
    assert [str(number) for number in range(11, 41)] == caught.value.details.splitlines()


def test_a_failure_without_standard_error_is_told_with_standard_output() -> None:
    """Some tools complain there."""
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "echo why; exit 1"], deadline=20)
    assert "why" == caught.value.details


def test_a_failure_may_be_an_answer() -> None:
    """Unchecked, the exit code is the caller's business."""
    assert (4, "no\n") == ((done := run(["sh", "-c", "echo no; exit 4"], deadline=20, check=False)).code, done.text)


def test_death_by_a_signal_is_a_failure() -> None:
    """A command that was killed did not succeed."""
    with pytest.raises(CommandError, match="exit code -9"):
        run(["sh", "-c", "kill -9 $$"], deadline=20)


def test_a_long_command_line_is_shortened() -> None:
    """An error's first line stays one that can be read."""
    with pytest.raises(CommandError) as caught:
        run(["false", "x" * 500], deadline=20)
    assert len(caught.value.message) < 200
    assert "...: exit code 1" in caught.value.message


@pytest.mark.parametrize(
    ("name", "mode", "why"),
    [("there-is-none", None, "No such file or directory"), ("not-executable", 0o644, "Permission denied")],
)
def test_a_command_that_can_not_be_started(tmp_path: Path, name: str, mode: int | None, why: str) -> None:
    """The error names the program and says why, in the system's words."""
    program = tmp_path / name
    if mode:
        program.touch(mode)
    with pytest.raises(CommandError) as caught:
        run([str(program)], deadline=20)
    assert f"{program}: could not be started: {why}" == caught.value.message


def test_the_deadline_is_an_error_with_what_was_said_until_then() -> None:
    """What a command was at when it stopped to answer is all that a reader has; its results are not shown."""
    started = time.monotonic()
    with pytest.raises(CommandError, match=r"did not end within 2 s") as caught:
        run(["sh", "-c", "echo half a secret; echo pulling the image >&2; exec sleep 60"], deadline=2)
    assert time.monotonic() - started < 30
    assert "pulling the image" == caught.value.details


def test_the_deadline_counts_also_where_the_exit_code_does_not() -> None:
    """Unchecked is not unending."""
    with pytest.raises(CommandError, match="did not end"):
        run(["sleep", "60"], deadline=0.2, check=False)


@pytest.mark.parametrize("command", ["sleep 60 & echo $! > child; wait", "(sleep 60 & echo $! > child); exec sleep 61"])
def test_the_deadline_ends_children_too(tmp_path: Path, command: str) -> None:
    """Also those that their parent has left."""
    with pytest.raises(CommandError, match="did not end"):
        run(["sh", "-c", command], deadline=2, cwd=tmp_path)
    assert gone(int((tmp_path / "child").read_text()))


def test_a_grandchild_that_holds_the_output_and_left_the_group_does_not_hang_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can't be found, so it is not waited for either; nothing of the command itself is left open."""
    monkeypatch.setattr(process, "_REAP_SECONDS", 0.5)
    leaver = f"import os, time; os.setsid(); open('{tmp_path}/pid', 'w').write(str(os.getpid())); time.sleep(60)"
    started = time.monotonic()
    with pytest.raises(CommandError, match="did not end"):
        run(["sh", "-c", '"$0" -c "$1" & wait', sys.executable, leaver], deadline=4)
    assert time.monotonic() - started < 30
    psutil.Process(int((tmp_path / "pid").read_text())).kill()


def test_an_interrupt_ends_the_command_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is passed on once nothing is left of the command."""
    pid_file = tmp_path / "pid"
    waited_for = threading.Event()
    communicate = subprocess.Popen.communicate

    def told(command: subprocess.Popen[bytes], *args: Any, **more: Any) -> tuple[bytes, bytes]:
        waited_for.set()
        return communicate(command, *args, **more)

    def interrupt() -> None:
        end = time.monotonic() + 20
        while not (pid_file.exists() and waited_for.is_set()) and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(os.getpid(), 2)

    monkeypatch.setattr(subprocess.Popen, "communicate", told)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run(["sh", "-c", f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 60"], deadline=30)
    thread.join()
    assert gone(int(pid_file.read_text()))


def test_a_signal_to_our_group_does_not_reach_the_command() -> None:
    """It leads a session of its own."""
    done = run(script("import os; print(os.getsid(0) == os.getpid() == os.getpgid(0))"), deadline=20)
    assert "True" == done.text.strip()


def test_environment_and_folder_are_those_given(tmp_path: Path) -> None:
    """Nothing of our own environment comes with a complete one."""
    done = run(["/bin/sh", "-c", "pwd; echo $A$HOME"], deadline=20, env={"A": "a"}, cwd=tmp_path)
    assert [str(tmp_path), "a"] == done.text.splitlines()


@pytest.mark.parametrize("env", [None, {"A": "a"}])
def test_the_mark_is_added_to_the_environment(env: dict[str, str] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep knows the run's commands by it; what was given stays."""
    monkeypatch.setenv("B", "b")
    assert f"{'' if env is None else 'a'}|{'b' if env is None else ''}|0f3c" == (
        run(["/bin/sh", "-c", f'printf "$A|$B|${RUN_VARIABLE}"'], deadline=20, env=env, mark="0f3c").text
    )
    assert RUN_VARIABLE not in os.environ


@pytest.mark.parametrize(
    ("stdout", "stderr", "expected"),
    [(b"out", b"err", "err"), (b"out\n", b"", "out"), (b"", b"", ""), (b"", b"\xff\n\n", "\ufffd")],
)
def test_errors_are_what_a_reader_needs(stdout: bytes, stderr: bytes, expected: str) -> None:
    """Standard error, else standard output, without blank ends."""
    assert expected == Completed(("x",), 1, stdout, stderr).errors
