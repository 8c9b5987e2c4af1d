"""The ledger of runs: what a run is about to create is written down first, under a lock that lives as long as the run.

A run's folder holds its lock, its record, its kubeconfigs and Pulumi state. The lock is the kernel's (flock): it goes
with the process, however that ends. So a run whose lock is free is dead, and what it recorded may be removed; a run
whose lock is held lives, and nobody touches what is its own. A run that was *kept* on purpose is marked so, and only
``k8ssec down`` removes it.

Making a folder and taking its lock are two steps, so whoever does the one or looks at the other holds the ledger's own
lock meanwhile, for milliseconds: a folder without a holder is always a dead run's, never one that is just beginning.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pytest_k8ssec import locks
from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.locks import Lock
from pytest_k8ssec.secrecy.redact import register

PREFIX = "k8ssec-"
"""Every name that a run gives to a cluster or a container begins with this and the run's id."""

_RECORD = "record.jsonl"
_LOCK = "lock"
_KEPT = "kept"
_GONE = ".gone-"
"""Begins the name of a folder that only waits to be deleted."""
_LEDGER_SECONDS = 10


def state_root() -> Path:
    """Where runs are recorded: ``K8SSEC_STATE``, else the XDG state directory."""
    if chosen := os.environ.get("K8SSEC_STATE"):
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "k8ssec"


@dataclass(slots=True)
class Run:
    """One run's folder and lock. Make one with :meth:`begin`, or join one (an xdist worker) with :meth:`join`."""

    id: str
    directory: Path
    worker: str = ""
    """Which of xdist's workers this process is, "" for none."""
    passphrase: str = field(default="", repr=False)
    """What the state of stacks that workers share is encrypted with; never written down."""
    _lock: Lock | None = field(default=None, repr=False)

    @classmethod
    def begin(cls, root: Path | None = None, *, docker: str = "") -> Run:
        """Make a folder and take its lock, before anything else is created.

        Args:
            root: where runs are recorded; None for :func:`state_root`.
            docker: the daemon's address, so that a sweep looks for what this run created where it is.

        Raises:
            SettingsError: the state directory is not ours to write into.
        """
        identity = secrets.token_hex(4)
        with _ledger(root or state_root()) as folder:
            directory = folder / identity
            directory.mkdir(mode=0o700)
            lock = locks.take(directory / _LOCK)
        run = cls(identity, directory, passphrase=register(secrets.token_urlsafe(32)), _lock=lock)
        run._append({"started": time.time(), "pid": os.getpid(), "docker": docker})
        return run

    @classmethod
    def join(cls, directory: Path, *, worker: str = "", passphrase: str = "") -> Run:
        """The run that another process of ours has begun; its lock stays with that process."""
        return cls(directory.name, directory, worker, register(passphrase))

    @property
    def own(self) -> str:
        """Part of the names of what no other worker shares: the run's id, and which worker this is."""
        return f"{self.id}-{self.worker}" if self.worker else self.id

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
        self.release()

    def end(self) -> None:
        """Forget the run: what it created is gone."""
        if self.directory.exists():
            # Renamed first: half a folder would look like a dead run to others.
            with _ledger(self.directory.parent.parent) as folder:
                gone = self.directory.rename(folder / f"{_GONE}{self.id}")
            shutil.rmtree(gone, ignore_errors=True)
        self.release()

    def release(self) -> None:
        """Let the lock go, if it is held."""
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
    pid: int
    docker: str
    """Address of the docker daemon that it used, "" where that is not known."""
    created: tuple[tuple[str, str], ...]
    """(kind, name) of all that it may have created, oldest first."""

    @property
    def clusters(self) -> tuple[str, ...]:
        """Names of the clusters that it may have created."""
        return tuple(name for kind, name in self.created if kind == "cluster")


def recorded(root: Path | None = None) -> list[Recorded]:
    """All runs on this machine, living, kept and dead.

    Raises:
        SettingsError: the state directory is not ours.
    """
    found = []
    for directory in _directories(root):
        lock = _take(directory)
        if lock is not None:
            lock.release()
        if directory.exists():
            found.append(read(directory, alive=lock is None))
    return found


def dead(root: Path | None = None) -> Iterator[Recorded]:
    """The runs that ended without cleaning up, each one locked while the caller deals with it.

    Raises:
        SettingsError: the state directory is not ours.
    """
    for directory in _directories(root):
        entry = claim(directory)
        if entry is None:
            continue
        if entry.kept:
            entry.run.release()
            continue
        try:
            yield entry
        finally:
            entry.run.release()


def claim(directory: Path) -> Recorded | None:
    """Take over a run that no process holds, dead or kept; the caller releases it or ends it.

    Returns:
        what it recorded, or None where it lives or is gone.
    """
    lock = _take(directory)
    if lock is None:
        return None
    entry = read(directory, alive=False)
    entry.run._lock = lock  # noqa: SLF001 - its own class, in its own module
    return entry


def read(directory: Path, *, alive: bool = True) -> Recorded:
    """What a run's folder says of it."""
    entries: list[dict[str, object]] = []
    record = directory / _RECORD
    for line in record.read_text(errors="replace").splitlines() if record.exists() else []:
        try:
            entries.append(json.loads(line))
        except ValueError:
            continue  # the last line of a run that was killed while writing it: nothing was created yet
    begun: dict[str, object] = next((entry for entry in entries if "started" in entry), {})
    return Recorded(
        Run.join(directory),
        alive,
        (directory / _KEPT).exists(),
        float(str(begun.get("started", 0))),
        int(str(begun.get("pid", 0))),
        str(begun.get("docker", "")),
        tuple((str(entry["kind"]), str(entry["name"])) for entry in entries if "kind" in entry),
    )


@contextmanager
def _ledger(root: Path) -> Iterator[Path]:
    """Hold the ledger's own lock. Gives the folder that all runs' folders are in."""
    runs = root / "runs"
    try:
        runs.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locks.waited_for(root / "ledger.lock", _LEDGER_SECONDS):
            yield runs
    except OSError as error:
        raise SettingsError(
            f"state directory {root}: {error.strerror or error}", mend="name one of your own in K8SSEC_STATE"
        ) from error


def _directories(root: Path | None) -> list[Path]:
    """The folders of all runs; what is left of those that were being deleted when they were killed goes now."""
    runs = (root or state_root()) / "runs"
    if not runs.is_dir():
        return []
    for half in runs.glob(f"{_GONE}*"):
        shutil.rmtree(half, ignore_errors=True)
    return sorted(path for path in runs.iterdir() if path.is_dir() and not path.name.startswith(_GONE))


def _take(directory: Path) -> Lock | None:
    """The run's lock, or None where somebody holds it or the run has just ended."""
    with _ledger(directory.parent.parent):
        return locks.take(directory / _LOCK) if directory.exists() else None
