"""The ledger of runs: what a run is about to create is written down first, under a lock that lives as long as the run.

A container is recorded by its id as soon as it has one. Nothing is ever taken for a run's own because of its name
alone: the same name may be somebody else's by the time that anybody looks. :mod:`belongings` has the rule.

A run's folder holds its lock, its record, its kubeconfigs and Pulumi state. The lock is the kernel's (flock): it is
released when the process ends, in whatever way. So a run whose lock is free is dead, and what it recorded may be
removed; a run whose lock is held lives, and nobody touches what is its own. A run that was *kept* on purpose is marked
so, and only ``k8ssec down`` removes it.

Making a folder and taking its lock are two steps. Whoever makes a folder, or looks whether its lock is held, holds the
ledger's own lock for those milliseconds. So a folder whose lock nobody holds is a dead run's, never one that is just
beginning.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.machine import locks
from pytest_k8ssec.machine.locks import Lock
from pytest_k8ssec.secrecy.redact import register

if TYPE_CHECKING:
    from pytest_k8ssec.machine.docker import DockerContainer

PREFIX = "k8ssec-"
"""Every name that a run gives to a cluster or a container begins with this and the run's id."""

_RECORD = "record.jsonl"
_LOCK = "lock"
_KEPT = "kept"
_SIGNS = "signs"
_NEW = ".new-"
"""Begins the name of a folder that is not a run's yet: nothing was created for it."""
_GONE = ".gone-"
"""Begins the name of a folder that only waits to be deleted."""
_ID = re.compile(r"[0-9a-f]{8}")
_BEGINNING = 4096
"""Bytes in which a record says when its run started."""
_LEDGER_SECONDS = 10

AnnouncedKind = Literal["cluster", "container", "image"]
"""What kind of thing a name is for that was recorded in advance."""


def state_root() -> Path:
    """Where runs are recorded: ``K8SSEC_STATE``, else the XDG state directory."""
    if chosen := os.environ.get("K8SSEC_STATE"):
        return Path(chosen).absolute()
    try:
        return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "k8ssec"
    except RuntimeError as error:  # no HOME, and nobody of this user's id
        raise SettingsError(f"state directory: {error}", fix="name one of your own in K8SSEC_STATE") from error


class Attendant(Protocol):
    """A recorder, as a run knows it."""

    @property
    def lives(self) -> bool:
        """Whether it still runs."""
        ...

    def await_listening(self) -> None:
        """Wait until it would write a container down."""
        ...

    def dismiss(self) -> None:
        """Tell it that nothing more is made, so that it ends."""
        ...


@dataclass(slots=True)
class Run:
    """One run's folder and lock. Make one with :meth:`begin`, or join one (an xdist worker) with :meth:`join`."""

    id: str
    directory: Path
    worker: str = ""
    """Which of xdist's workers this process is, "" for none."""
    passphrase: str = field(default="", repr=False)
    """What the state of stacks that workers share is encrypted with; never written down."""
    recorder: Attendant | None = field(default=None, repr=False)
    """The recorder that writes down what this process makes, once there is one."""
    _lock: Lock | None = field(default=None, repr=False)

    @classmethod
    def begin(cls, root: Path | None = None, *, docker: str = "") -> Run:
        """Make a folder and take its lock, before anything else is created.

        Args:
            root: where runs are recorded; None for :func:`state_root`.
            docker: the daemon's address, so that a sweep looks on that daemon for what this run created.

        Raises:
            SettingsError: the state directory is not ours to write into.
        """
        identity = secrets.token_hex(4)
        with _ledger(root or state_root()) as folder:
            new, directory = folder / f"{_NEW}{identity}", folder / identity
            new.mkdir(mode=0o700)
            lock = locks.take(new / _LOCK)
            run = cls(identity, new, passphrase=register(secrets.token_hex(32)), _lock=lock)
            run._append({"started": time.time(), "pid": os.getpid(), "docker": docker})
            run.directory = new.rename(directory)  # by its first line it is known as a run's
        return run

    @classmethod
    def join(cls, directory: Path, *, worker: str = "", passphrase: str = "") -> Run:
        """The run that another process of ours has begun; its lock stays with that process."""
        return cls(directory.name, directory, worker, register(passphrase))

    @property
    def own(self) -> str:
        """Begins the names of what no other worker shares: the run's id, and which worker this is."""
        return f"{self.id}-{self.worker}" if self.worker else self.id

    def name(self, suffix: str = "") -> str:
        """A name for something of this run: ``k8ssec-<id>`` or ``k8ssec-<id>-<suffix>``."""
        return PREFIX + self.id + (f"-{suffix}" if suffix else "")

    @property
    def mark(self) -> Path:
        """An empty folder that is mounted into each node of this run: whatever has it was made by this run."""
        return self.directory / "mark"

    def uses(self, docker: str, daemon: str) -> None:
        """Write down which docker daemon the run creates things with, if that was not known when the run began.

        Args:
            docker: the daemon's address.
            daemon: the daemon's own id.
        """
        self._append({"docker": docker, "daemon": daemon})

    def will_create(self, kind: AnnouncedKind, name: str) -> None:
        """Write down that ``name`` is about to be created, before it is."""
        self._append({"kind": kind, "name": name, "at": time.time()})

    def made(self, containers: Iterable[DockerContainer]) -> None:
        """Write down containers of this run by id, with their anonymous volumes; recorded ones are skipped."""
        known = {each.id for each in read_run(self.directory).made}
        for each in containers:
            if each.id not in known:
                self._append({"made": each.id, "name": each.name, "volumes": each.volumes})

    def made_object(self, cluster: str, path: str, uid: str) -> None:
        """Write down an object that was made on a cluster which is not this run's.

        Args:
            path: the path of the object's URL.
        """
        self._append({"object": path, "uid": uid, "on": cluster})

    def signs(self) -> list[Path]:
        """The signs of life of all its recorders."""
        return sorted((self.directory / _SIGNS).glob("*"))

    def sign_file(self, recorder: int) -> Path:
        """Where a recorder says that it lives."""
        folder = self.folder(_SIGNS)
        return folder / str(recorder)

    def folder(self, name: str) -> Path:
        """A private folder of this run."""
        path = self.directory / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def settled(self, recorder: int) -> None:
        """Write down that a recorder which had lost its parent has recorded all that there was to record."""
        self._append({"settled": recorder})

    def dismiss_recorder(self) -> None:
        """End the recorder of this process, if there is one: this process makes nothing more."""
        if self.recorder is not None:
            self.recorder.dismiss()
            self.recorder = None

    def keep(self) -> None:
        """Mark the run as kept on purpose, and release its lock."""
        self.dismiss_recorder()
        (self.directory / _KEPT).touch()
        self.release()

    def end(self) -> None:
        """Delete the run's record: what it created is gone."""
        self.dismiss_recorder()
        if self.directory.exists():
            # Renamed first: half a folder would look like a dead run to others.
            with _ledger(self.directory.parent.parent) as folder:
                gone = self.directory.rename(folder / f"{_GONE}{self.id}")
            _delete(gone)
        self.release()

    def release(self) -> None:
        """Release the lock, if it is held."""
        if self._lock is not None:
            self._lock.release()

    def _append(self, entry: Mapping[str, object]) -> None:
        record = self.directory / _RECORD
        # In one write, so that processes that share the run never mix their lines; a line that was cut off ends alone.
        line = f"\n{json.dumps(entry)}\n".encode()
        try:
            with record.open("ab", buffering=0) as file:
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
        except OSError as error:
            raise SettingsError(
                f"record of the run, {record}: {error.strerror or error}, so nothing is created",
                fix="make room there, or name another directory in K8SSEC_STATE",
            ) from error


@dataclass(frozen=True, slots=True)
class Announced:
    """A name that was recorded before anything had it."""

    kind: str
    name: str
    at: float
    """When it was recorded, in seconds since the epoch; infinite in a record of a version that wrote no times."""


@dataclass(frozen=True, slots=True)
class Made:
    """A container that a run made, by its id."""

    id: str
    name: str
    volumes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MadeObject:
    """An object that a run made on somebody else's cluster."""

    path: str
    uid: str
    cluster: str


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
    daemon: str
    """Id of that daemon, "" where that is not known."""
    announced: tuple[Announced, ...]
    """All that it may have created, oldest first."""
    made: tuple[Made, ...]
    """All that it is known to have created, oldest first."""
    objects: tuple[MadeObject, ...]
    """What it made on clusters that are not its own, oldest first; most of them are removed already."""
    last_sign: float
    """When a recorder last gave a sign of life, in seconds since the epoch; 0 if none ever did."""
    settled: bool
    """Whether every recorder had recorded everything before it ended."""

    @property
    def clusters(self) -> tuple[str, ...]:
        """Names of the clusters that it may have created."""
        return tuple(each.name for each in self.announced if each.kind == "cluster")


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
            found.append(read_run(directory, alive=lock is None))
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
        what the run recorded, or None if the run lives or is gone.
    """
    lock = _take(directory)
    if lock is None:
        return None
    entry = read_run(directory, alive=False)
    entry.run._lock = lock  # noqa: SLF001 - its own class, in its own module
    return entry


def read_run(directory: Path, *, alive: bool = True) -> Recorded:
    """What a run's folder says of it."""
    entries: list[dict[str, Any]] = []
    record = directory / _RECORD
    for line in record.read_text(errors="replace").splitlines() if record.exists() else []:
        with suppress(ValueError):  # a line that a kill or a full disk cut off: nothing was created after it
            entries.append(json.loads(line))
    begun: dict[str, Any] = next((entry for entry in entries if "started" in entry), {})
    signs = list((directory / _SIGNS).glob("*"))
    used = [entry for entry in entries if entry.get("docker")]
    return Recorded(
        Run.join(directory),
        alive,
        (directory / _KEPT).exists(),
        float(begun.get("started", 0)),
        int(begun.get("pid", 0)),
        str(used[-1]["docker"]) if used else "",
        str(used[-1].get("daemon", "")) if used else "",
        tuple(
            Announced(entry["kind"], entry["name"], float(entry.get("at", "inf")))
            for entry in entries
            if "kind" in entry
        ),
        # Two processes may have written down the same one.
        tuple(
            {
                one["made"]: Made(one["made"], one["name"], tuple(one["volumes"])) for one in entries if "made" in one
            }.values()
        ),
        tuple(MadeObject(one["object"], one["uid"], one["on"]) for one in entries if "object" in one),
        max(map(_signed, signs), default=0.0),
        {sign.name for sign in signs} <= {str(entry["settled"]) for entry in entries if "settled" in entry},
    )


def _signed(sign: Path) -> float:
    """When a recorder last said that it lives; 0 where it was killed before the first time."""
    try:
        return float(sign.read_text())
    except (OSError, ValueError):
        return 0.0


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
            f"state directory {root}: {error.strerror or error}", fix="name one of your own in K8SSEC_STATE"
        ) from error


def _directories(root: Path | None) -> list[Path]:
    """The folders of all runs; what is left of those that were being deleted when they were killed goes now."""
    runs = (root or state_root()) / "runs"
    if not runs.is_dir():
        return []
    with _ledger(root or state_root()):  # nobody is just beginning
        ours = sorted(path for path in runs.iterdir() if _is_ours(path))
        halves = [path for path in ours if not _ID.fullmatch(path.name)]
    for half in halves:
        _delete(half)
    return [path for path in ours if path not in halves]


def _is_ours(path: Path) -> bool:
    """Whether a folder is a run's: ``runs`` may be a folder of the user's, with folders of the user's in it."""
    identity = path.name.removeprefix(_NEW).removeprefix(_GONE)
    if path.is_symlink() or not path.is_dir() or not _ID.fullmatch(identity):
        return False
    with suppress(OSError):  # its run has just ended, or it is not ours to look into
        if path.name.startswith(_NEW):  # killed before it wrote anything down
            return {each.name for each in path.iterdir()} <= {_LOCK, _RECORD}
        if path.name.startswith(_GONE) and not any(path.iterdir()):
            return True
        with (path / _RECORD).open("rb") as record:
            return _begins_a_run(record.read(_BEGINNING))
    return False


def _begins_a_run(text: bytes) -> bool:
    """Whether a file's first line is that of a record: it says when its run started, in which process."""
    try:
        first = json.loads(text.strip().split(b"\n")[0])
    except ValueError:
        return False
    return (
        isinstance(first, dict)
        and {"started", "pid", "docker"} <= first.keys()
        and isinstance(first["started"], float)
        and isinstance(first["pid"], int)
    )


def _delete(directory: Path) -> None:
    """Delete a run's folder, its record last: by that it is known as a run's, should this be killed half-way."""
    with suppress(OSError):  # somebody else deletes it too, or what resists is tried again
        for each in directory.iterdir():
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each, ignore_errors=True)
            elif each.name != _RECORD:
                each.unlink(missing_ok=True)
        shutil.rmtree(directory, ignore_errors=True)


def _take(directory: Path) -> Lock | None:
    """The run's lock, or None where somebody holds it or the run has just ended."""
    with _ledger(directory.parent.parent):
        return locks.take(directory / _LOCK) if directory.exists() else None
