"""The docker daemon: found, or installed and started where that can be done without a download."""

import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from toolchain import apt
from toolchain.errors import ToolchainError
from toolchain.kernel import raise_limits
from toolchain.process import capture, detached, logged, succeeds
from toolchain.settings import folder, versions

START_DEADLINE = 60.0
"""Seconds that a daemon gets until it answers."""


def answers() -> str:
    """The daemon's version, or nothing where none answers."""
    try:
        return _version()
    except ToolchainError:
        return ""


def ensure(say: Callable[[str], None]) -> None:
    """Has a daemon that answers and a kernel fit for kind, or fails saying what to do by hand."""
    try:
        say(f"docker: daemon {_version()} answers")
    except ToolchainError as silence:
        _install(say, silence)
        _start(say)
    if os.geteuid() == 0:
        for change in raise_limits():
            say(change)


def _version() -> str:
    told = capture(["docker", "version", "--format", "{{.Server.Version}}"], deadline=20)
    return told.strip()


def _install(say: Callable[[str], None], silence: ToolchainError) -> None:
    wanted = versions()["docker"]
    daemon, client = shutil.which("dockerd"), shutil.which("docker")
    fit = daemon and _major(daemon) >= wanted["minimum_major"]
    packages = ([] if fit else wanted["packages"]) + ([] if client else wanted["client_packages"])
    if os.geteuid() != 0 or (packages and not shutil.which("apt-get")):
        raise ToolchainError(
            "docker: no daemon answers, and only root on Debian can have one installed and started from here; "
            f"start docker by this system's own means, then run this again\n{silence}"
        )
    if packages:
        log = folder("logs") / "docker-install.log"
        apt.install(packages, suite=wanted["suite"], log=log)
        say(f"docker: installed {' '.join(packages)} of Debian {wanted['suite']} (log: {log})")


def _start(say: Callable[[str], None]) -> None:
    """Installing may already have started it, where an init system is in charge."""
    log = folder("logs") / "dockerd.log"
    if not answers():
        say(f"docker: daemon started as process {detached(['dockerd'], log=log)} (log: {log})")
    deadline = time.monotonic() + START_DEADLINE
    while not (version := answers()):
        if time.monotonic() > deadline:
            raise ToolchainError(f"dockerd: no answer {START_DEADLINE:.0f} s after its start; see the end of {log}")
        time.sleep(0.2)
    say(f"docker: daemon {version} answers")


def _major(daemon: str) -> int:
    found = re.search(r"version (\d+)", capture([daemon, "--version"], deadline=20))
    return int(found[1]) if found else 0


def has_image(ref: str) -> bool:
    """Whether the daemon's store has the image."""
    return succeeds(["docker", "image", "inspect", "--format", "{{.Id}}", ref], deadline=30)


def load(archive: Path, log: Path) -> None:
    """Adds an archive's images to the store."""
    logged(["docker", "load", "--input", archive], log=log, deadline=300)
