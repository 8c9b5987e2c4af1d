"""The docker daemon: found, or installed and started where that can be done without a download."""

import json
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
    if not shutil.which("docker"):
        return ""
    try:
        told = capture(["docker", "version", "--format", "{{json .Server}}"], deadline=20)
    except ToolchainError:
        return ""
    return str((json.loads(told) or {}).get("Version", ""))


def ensure(say: Callable[[str], None]) -> None:
    """Has a daemon that answers and a kernel fit for kind, or fails saying what to do by hand."""
    version = answers()
    if version:
        say(f"docker: daemon {version} answers")
    else:
        _install(say)
        _start(say)
    if os.geteuid() == 0:
        for change in raise_limits():
            say(change)


def _install(say: Callable[[str], None]) -> None:
    wanted = versions()["docker"]
    daemon, client = shutil.which("dockerd"), shutil.which("docker")
    fit = daemon and _major(daemon) >= wanted["minimum_major"]
    packages = ([] if fit else wanted["packages"]) + ([] if client else wanted["client_packages"])
    if not packages:
        return
    try:
        apt.require_root_on_debian(f"no docker daemon answers, and installing {' '.join(packages)}")
    except ToolchainError as cannot:
        raise ToolchainError(f"{cannot}\n  (is DOCKER_HOST right? DOCKER_HOST={os.environ.get('DOCKER_HOST', '')})") from None
    log = folder("logs") / "docker-install.log"
    apt.install(packages, suite=wanted["suite"], log=log)
    say(f"docker: installed {' '.join(packages)} of Debian {wanted['suite']} (log: {log})")


def _start(say: Callable[[str], None]) -> None:
    """Installing may already have started it, where an init system is in charge."""
    log = folder("logs") / "dockerd.log"
    if not answers():
        if os.geteuid() != 0:
            raise ToolchainError("no docker daemon answers, and only root can start one; start it: sudo dockerd")
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
