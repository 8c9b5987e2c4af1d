"""Results that are written down as they come, so that a long run goes on where it was interrupted.

What an earlier run found counts only if nothing that decides a verdict has changed since: the package, the stack, the
kind configuration, the settings. Only results that were as they must be are taken over; the rest is run again.
Results of a team's own controls and sabotages are never taken over, because nobody can list the files they are in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.machine.disks import as_disk_error
from pytest_k8ssec.reports.write_whole import write_whole
from pytest_k8ssec.secrecy.redact import redacted
from pytest_k8ssec.settings import Settings

_PACKAGE = Path(__file__).parents[1]
_SKIPPED = {"__pycache__", ".venv", "node_modules"}


class Journal:
    """One file, one line for each result, below a first line that says what it was made with.

    Args:
        file: its place.
        fingerprint: of all that decides a verdict.

    Raises:
        DiskError: it can't be written.
        SettingsError: another file has that name.
    """

    def __init__(self, file: Path, fingerprint: str) -> None:
        self._file = file
        if file.is_file() and file.stat().st_size and not _is_journal(file):
            raise SettingsError(f"{file}: is not a journal of ours", fix="name another directory with --k8ssec-report")
        self._header = {"fingerprint": fingerprint}
        self.earlier = self._read()
        """Test to its result, of the interrupted run."""
        lines = [self._header, *({"test": test, "entry": entry} for test, entry in self.earlier.items())]
        write_whole(file, "".join(json.dumps(line) + "\n" for line in lines))

    def add(self, test: str, entry: dict[str, Any]) -> None:
        """Write down that a test ended as it must. Raises DiskError where that can't be written."""
        with as_disk_error(self._file), self._file.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(json.dumps({"test": test, "entry": redacted(entry)}) + "\n")

    def end(self) -> None:
        """Remove the file: there is nothing left to resume."""
        self._file.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        """What was written under the same fingerprint; a line that was cut off is left out."""
        try:
            lines = [_parsed(line) for line in self._file.read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError):
            return {}
        if lines[:1] != [self._header]:
            return {}
        return {line["test"]: line["entry"] for line in lines[1:] if line}


def _is_journal(file: Path) -> bool:
    with file.open(encoding="utf-8", errors="replace") as lines:
        return "fingerprint" in _parsed(lines.readline())


def fingerprint(settings: Settings, waivers: Sequence[object] = ()) -> str:
    """A hash of the package's files, the stack's, those of Python packages beside it, the kind configuration, the settings.

    Args:
        waivers: those that hold today.
    """
    digest = hashlib.sha256(f"{settings!r}{waivers!r}".encode())
    stack = settings.stack
    beside = sorted(path.parent for path in stack.parent.glob("*/__init__.py")) if stack else []
    for root in (_PACKAGE, stack, *beside, settings.kind_config):
        for file in _files(root):
            digest.update(str(file).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _files(root: Path | None) -> Iterator[Path]:
    if root is None:
        return
    if root.is_file():
        yield root
        return
    for path in sorted(root.iterdir()):
        if path.is_dir() and path.name not in _SKIPPED and not path.is_symlink():
            yield from _files(path)
        elif path.is_file():
            yield path


def _parsed(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
