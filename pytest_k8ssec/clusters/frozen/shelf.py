"""Where frozen clusters are kept: images in docker, and a small record of each in the local cache.

A record is written last, in one piece, so an entry that was half made when its run was killed is never found. Its images
are in the ledger of that run, and a sweep removes them. Images that no record names any more are found by their labels:
``strays``. Whoever uses an entry holds its lock, shared; whoever makes or
removes it holds that lock alone. The kernel lets it go with the process.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_k8ssec.errors import CommandError, SettingsError
from pytest_k8ssec.machine import docker, locks, tools

REPOSITORY = "k8ssec/frozen"
"""Every image of an entry is called so."""
TEMPLATE_PREFIX = "k8ssec-frozen-"
"""So begins the name of a cluster that is made to be frozen, and with it those of its nodes, also in each copy."""
FROZEN_LABEL = "io.k8ssec.frozen"
"""Label of the images; its value is the key of their entry."""
_FORMAT = 2
OLDEST_SECONDS = 30 * 86400
"""After that long an entry is made anew: certificates of a cluster last a year, and what is old is seldom what was meant."""
LIMIT_VARIABLE = "K8SSEC_FROZEN_MB"
_LIMIT_MB = 4096
_REMOVE_SECONDS = 60
_AGAIN_SECONDS = 86400
_WAIT_SECONDS = 600


@dataclass(frozen=True, slots=True)
class FrozenNode:
    """One node of a frozen cluster: its image, and how its container is started."""

    name: str
    """Its name in Kubernetes, and its host name."""
    role: str
    """``control-plane`` or ``worker``, as kind labels it."""
    suffix: str
    """What its container's name has after the cluster's: ``control-plane``, ``worker2``."""
    image: str
    """Tag of its image."""
    image_id: str
    machine_id: str
    """What it said as it was frozen; a copy that runs says something else."""
    options: tuple[str, ...]
    """What ``docker create`` is told, beside names, labels, ports and mounts."""
    binds: tuple[str, ...]
    """What is mounted; a path that begins with ``@`` is a place of the run that thaws."""
    ports: tuple[tuple[str, str, str], ...]
    """Published ports: address of this machine, its port ("" for any that is free), port of the node."""
    kubelet: str
    """Its KubeletConfiguration, YAML."""
    kubeadm: str
    """The control plane's configuration of kubeadm, YAML documents; "" for workers."""


@dataclass(frozen=True, slots=True)
class Token:
    """A bootstrap token that the cluster had; its secret part is not kept."""

    public: bool
    """Whether it was the one that kind joins all its nodes with, which everybody knows."""
    fields: dict[str, str]
    """What else its Secret says: usages, groups, description."""


@dataclass(frozen=True, slots=True)
class FrozenCluster:
    """A frozen cluster."""

    key: str
    made: float
    """Seconds since the epoch."""
    nodes: tuple[FrozenNode, ...]
    """Control plane first."""
    tokens: tuple[Token, ...]
    size: int
    """Bytes that its images have beside the node image."""


def folder() -> Path:
    """Where the records are; readable by their owner only, as images that they name hold the keys of CAs."""
    path = tools.cache_root() / "frozen"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def take_from(key: str) -> FrozenCluster | None:
    """The entry of a key, None where there is none that can be used: it is too old, damaged, or images are gone."""
    entry = _read(folder() / f"{key}.json")
    if entry is None or entry.key != key or not 0 <= time.time() - entry.made < OLDEST_SECONDS:
        return None
    if docker.image_ids(*(node.image for node in entry.nodes)) != [node.image_id for node in entry.nodes]:
        return None
    os.utime(folder() / f"{key}.json")  # the time of its last use
    return entry


def put(entry: FrozenCluster) -> None:
    """Write the record of an entry whose images are all there. The images of the record that it replaces go.

    Raises:
        OSError: the disk is full, or the cache is not ours.
    """
    path = folder() / f"{entry.key}.json"
    before = _named(path)
    _write(path, {"format": _FORMAT, **asdict(entry)})
    (folder() / f"{entry.key}.failed").unlink(missing_ok=True)
    with suppress(CommandError):  # they are strays now
        remove_images(sorted(before - {node.image for node in entry.nodes}))


def put_failure(key: str, why: str) -> None:
    """Remember that a cluster could not be frozen or thawed, so that not every run tries."""
    with suppress(OSError):
        _write(folder() / f"{key}.failed", {"why": why, "at": time.time()})


def failure(key: str) -> str:
    """Why a cluster could not be frozen or thawed lately, "" where nothing is known against it."""
    with suppress(OSError, ValueError, LookupError, TypeError):
        told = json.loads((folder() / f"{key}.failed").read_text())
        if 0 <= time.time() - told["at"] < _AGAIN_SECONDS:
            return str(told["why"])
    return ""


def remove(entry: FrozenCluster) -> None:
    """Remove an entry; the caller holds its lock alone."""
    (folder() / f"{entry.key}.json").unlink(missing_ok=True)
    remove_images(node.image for node in entry.nodes)


def remove_images(tags: Iterable[str]) -> list[str]:
    """Remove images. One that a container was made of keeps its tag as well, without which nobody would find it again.

    Returns:
        those that were there and are gone.

    Raises:
        CommandError: docker did not answer.
    """
    there = [tag for tag in tags if docker.image_ids(tag)]
    if there:
        docker.docker("image", "rm", *there, check=False, deadline=_REMOVE_SECONDS)
    return [tag for tag in there if not docker.image_ids(tag)]


def clear_shelf() -> tuple[list[FrozenCluster], list[FrozenCluster]]:
    """Remove all entries but those that are in use, and what is remembered of failures.

    Returns:
        the entries that went, and those that stayed.
    """
    gone: list[FrozenCluster] = []
    kept: list[FrozenCluster] = []
    for entry in entries():
        with alone(entry.key) as ours:
            if ours:
                remove(entry)
            (gone if ours else kept).append(entry)
    _remove_unreadable()
    for file in folder().glob("*.failed"):
        file.unlink(missing_ok=True)
    return gone, kept


def make_room(limit: int) -> list[FrozenCluster]:
    """Remove entries that are too old, and those that were longest not used while all together are too large.

    Records that nobody can read, or that an older version wrote, go too.

    Args:
        limit: bytes that all may have.

    Returns:
        those that went; one that is in use stays.
    """
    _remove_unreadable()
    there = entries()
    gone: list[FrozenCluster] = []
    for entry in there:
        total = sum(each.size for each in there if each not in gone)
        if total > limit or time.time() - entry.made > OLDEST_SECONDS:
            with alone(entry.key) as ours:
                if ours:
                    remove(entry)
                    gone.append(entry)
    return gone


def limit() -> int:
    """Bytes that all entries together may have: ``K8SSEC_FROZEN_MB``, else 4096 MB.

    Raises:
        SettingsError: that is no number.
    """
    given = os.environ.get(LIMIT_VARIABLE) or str(_LIMIT_MB)
    if not given.isdigit():
        raise SettingsError(f"{LIMIT_VARIABLE}: {given!r} is no number of megabytes", fix="give one, as 4096")
    return int(given) * 1_000_000


def entries() -> list[FrozenCluster]:
    """All that can be read, least recently used first."""
    return [entry for path in _records() if (entry := _read(path)) is not None]


def used(entry: FrozenCluster) -> float:
    """When an entry was last used, in seconds since the epoch; when it was made, if it is gone by now."""
    with suppress(OSError):
        return (folder() / f"{entry.key}.json").stat().st_mtime
    return entry.made


def images() -> set[str]:
    """The tags of the images that records name, also those that a newer version wrote.

    Raises:
        OSError: the cache is not ours, so it is not known.
    """
    folder()
    return {tag for path in _records() for tag in _named(path)}


def using(key: str) -> AbstractContextManager[None]:
    """Hold the lock of an entry, together with others who use it. Nobody removes it meanwhile.

    Raises:
        TimeoutError: somebody makes it, and does not come to an end.
    """
    return locks.waited_for(_lock(key), _WAIT_SECONDS, shared=True, refusal=_refusal(key))


def making(key: str) -> AbstractContextManager[None]:
    """Hold the lock of an entry alone: it is being made.

    Raises:
        TimeoutError: somebody else does not let it go.
    """
    return locks.waited_for(_lock(key), _WAIT_SECONDS, refusal=_refusal(key))


@contextmanager
def alone(key: str) -> Iterator[bool]:
    """Hold the lock of an entry alone where nobody has it. Gives whether that is so."""
    lock = locks.take(_lock(key))
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


def _lock(key: str) -> Path:
    return folder() / f"{key}.lock"


def _refusal(key: str) -> str:
    return f"frozen cluster {key[:12]}: is being used by another process"


def _records() -> list[Path]:
    """Least recently used first. Another process may be removing some."""
    found: list[tuple[float, Path]] = []
    with suppress(OSError):
        for path in folder().glob("*.json"):
            with suppress(OSError):
                found.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(found)]


def _named(path: Path) -> set[str]:
    """The images that a record names, of whatever format it is."""
    try:
        tags = {str(node["image"]) for node in json.loads(path.read_text())["nodes"]}
    except (OSError, ValueError, LookupError, TypeError):
        return set()
    return {tag for tag in tags if tag.startswith(f"{REPOSITORY}:")}


def _remove_unreadable() -> None:
    """Remove the records of which no cluster can be made, and the images that they name; not those of newer versions."""
    for path in _records():
        with alone(path.stem) as ours:
            if ours and _read(path) is None and not _is_newer(path):
                tags = _named(path)
                path.unlink(missing_ok=True)
                remove_images(sorted(tags))


def _is_newer(path: Path) -> bool:
    with suppress(OSError, ValueError, LookupError, TypeError):
        return bool(json.loads(path.read_text())["format"] > _FORMAT)
    return False


def _read(path: Path) -> FrozenCluster | None:
    """What a record says, None where it is damaged."""
    try:
        told: dict[str, Any] = json.loads(path.read_text())
        if told.pop("format") != _FORMAT:
            return None
        nodes = tuple(
            FrozenNode(
                **{
                    **node,
                    "options": tuple(node["options"]),
                    "binds": tuple(node["binds"]),
                    "ports": tuple(tuple(port) for port in node["ports"]),
                }
            )
            for node in told.pop("nodes")
        )
        return FrozenCluster(nodes=nodes, tokens=tuple(Token(**token) for token in told.pop("tokens")), **told)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _write(path: Path, told: dict[str, Any]) -> None:
    """Write a file for its owner only, so that others find it whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(told, indent=1))
    partial.replace(path)
