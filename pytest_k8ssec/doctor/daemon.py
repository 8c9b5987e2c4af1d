"""The docker client, its daemon, and what the daemon tells of the machine that it runs on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_k8ssec.doctor.finding import Diagnosis, at_least, error, ok, warning
from pytest_k8ssec.errors import CommandError, ToolMissing
from pytest_k8ssec.machine import docker
from pytest_k8ssec.machine.process import run

Info = Mapping[str, Any]
"""``docker info`` as JSON."""

_DAEMON_MINIMUM = "23"
"""Older ones start no privileged container for a root that lacks a capability."""
_GB = 1 << 30
_DISK_ERROR, _DISK_WARNING = 2 * _GB, 8 * _GB
_MEMORY_ERROR, _MEMORY_WARNING = 1 * _GB, 3 * _GB
_PROCESSORS = 2


def examine_client() -> Diagnosis:
    """Whether the client is there and starts."""
    try:
        path = docker.client()
        said = run([str(path), "--version"], deadline=10).text.strip()
    except ToolMissing as missing:
        return error("docker client", missing.message, missing.fix)
    except CommandError as failed:
        return error("docker client", failed.message, "reinstall docker")
    return ok("docker client", f"{said.removeprefix('Docker version ').partition(',')[0]} at {path}")


def examine_daemon() -> tuple[Diagnosis, Info | None]:
    """Whether a daemon answers this user, and what it reports; None if it reports nothing."""
    try:
        version = docker.check_daemon()
        info = json.loads(docker.docker("info", "--format", "{{json .}}", deadline=15).text)
    except ToolMissing as missing:
        last = missing.details.strip().splitlines()[-1:] or [""]
        return error("docker daemon", ": ".join(filter(None, [missing.message, *last])), missing.fix), None
    except (CommandError, ValueError) as failed:
        return error(
            "docker daemon", f"`docker info` failed: {failed}", "look at the daemon's log, or restart it"
        ), None
    if at_least(version, _DAEMON_MINIMUM) is False:
        told = f"{version} is older than {_DAEMON_MINIMUM}, and may refuse to start cluster nodes"
        return warning("docker daemon", told, "update docker (on Debian as root: `apt-get install docker.io`)"), info
    return ok("docker daemon", f"{version} answers at {docker.endpoint() or 'its default address'}"), info


def examine_info(info: Info) -> Iterator[Diagnosis]:
    """Control groups, disk, memory and processors."""
    yield _cgroup(info)
    yield _disk(info)
    yield _memory(info)
    count = int(info.get("NCPU", 0))
    if count < _PROCESSORS:
        yield warning("processors", f"{count}: clusters start slowly", f"give docker {_PROCESSORS} or more")
    else:
        yield ok("processors", str(count))


def is_here(info: Info) -> bool:
    """Whether the daemon runs on this machine's own kernel, and not in a virtual machine or elsewhere."""
    return bool(info.get("KernelVersion")) and info.get("KernelVersion") == os.uname().release


def _cgroup(info: Info) -> Diagnosis:
    version = str(info.get("CgroupVersion", ""))
    rootless = any("rootless" in str(option) for option in info.get("SecurityOptions") or ())
    if version == "1" and rootless:
        return error("control groups", "version 1 with rootless docker: kind needs version 2", "boot with cgroup v2")
    if version == "1":
        told = "version 1: from Kubernetes 1.35 on the kubelet refuses it, so we set failCgroupV1: false in its configuration"
        return ok("control groups", told)
    return ok("control groups", f"version {version}{', rootless docker' if rootless else ''}")


def _disk(info: Info) -> Diagnosis:
    root = str(info.get("DockerRootDir", ""))
    try:
        free = shutil.disk_usage(root).free if is_here(info) else None
    except OSError:
        free = None
    if free is None:
        return ok("disk", "not looked at: docker keeps its files where we can't see them")
    told = f"{free / _GB:.1f} GiB free at {root}; a cluster takes about 1 GiB a node, and its images 1 GiB"
    fix = "docker system prune"
    if free < _DISK_ERROR:
        return error("disk", told, fix)
    return warning("disk", told, fix) if free < _DISK_WARNING else ok("disk", told)


def _memory(info: Info) -> Diagnosis:
    total = int(info.get("MemTotal", 0))
    free = _available() if is_here(info) else total
    told = f"{free / _GB:.1f} GiB of {total / _GB:.1f} GiB available; a node takes about 0.7 GiB"
    fix = "end what uses it, or give docker more"
    if free < _MEMORY_ERROR:
        return error("memory", told, fix)
    return warning("memory", told, fix) if free < _MEMORY_WARNING else ok("memory", told)


def _available() -> int:
    import psutil

    return int(psutil.virtual_memory().available)
