"""Errors for files that can't be written: which, why, and what fixes it; and a test whether a folder can be written."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_k8ssec.errors import DiskError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_OF_DISKS = (*_FULL, errno.EROFS)
_SAMPLE = b"k8ssec\n" * 8192
"""More than what a file system may keep beside a file's name."""


def unwritable(error: OSError, path: Path | None = None, *, what: str = "", fix: str = "") -> DiskError:
    """The error for a file or folder that can't be written or read.

    Args:
        error: what the system said.
        path: the file or folder, if the system's error does not name it more exactly.
        what: what we keep there.
        fix: how to choose another place; "" if there is no choice.
    """
    named = error.filename if isinstance(error.filename, str) else None
    where = " ".join(filter(None, [what, str(path or named or "").strip()])) or "a file"
    if path and named and not Path(named).is_relative_to(path.parent):  # else it is that, or a file that came before it
        where += f" ({named})"
    return DiskError(f"{where}: {_why(error)}", fix=" or ".join(filter(None, [_remedy(error), fix])))


def of_disk(error: BaseException) -> DiskError | None:
    """The error in our words if only a disk can have caused it, whatever raised it; else None."""
    return unwritable(error) if isinstance(error, OSError) and error.errno in _OF_DISKS else None


@contextmanager
def as_disk_error(path: Path | None = None, *, what: str = "", fix: str = "") -> Iterator[None]:
    """Turn an OSError of this context into an error that says what can't be written. Arguments: :func:`unwritable`.

    Raises:
        DiskError: instead of any OSError.
    """
    try:
        yield
    except OSError as error:
        raise unwritable(error, path, what=what, fix=fix) from error


def try_out(folder: Path) -> None:
    """Make a folder if there is none, write a real file into it, and remove the file.

    Raises:
        OSError: one of these steps failed.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(prefix=".k8ssec-", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(_SAMPLE)
            file.flush()
            os.fsync(file.fileno())
    finally:
        Path(name).unlink()


def space(folder: Path) -> tuple[int, bool]:
    """How many bytes this process can still write there, and whether it can make a file.

    Raises:
        OSError: the folder is not there.
    """
    told_ = os.statvfs(folder)
    root = os.geteuid() == 0
    blocks, files = (told_.f_bfree, told_.f_ffree) if root else (told_.f_bavail, told_.f_favail)
    # Some file systems make room for names as they need it, and count none.
    return blocks * told_.f_frsize, not told_.f_files or files > 0


def _why(error: OSError) -> str:
    if error.errno in _FULL:
        return f"there is no space left ({error.strerror})"
    if error.errno == errno.EROFS:
        return "is on a read-only file system"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"this user may not write there ({error.strerror})"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"a file stands where a folder is needed ({error.strerror})"
    if error.errno == errno.EISDIR:
        return f"a folder stands where a file is needed ({error.strerror})"
    return error.strerror or str(error)


def _remedy(error: OSError) -> str:
    if error.errno in _FULL:
        return "make room there"
    if error.errno == errno.EROFS:
        return "remount it writable"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "give this user the right"
    if error.errno == errno.EISDIR:
        return "move the folder away"
    return "move the file away" if error.errno in (errno.ENOTDIR, errno.EEXIST) else ""
