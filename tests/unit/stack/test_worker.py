"""The child process: what it is given, and that nothing of it survives. Pulumi's command line is a stand-in here."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pytest_k8ssec.errors import StackError
from pytest_k8ssec.stack.messages import Failed, Job
from pytest_k8ssec.stack.worker import EarlyChild, OutOfTime, Worker
from pytest_k8ssec.stack.workspace import Workspace
from tests.unit.machine.processes import gone

_HANGING = """
import os, subprocess, sys
if "version" in sys.argv:
    print("v3.250.0")
    sys.exit()
# As Pulumi does with a plugin: a process group of its own.
plugin = subprocess.Popen(["sleep", "600"], process_group=0)
with open(os.environ["PIDS"], "a") as file:
    file.write(f"{os.getpid()} {plugin.pid} ")
plugin.wait()
"""
_RECORDING = """
import os, sys
if "version" in sys.argv:
    print("v3.250.0")
with open(os.environ["PIDS"], "a") as file:
    file.write(" ".join([*sys.argv[1:], "<", sys.stdin.read(), "\\n"]))
if "config" in sys.argv:
    sys.exit("enough")
"""
_FAILING = """
import sys
print("v3.250.0") if "version" in sys.argv else sys.exit("error: no backend for hush")
"""


def _env(folder: Path, command: str) -> dict[str, str]:
    """An environment in which ``pulumi`` is this Python script."""
    script = folder / "pulumi"
    script.write_text(f"#!{sys.executable}\n{command}")
    script.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "PIDS": str(folder / "pids"), "HOME": str(folder)}


def _job(folder: Path) -> Job:
    return Job("preview", "dev", str(folder), str(folder), "")


def _pids(folder: Path) -> list[int]:
    """The stand-in's processes, once it has written them down."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if (folder / "pids").exists() and (found := (folder / "pids").read_text().split()):
            return [int(pid) for pid in found]
        time.sleep(0.05)
    raise AssertionError("the stand-in was not started")


def _gone(pids: list[int]) -> bool:
    """Whether none of these runs any more, or soon."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if all(gone(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def test_the_deadline_ends_pulumi_and_its_plugins(tmp_path: Path) -> None:
    """A child that does not come to an end is OutOfTime, and its plugin, a group of its own, ends with it."""
    worker = Worker(env=_env(tmp_path, _HANGING), deadline=time.monotonic() + 12)
    with pytest.raises(OutOfTime), worker:
        list(worker.run(_job(tmp_path)))
    assert _gone(_pids(tmp_path))


def test_hurry_brings_the_deadline_forward_only(tmp_path: Path) -> None:
    """The rest gets less time once something failed, never more."""
    worker = Worker(env=_env(tmp_path, _HANGING), deadline=time.monotonic() + 600)
    started = time.monotonic()
    with pytest.raises(OutOfTime), worker:
        worker.hurry(0.2)
        worker.hurry(500)
        list(worker.run(_job(tmp_path)))
    assert time.monotonic() - started < 60


def test_a_deadline_is_put_off(tmp_path: Path) -> None:
    """By what a stack of many objects needs: one that had passed leaves Pulumi the time to start."""
    worker = Worker(env=_env(tmp_path, _HANGING), deadline=time.monotonic() - 600)
    worker.put_off(612)
    with pytest.raises(OutOfTime), worker:
        list(worker.run(_job(tmp_path)))
    assert _gone(_pids(tmp_path))


def test_pulumi_ends_when_the_parent_is_killed(tmp_path: Path) -> None:
    """After SIGKILL of the process that started it, the child takes down everything by itself."""
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path)],
        env={**os.environ, **_env(tmp_path, _HANGING)},
    )
    try:
        pids = _pids(tmp_path)
    finally:
        parent.kill()
        parent.wait(timeout=30)
    assert _gone(pids)


_PARENT = """
import os, sys, time
from pytest_k8ssec.stack.messages import Job
from pytest_k8ssec.stack.worker import Worker
with Worker(env=dict(os.environ), deadline=time.monotonic() + 600) as worker:
    list(worker.run(Job("preview", "dev", sys.argv[1], sys.argv[1], "")))
"""


def test_a_failing_command_line_is_told_in_its_words_without_secrets(tmp_path: Path) -> None:
    """What pulumi printed comes as the last message, secret values taken out."""
    with Worker(
        env=_env(tmp_path, _FAILING), deadline=time.monotonic() + 20, hide=lambda text: text.replace("hush", "[secret]")
    ) as worker:
        (said,) = worker.run(_job(tmp_path))
    assert said == Failed("error: no backend for [secret]")


def test_a_child_that_dies_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    """A child that ends without a last message is a StackError, with the end of its standard error."""
    env = _env(tmp_path, _FAILING) | {"PYTHONPATH": str(tmp_path)}
    (tmp_path / "pulumi.py").write_text("raise SystemExit('no pulumi today')")
    with (
        pytest.raises(StackError, match="broke off with exit code 1") as caught,
        Worker(env=env, deadline=time.monotonic() + 20) as worker,
    ):
        list(worker.run(_job(tmp_path)))
    assert "no pulumi today" in caught.value.details


def test_a_secret_value_goes_to_pulumi_over_standard_input_only(tmp_path: Path) -> None:
    """No argument of any command holds a secret value: others on the machine can read those."""
    job = Job("preview", "dev", str(tmp_path), str(tmp_path), "", {"shop:key": "hush"})
    with Worker(env=_env(tmp_path, _RECORDING), deadline=time.monotonic() + 20) as worker:
        (said,) = worker.run(job)
    calls = (tmp_path / "pids").read_text()
    assert "config value shop:key: enough" in said.message  # type: ignore[union-attr]
    assert "config set --non-interactive --secret --stack dev shop:key < hush" in calls
    assert "hush" not in calls.replace("< hush", "")
    assert "hush" not in repr(job)


def test_a_child_that_was_started_early_works_in_the_environment_of_its_first_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the one that it was started in is left, as that was known before there was a cluster."""
    for name in ("KUBECONFIG", "PULUMI_BACKEND_URL"):
        monkeypatch.setenv(name, "the user's own")
    recording = "import os, sys\nopen(os.environ['PIDS'], 'a').write(repr(sorted(os.environ)))\nsys.exit('enough')"
    env = _env(tmp_path, recording)
    early = EarlyChild()
    with Worker(env=env, deadline=time.monotonic() + 60, early=early) as worker:
        (said,) = worker.run(_job(tmp_path))
        pid = worker._process.pid
    assert isinstance(said, Failed)
    seen = (tmp_path / "pids").read_text()
    assert "'PIDS'" in seen
    assert "KUBECONFIG" not in seen
    assert "PULUMI_BACKEND_URL" not in seen
    assert _gone([pid])
    assert early.take() is None, "each child works for one"


def test_an_early_child_sees_nothing_of_the_users_stacks_and_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it waits, too; and it is ended where nobody needed it."""
    monkeypatch.setenv("KUBECONFIG", "the user's own")
    monkeypatch.setenv("PULUMI_ACCESS_TOKEN", "the user's own")
    early = EarlyChild()
    process = early._process
    assert process is not None
    environment, end = b"", time.monotonic() + 30
    while not environment and time.monotonic() < end:  # between fork and exec there is none to be read
        environment = Path(f"/proc/{process.pid}/environ").read_bytes()
    early.end()
    assert b"the user's own" not in environment
    assert b"PATH=" in environment
    assert process.returncode is not None


def test_an_early_child_that_died_is_replaced(tmp_path: Path) -> None:
    """What was begun early must not be the reason why something fails."""
    early = EarlyChild()
    assert early._process is not None
    early._process.kill()
    early._process.wait(timeout=30)
    with Worker(env=_env(tmp_path, _FAILING), deadline=time.monotonic() + 60, early=early) as worker:
        (said,) = worker.run(_job(tmp_path))
    assert said == Failed("error: no backend for hush")


@pytest.mark.parametrize("taken", [True, False])
def test_an_early_child_that_died_before_it_was_told_anything_is_in_nobodys_way(tmp_path: Path, taken: bool) -> None:
    """What nobody reads any more stays in the pipe's buffer, and closing that fails once more."""
    early = EarlyChild()
    assert early._process is not None
    early._process.kill()
    early._process.wait(timeout=30)
    env = _env(tmp_path, _FAILING)
    job = Job("init", "dev", str(tmp_path), str(tmp_path), "", {}, env)
    early.make_stack(cast("Workspace", SimpleNamespace(env=env, job=lambda *_: job)))
    if taken:
        assert early.take() is None
    early.end()


def test_what_an_early_child_could_not_do_is_the_first_jobs_failure(tmp_path: Path) -> None:
    """The stack that it was to make in its workspace is not there, so no operation is tried on it."""
    env = _env(tmp_path, _RECORDING)
    job = Job("init", "dev", str(tmp_path), str(tmp_path), "", {"shop:key": "hush"}, env)
    early = EarlyChild()
    early.make_stack(cast("Workspace", SimpleNamespace(env=env, job=lambda *_: job)))
    with Worker(env=env, deadline=time.monotonic() + 60, early=early) as worker:
        (said,) = worker.run(_job(tmp_path))
    assert isinstance(said, Failed)
    assert "config value shop:key: enough" in said.message
    assert "preview" not in (tmp_path / "pids").read_text()
