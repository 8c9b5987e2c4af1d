"""Debian's packages, by way of whatever sources this machine is set up with."""

import os
import platform
import shutil
from functools import cache
from pathlib import Path

from toolchain.errors import ToolchainError
from toolchain.process import capture, logged
from toolchain.settings import folder


@cache
def sources(suite: str) -> str:
    """One-line sources for a Debian suite: this machine's own, with the suite's name put in place of theirs."""
    lines = _sources(suite)
    if not lines:  # apt knows whose a source is only once it has fetched its lists
        capture(["apt-get", "update"], deadline=180)
        lines = _sources(suite)
    if not lines:
        raise ToolchainError("apt: none of this machine's sources is Debian's; see /etc/apt/sources.list.d")
    return "".join(f"{line}\n" for line in sorted(lines))


def install(packages: list[str], *, suite: str, log: Path) -> None:
    """Installs packages of a suite that may be another than the machine's own.

    The other suite is known to this one call only, by lists and preferences of its own: the machine's configuration
    stays as it is, and nothing but what is named comes from there.
    """
    require_root_on_debian(f"installing {' '.join(packages)}")
    own = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    here = folder(f"apt-{suite}")
    (here / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (here / "sources.list").write_text(sources(own) + (sources(suite) if suite != own else ""))
    preferences = ""
    if suite != own:
        pins = {"*": -1, " ".join(packages): 990}
        preferences = "\n".join(
            f"Package: {names}\nPin: release n={suite}*\nPin-Priority: {priority}\n" for names, priority in pins.items()
        )
    (here / "preferences").write_text(preferences)
    settings = {
        "Dir::Etc::SourceList": here / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": here / "preferences",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::State::Lists": here / "lists",
    }
    apt = ["apt-get", *(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))]
    logged([*apt, "update"], log=log, deadline=180)
    logged(
        [*apt, "install", "--yes", "--no-install-recommends", *packages],
        log=log,
        deadline=300,
        env={"DEBIAN_FRONTEND": "noninteractive"},
    )


def ensure_program(program: str, package: str, log: Path) -> None:
    """Has the program on PATH, from this machine's own suite if it is missing."""
    if not shutil.which(program):
        require_root_on_debian(f"installing {package}")
        install([package], suite=platform.freedesktop_os_release()["VERSION_CODENAME"], log=log)


def require_root_on_debian(what: str) -> None:
    """Packages can be installed here, or the error says why they can't."""
    if not shutil.which("apt-get"):
        raise ToolchainError(f"{what}: this is not Debian; install it by this system's own means, then run this again")
    if os.geteuid() != 0:
        raise ToolchainError(f"{what}: only root can; run this as root, or install it yourself and run this again")


def _sources(suite: str) -> set[str]:
    rows = capture(
        [
            "apt-get",
            "indextargets",
            "--format",
            "$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)",
            "Created-By: Packages",
        ],
        deadline=60,
    )
    lines = set()
    for row in rows.splitlines():
        origin, uri, release, component = row.split("|")
        if origin == "Debian":
            _, dash, part = release.partition("-")
            lines.add(f"deb {uri} {suite}{dash}{part} {component}")
    return lines
