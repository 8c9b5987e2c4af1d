"""Kernel limits that are too low by default for several Kubernetes nodes on one kernel."""

from pathlib import Path

from toolchain.settings import versions


def raise_limits() -> list[str]:
    """Raises those of versions.toml that are lower; tells each change, or why it could not be made."""
    return [told for name, wanted in versions()["kernel"].items() if (told := _raise(name, wanted))]


def _raise(name: str, wanted: int) -> str:
    file = Path("/proc/sys", *name.split("."))
    try:
        now = int(file.read_text())
        if now >= wanted:
            return ""
        file.write_text(str(wanted))
    except OSError as refused:
        return f"{name}: left alone ({refused.strerror}); to set it: sysctl -w {name}={wanted}"
    return f"{name}: raised from {now} to {wanted}"
