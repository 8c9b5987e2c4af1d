"""What became of processes."""

from __future__ import annotations

import psutil


def gone(pid: int) -> bool:
    """Whether a process runs no more. Where the first process of a machine reaps nothing, it stays as a zombie."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
