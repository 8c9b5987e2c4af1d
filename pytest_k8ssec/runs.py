"""The ledger of runs: what a run is about to create is written down first, under a lock that lives as long as the run.

A run's folder holds its lock, its record, its kubeconfigs and Pulumi state. The lock is the kernel's (flock): it goes
with the process, however that ends. So a run whose lock is free is dead, and what it recorded may be removed; a run
whose lock is held lives, and nobody touches what is its own. A run that was *kept* on purpose is marked so, and only
``k8ssec down`` removes it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "k8ssec-"
"""Every name that a run gives to a cluster or a container begins with this and the run's id."""

_RECORD = "record.jsonl"
_KEPT = "kept"


def state_root() -> Path:
    """Where runs are recorded: ``K8SSEC_STATE``, else the XDG state directory."""
    if chosen := os.environ.get("K8SSEC_STATE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "k8ssec"


@dataclass(slots=True)
class Run:
    """One run's folder and lock. Make one with :meth:`begin`, or join one (an xdist worker) with :meth:`join`."""

    id: str
    directory: Path
    _lock: FileLock | None = field(default=None, repr=False)

    @classmethod
    def begin(cls, root: Path | None = None) -> Run:
        """Make a folder and take its lock, before anything else is created."""
        runs = (root or state_root()) / "runs"
        runs.mkdir(parents=True, exist_ok=True, mode=0o700)
        identity = secrets.token_hex(4)
        # Locked before it gets its name: a sweep never sees a run that lives and is not locked.
        draft = runs / f".new-{identity}"
        draft.mkdir(mode=0o700)
        lock = FileLock(draft / "lock")
        lock.acquire()
        directory = runs / identity
        draft.rename(directory)
        run = cls(identity, directory, lock)
        run._append({"started": time.time(), "pid": os.getpid()})
        return run

    @classmethod
    def join(cls, directory: Path) -> Run:
        """The run that another process of ours has begun; its lock stays with that process."""
        return cls(directory.name, directory)

    def name(self, suffix: str = "") -> str:
        """A name for something of this run: ``k8ssec-<id>`` or ``k8ssec-<id>-<suffix>``."""
        return PREFIX + self.id + (f"-{suffix}" if suffix else "")

    def will_create(self, kind: str, name: str) -> None:
        """Write down that ``name`` is about to be created, so that a sweep finds it.

        Args:
            kind: ``cluster`` or ``container``.
        """
        self._append({"kind": kind, "name": name})

    def folder(self, name: str) -> Path:
        """A private folder of this run."""
        path = self.directory / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def keep(self) -> None:
        """Mark the run as kept on purpose, and let its lock go."""
        (self.directory / _KEPT).touch()
        self._release()

    def end(self) -> None:
        """Forget the run: what it created is gone."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def _append(self, entry: dict[str, object]) -> None:
        with (self.directory / _RECORD).open("a") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a run's folder says of it."""

    run: Run
    alive: bool
    kept: bool
    started: float
    created: tuple[tuple[str, str], ...]
    """(kind, name) of all that it may have created, oldest first."""


def recorded(root: Path | None = None) -> list[Recorded]:
    """All runs on this machine, living, kept and dead."""
    return [read(directory, alive=not _free(directory)) for directory in _directories(root)]


def dead(root: Path | None = None) -> Iterator[Recorded]:
    """The runs that ended without cleaning up, each one locked while the caller deals with it."""
    for directory in _directories(root):
        if (directory / _KEPT).exists():
            continue
        lock = FileLock(directory / "lock", timeout=0)
        try:
            with lock:
                if directory.exists():
                    yield read(directory, alive=False)
        except Timeout:
            continue


def _directories(root: Path | None) -> list[Path]:
    runs = (root or state_root()) / "runs"
    return sorted(path for path in runs.glob("*") if path.is_dir()) if runs.is_dir() else []


def _free(directory: Path) -> bool:
    try:
        with FileLock(directory / "lock", timeout=0):
            return True
    except Timeout:
        return False


def read(directory: Path, *, alive: bool = True) -> Recorded:
    """What a run's folder says of it."""
    entries: list[dict[str, object]] = []
    record = directory / _RECORD
    for line in record.read_text().splitlines() if record.exists() else []:
        try:
            entries.append(json.loads(line))
        except ValueError:
            continue  # the last line of a run that was killed while writing it: nothing was created yet
    started = next((float(str(entry["started"])) for entry in entries if "started" in entry), 0.0)
    created = tuple((str(entry["kind"]), str(entry["name"])) for entry in entries if "kind" in entry)
    return Recorded(Run.join(directory), alive, (directory / _KEPT).exists(), started, created)
