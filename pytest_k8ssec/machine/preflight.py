"""Checks before a cluster is made that all folders which a run writes into can be written and have enough room.

A disk that fills up in the middle costs minutes and leaves half a cluster. So a real file is written into each folder
and removed. Docker's own folder is asked for its free space, if it is on this machine.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_k8ssec.errors import CommandError, SettingsError
from pytest_k8ssec.machine import docker, tools
from pytest_k8ssec.machine.disks import space, try_out, unwritable
from pytest_k8ssec.machine.ledger import state_root
from pytest_k8ssec.settings import Settings

_MB = 1 << 20
_STATE = 256 * _MB
"""The probe's image passes through it on its way to the nodes: 60 to 150 MB. The rest is a few MB a cluster."""
_REPORT = 32 * _MB
"""A report has a few MB, and logs of a cluster about 10."""
_TEMPORARY = 16 * _MB
"""Certificates, and what Pulumi unpacks."""
_CACHE = 512 * _MB
"""Pulumi and its provider, packed and unpacked."""
_DOCKER = 1 << 30
"""What one node takes at the least: below it no cluster gets ready."""
_STANDING = 3
"""Clusters that stand at a time under sabotage: the base, that of a sabotage, and the one that comes next."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that a run writes into."""

    what: str
    path: Path
    enough: int
    """Bytes that a run needs there."""
    fix: str
    """How to choose another one."""


def check(settings: Settings) -> None:
    """Look at all places that a run with these settings needs.

    Raises:
        SettingsError: one can't be written, or has too little room; only the first is reported.
        ToolMissing: there is no docker client.
    """
    for place in places_written(settings):
        try_place(place)
    if settings.cluster is None:
        _check_docker(clusters=_STANDING if settings.sabotage else 1)


def places_written(settings: Settings) -> Iterator[Place]:
    """Where a run with these settings writes."""
    yield Place("state directory", state_root(), _STATE, "name another one: K8SSEC_STATE=DIR")
    if settings.report is not None:
        yield Place("report directory", settings.report, _REPORT, "name another one: --k8ssec-report DIR")
    yield Place("temporary directory", Path(tempfile.gettempdir()), _TEMPORARY, "name another one: TMPDIR=DIR")
    if _fetches(settings):
        yield Place("cache", tools.cache_root(), _CACHE, "name another one: K8SSEC_CACHE=DIR")


def try_place(place: Place) -> None:
    """Write a file into a place, and look at the room that is left.

    Raises:
        SettingsError: it can't be written, or has too little room.
    """
    try:
        try_out(place.path)
        free, names = space(place.path)
    except OSError as error:
        if error.errno != errno.ENOSPC or not place.path.is_dir() or space(place.path)[1]:
            nameless = OSError(error.errno, error.strerror)  # which file was tried tells nobody anything
            told = unwritable(nameless, place.path, what=place.what, fix=place.fix)
            raise SettingsError(told.message, fix=told.fix) from error
        names = False
    if not names:
        raise SettingsError(
            f"{place.what} {place.path}: its file system can't hold one more file (no inode is free)",
            fix=f"remove files there or {place.fix}",
        )
    if free < place.enough:
        raise SettingsError(
            f"{place.what} {place.path}: {_shown(free)} are free there, and a run needs {_shown(place.enough)}",
            fix=f"make room there or {place.fix}",
        )


def _fetches(settings: Settings) -> bool:
    """Whether something is to be fetched into the cache: one that was filled before need not be written any more."""
    wanted = ["kind", *(["pulumi"] if settings.stack else [])]
    if any(shutil.which(name) is None and tools.installed(name) is None for name in wanted):
        return True
    return settings.stack is not None and (bool(settings.allow_provider) or tools.find_provider() is None)


def _check_docker(*, clusters: int) -> None:
    """Look at the free space where docker keeps its files, if that is on this machine."""
    try:
        info = json.loads(docker.docker("info", "--format", "{{json .}}", deadline=15).text)
        root, kernel = Path(info["DockerRootDir"]), info["KernelVersion"]
        if kernel != os.uname().release:
            return  # in a virtual machine, or elsewhere: this path is not that one
        free, names = space(root)
    except (CommandError, ValueError, LookupError, TypeError, OSError):
        return  # not known: what is wrong with docker is told where it is used
    fix = "docker system prune"
    if free < clusters * _DOCKER:
        wanted = "a cluster needs" if clusters == 1 else f"of {clusters} clusters each needs"
        raise SettingsError(
            f"docker's data root {root}: {_shown(free)} are free there, and {wanted} {_shown(_DOCKER)} a node", fix=fix
        )
    if not names:
        raise SettingsError(f"docker's data root {root}: can't hold one more file (no inode is free)", fix=fix)


def _shown(size: int) -> str:
    return f"{size / _MB:.0f} MiB"
