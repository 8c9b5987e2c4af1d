"""The ledger of runs, and the sweep that goes by it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pytest_k8ssec.clusters import sweep
from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.machine import docker, ledger
from pytest_k8ssec.machine.ledger import Run
from pytest_k8ssec.machine.terminate import RUN_VARIABLE
from tests.unit.machine.dockers import FakeDocker

DIES = """
import os, signal, sys
from pytest_k8ssec.machine import recorder
from pytest_k8ssec.machine.ledger import Run
run = Run.begin(docker=sys.argv[1])
recorder.attend(run)
run.will_create("cluster", run.name())
run.will_create("container", run.name("from-outside"))
print(run.id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def dead_run(fake_docker: FakeDocker) -> str:
    """The id of a run that was killed, with a node and a container of its own left behind that nobody had recorded."""
    done = subprocess.run(
        [sys.executable, "-c", DIES, fake_docker.endpoint], stdout=subprocess.PIPE, text=True, check=False
    )
    identity = done.stdout.strip()
    entry = ledger.read_run(ledger.state_root() / "runs" / identity)
    at, name = entry.announced[-1].at + 0.001, f"k8ssec-{identity}"
    fake_docker.container(
        f"{name}-control-plane", docker.KIND_LABEL, name, created=at, binds=[str(entry.run.mark)], volumes=["a" * 64]
    )
    fake_docker.container(f"{name}-from-outside", docker.RUN_LABEL, identity, created=at)
    return identity


def folders() -> list[str]:
    """Names of all that is in the ledger."""
    return sorted(path.name for path in (ledger.state_root() / "runs").iterdir())


def test_run_lives_until_it_ends() -> None:
    """A run is recorded as living with its process, and forgotten at its end."""
    run = Run.begin(docker="unix:///a.sock")
    run.will_create("cluster", run.name())
    (entry,) = ledger.recorded()
    assert (True, False, os.getpid(), "unix:///a.sock") == (entry.alive, entry.kept, entry.pid, entry.docker)
    assert (f"k8ssec-{run.id}",) == entry.clusters
    assert [] == list(ledger.dead())
    run.end()
    assert [] == folders()


def test_kept_run_is_not_dead(fake_docker: FakeDocker) -> None:
    """What was kept on purpose is no sweep's business, and can be claimed to be taken down."""
    run = Run.begin()
    run.will_create("cluster", "dev")
    run.keep()
    assert [] == list(sweep.sweep())
    claimed = ledger.claim(run.directory)
    assert claimed is not None
    assert claimed.kept
    assert ledger.claim(run.directory) is None, "claimed by two"
    claimed.run.end()


def test_sweep_removes_what_a_killed_run_left_and_nothing_else(fake_docker: FakeDocker, dead_run: str) -> None:
    """Containers by both labels go, with the folder; those of a living run and of the user's stay."""
    living = Run.begin()
    living.will_create("cluster", living.name())
    fake_docker.container(f"{living.name()}-control-plane", docker.KIND_LABEL, living.name())
    fake_docker.container("k8ssec-decoy", "com.example", "mine")
    fake_docker.container("dev-control-plane", docker.KIND_LABEL, "dev")
    (swept,) = sweep.sweep()
    assert {f"k8ssec-{dead_run}-control-plane", f"k8ssec-{dead_run}-from-outside"} == set(swept.removed)
    assert f"swept run {dead_run}, which had ended without cleaning up: k8ssec-" in str(swept)
    assert {"dev-control-plane", f"{living.name()}-control-plane", "k8ssec-decoy"} == set(fake_docker.containers)
    assert [living.id] == folders()
    assert [] == fake_docker.volumes
    living.end()


def test_the_users_own_cluster_of_the_ledgers_name_is_told_of_and_left(fake_docker: FakeDocker) -> None:
    """A run was killed under a name that the user chose; then the user makes a cluster of that name."""
    dead = Run.begin(docker=fake_docker.endpoint)
    dead.will_create("cluster", "dev")
    dead.release()
    fake_docker.container("dev-control-plane", docker.KIND_LABEL, "dev", volumes=["b" * 64])
    (swept,) = sweep.sweep()
    assert ((), ("dev-control-plane",)) == (swept.removed, swept.others)
    assert "left dev-control-plane alone: named or labelled as the run's, but not made by it" in str(swept)
    assert (["dev-control-plane"], ["b" * 64]) == (fake_docker.containers, fake_docker.volumes)
    assert [] == folders()


def test_sweep_removes_volumes_whose_container_somebody_removed(fake_docker: FakeDocker) -> None:
    """Removed without them, they would stay for good; the user's own are nowhere recorded."""
    dead = Run.begin(docker=fake_docker.endpoint)
    dead.will_create("cluster", "dev")
    gone = fake_docker.container("dev-control-plane", docker.KIND_LABEL, "dev", volumes=["c" * 64])
    dead.made(docker.described([gone]))
    dead.release()
    (fake_docker.folder / "state" / "containers" / gone).unlink()
    fake_docker.container("mine", "com.example", "mine", volumes=["d" * 64])
    assert [""] == [swept.failure for swept in sweep.sweep()]
    assert ["d" * 64] == fake_docker.volumes


def test_sweep_ends_commands_of_a_killed_run(fake_docker: FakeDocker, dead_run: str) -> None:
    """What would go on creating is ended first."""
    command = subprocess.Popen(["sleep", "60"], env={**os.environ, RUN_VARIABLE: dead_run})
    (swept,) = sweep.sweep()
    assert 1 == swept.processes
    assert "1 running commands" in str(swept)
    assert command.wait(5) < 0


def test_sweep_leaves_what_it_can_not_reach(fake_docker: FakeDocker, dead_run: str) -> None:
    """Where docker does not do it, the record stays for the next sweep, and why is told."""
    fake_docker.breaks("Cannot connect to the Docker daemon")
    (swept,) = sweep.sweep()
    assert "not swept: " in str(swept)
    assert "Cannot connect to the Docker daemon" in swept.failure
    assert [dead_run] == folders()


def test_sweep_asks_no_other_docker(fake_docker: FakeDocker, dead_run: str) -> None:
    """A run that used another daemon is not taken for clean because this one knows nothing of it."""
    fake_docker.endpoint = "tcp://elsewhere:2376"
    (swept,) = sweep.sweep()
    assert "it used docker at unix:///fake.sock, this is tcp://elsewhere:2376" in swept.failure
    assert [dead_run] == folders()


def test_sweep_asks_no_other_daemon_at_the_same_address(fake_docker: FakeDocker, dead_run: str) -> None:
    """Docker was set up anew, or another one answers at its socket: what the run made is elsewhere."""
    ledger.read_run(ledger.state_root() / "runs" / dead_run).run.uses(fake_docker.endpoint, "a-daemon")
    fake_docker.daemon = "another-daemon"
    before = len(fake_docker.asked)
    (swept,) = sweep.sweep()
    assert "it used another docker daemon, at unix:///fake.sock" in swept.failure
    assert not [each for each in fake_docker.asked[before:] if each.startswith("context")], (
        "where it is tells nothing here"
    )
    assert [dead_run] == folders()
    fake_docker.daemon, fake_docker.endpoint = "a-daemon", "tcp://forwarded:2376"
    (swept,) = sweep.sweep()
    assert "" == swept.failure, "the same daemon by another address"


def test_a_record_that_can_not_be_written_is_a_clear_error(tmp_path: Path) -> None:
    """A full disk: nothing may be created that is nowhere written down."""
    run = Run.begin()
    record = run.directory / "record.jsonl"
    record.unlink()
    record.symlink_to("/dev/full")
    with pytest.raises(SettingsError, match=r"record of the run, .*: No space left on device") as caught:
        run.will_create("cluster", "dev")
    assert "K8SSEC_STATE" in caught.value.fix
    run.end()


def test_folders_of_runs_that_never_began_go_without_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was killed as it began or ended has a folder and nothing else."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in (".gone-0123abcd", ".new-0123abcd", ".new-4567abcd"):
        (ledger.state_root() / "runs" / name).mkdir(parents=True)
    for name in ("lock", "record.jsonl"):
        (ledger.state_root() / "runs" / ".new-4567abcd" / name).touch()
    assert [] == list(sweep.sweep())
    assert [] == folders()


@pytest.mark.parametrize(
    "name", ["report", "20261126", ".gone-0123abcd", ".new-0123abcd", ".gone-mine", "deadbeef", "20261125"]
)
def test_folders_of_the_users_own_are_never_deleted(tmp_path: Path, name: str) -> None:
    """The state directory may be one that has a folder `runs` with something else in it, whatever that is called."""
    theirs = ledger.state_root() / "runs" / name
    theirs.mkdir(parents=True)
    (theirs / "thesis.txt").write_text("years of work")
    (theirs.parent / "20261124").mkdir()  # a date, of which nothing is there yet
    if name == "deadbeef":
        (theirs / "record.jsonl").write_text('{"song": "mine"}\n')
    if name == "20261125":
        (theirs / "record.jsonl").write_text('{"event": "started", "pid": 1}\n')
    assert [] == list(sweep.sweep())
    assert [] == ledger.recorded()
    assert "years of work" == (theirs / "thesis.txt").read_text()
    assert (theirs.parent / "20261124").is_dir()


def test_what_is_half_deleted_is_deleted_by_the_next(tmp_path: Path) -> None:
    """A kill in the middle leaves the record to the last; what a link in the folder leads to is not touched."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    run = Run.begin()
    (run.directory / "cluster").symlink_to(outside)
    run.release()
    run.directory.rename(run.directory.parent / f".gone-{run.id}")
    assert [] == ledger.recorded()
    assert [] == folders()
    assert (outside / "kept").exists()


def test_half_a_line_is_no_record() -> None:
    """A run that was killed while it wrote has created nothing of what it did not finish writing."""
    run = Run.begin()
    run.will_create("cluster", "whole")
    with (run.directory / "record.jsonl").open("ab") as file:
        file.write(b'{"kind": "cluster", "na\xff')
    assert ("whole",) == ledger.read_run(run.directory).clusters
    run.end()


def test_beginning_and_sweeping_at_once_never_meet() -> None:
    """A run that is just beginning is never taken for dead."""
    stop = threading.Event()
    swept: list[str] = []

    def sweeping() -> None:
        while not stop.is_set():
            swept.extend(entry.run.id for entry in ledger.dead())

    sweeper = threading.Thread(target=sweeping)
    sweeper.start()
    try:
        for _ in range(100):
            run = Run.begin()
            assert run.directory.is_dir()
            run.end()
    finally:
        stop.set()
        sweeper.join()
    assert [] == swept


def test_file_in_the_way_is_a_wrong_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state directory that is a file names itself, and the variable that chooses another."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("K8SSEC_STATE", str(tmp_path / "file"))
    with pytest.raises(SettingsError, match=r"state directory .*file: ") as caught:
        Run.begin()
    assert "K8SSEC_STATE" in caught.value.fix
