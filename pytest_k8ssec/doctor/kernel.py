"""Limits of the kernel that several Kubernetes nodes share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_k8ssec.doctor.daemon import Info, is_here
from pytest_k8ssec.doctor.finding import Diagnosis, ok, warning

Read = Callable[[str], int | None]
"""The value of a sysctl by its name, None where it can't be read."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A sysctl that is too low by default."""

    name: str
    enough: int
    set_to: str
    """Arguments of ``sysctl -w`` that fix it."""
    why: str


LIMITS = (
    Limit(
        "fs.inotify.max_user_instances",
        512,
        "fs.inotify.max_user_instances=1024",
        "a second cluster's kubelet or containerd fails with 'too many open files'",
    ),
    Limit(
        "fs.inotify.max_user_watches",
        524288,
        "fs.inotify.max_user_watches=524288",
        "nodes fail with 'no space left on device'",
    ),
    Limit(
        "net.ipv4.neigh.default.gc_thresh3",
        4096,
        "net.ipv4.neigh.default.gc_thresh1=8192 net.ipv4.neigh.default.gc_thresh2=32768 "
        "net.ipv4.neigh.default.gc_thresh3=65536",
        "all network namespaces share one neighbour table; once it overflows, open ports give no answer and look blocked",
    ),
)


def examine_kernel(info: Info) -> Iterator[Diagnosis]:
    """Compare the limits with what several nodes need, if docker runs on this kernel."""
    if is_here(info):
        yield from compare(_read)
    else:
        yield ok("kernel limits", "not looked at: docker runs on another kernel")


def compare(read: Read) -> Iterator[Diagnosis]:
    """One finding for each limit."""
    for limit in LIMITS:
        value = read(limit.name)
        if value is None:
            yield ok(limit.name, "can't be read here")
        elif value < limit.enough:
            told = f"{value}, should be {limit.enough} or more: {limit.why}"
            yield warning(limit.name, told, f"sysctl -w {limit.set_to}")
        else:
            yield ok(limit.name, str(value))


def _read(name: str) -> int | None:
    try:
        return int(Path("/proc/sys", *name.split(".")).read_text())
    except (OSError, ValueError):
        return None
