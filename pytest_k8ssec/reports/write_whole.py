"""Files that are written as a whole or not at all."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pytest_k8ssec.machine.disks import as_disk_error
from pytest_k8ssec.plain import shown


def write_whole(target: Path, text: str) -> Path:
    """Write a text file in one step, its directory too; what was there before stays until then.

    Characters that are not safe to show are not written either, as somebody will open the file.

    Returns:
        its path.

    Raises:
        DiskError: it can't be written there.
    """
    with as_disk_error(target):
        return _written(target, text)


def _written(target: Path, text: str) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    file = tempfile.NamedTemporaryFile(  # noqa: SIM115 - closed below, and there until it is renamed
        "w", dir=target.parent, suffix=target.suffix, delete=False, encoding="utf-8"
    )
    written = Path(file.name)
    try:
        with file:
            file.write(shown(text))
        written.chmod(0o644)
        written.replace(target)
    finally:
        written.unlink(missing_ok=True)
    return target
