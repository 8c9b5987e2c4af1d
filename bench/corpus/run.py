"""Runs the controls on one stack of the corpus, on a cluster of its own; a report of the same sources is kept."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest_k8ssec
from bench.corpus.compare import Result
from bench.corpus.expected import FILE, Entry
from pytest_k8ssec.reports.write_whole import write_whole

DEADLINE = 600
"""Seconds that one stack may take: cluster, deployment and all controls."""
_LAST = 60
"""Seconds in which a run that was stopped removes what it made."""
PACKAGE = Path(pytest_k8ssec.__file__).parent
"""Every verdict depends on it."""


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of one stack's run."""

    results: tuple[Result, ...]
    why: str
    """Why there are no results, or not all; "" where there are."""
    again: bool = False
    """Whether they are of an earlier run with the same sources."""


def ran(entry: Entry, folder: Path, environ: Mapping[str, str] | None = None) -> Ran:
    """The results of all controls that a stack has expectations of.

    Args:
        entry: the stack.
        folder: of its own, for its report; what is there is taken if it is of the same sources.
        environ: of the run; None for this process' own, without this repository's settings.

    Raises:
        DiskError: the folder can't be written.
    """
    digest = sources(entry)
    if (kept := _kept(entry, folder, digest)) is not None:
        return Ran(kept, "", again=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").unlink(missing_ok=True)
    write_whole(folder / "pytest.ini", "[pytest]\n")  # what this repository's pyproject.toml allows must not count
    given = {f"CORPUS_SECRET_{number}": secrets.token_hex(16) for number in range(len(entry.secrets))}
    known = environ if environ is not None else own_environment()
    ended = run_to_end(_command(entry, folder, [*given]), folder, {**known, **given})
    results = results_in(folder)
    missing = [each.control for each in entry.expected if each.control not in {one["control"] for one in results}]
    if missing:
        return Ran(results, f"{ended}; see {folder / 'output'}")
    write_whole(folder / "sources", f"{digest}\n")
    return Ran(results, "")


def sources(entry: Entry) -> str:
    """A digest of all that a stack's report depends on: its program, what it is given, and this package.

    What is expected is left out: it is compared anew each time.
    """
    told = hashlib.sha256(repr((sorted(each.control for each in entry.expected), entry.secrets, entry.allow)).encode())
    for root in (entry.folder, PACKAGE):
        add_files(told, root, but=root / FILE)
    return told.hexdigest()


def add_files(told: _Hash, root: Path, *, but: Path | None = None) -> None:
    """Have a digest depend on all files below a folder, but one."""
    for path in _files(root):
        if path != but:
            told.update(f"{path.relative_to(root)}\0".encode())
            told.update(hashlib.sha256(path.read_bytes()).digest())


def _files(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def _kept(entry: Entry, folder: Path, digest: str) -> tuple[Result, ...] | None:
    mark = folder / "sources"
    if not mark.exists() or mark.read_text().strip() != digest:
        return None
    results = results_in(folder)
    known = {each["control"] for each in results}
    return results if all(each.control in known for each in entry.expected) else None


def results_in(folder: Path) -> tuple[Result, ...]:
    """What the report there says of each control; nothing where there is none."""
    try:
        report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    except (OSError, ValueError):
        return ()
    return tuple(report["results"])


def own_environment() -> dict[str, str]:
    """Without settings of whoever runs this: only where tools and the ledger are."""
    kept = {"K8SSEC_CACHE", "K8SSEC_STATE"}
    return {
        name: value
        for name, value in os.environ.items()
        if name in kept or not name.startswith(("K8SSEC_", "PYTEST_", "PULUMI_"))
    }


def _command(entry: Entry, folder: Path, variables: list[str]) -> list[str]:
    chosen = " or ".join(f"test_{each.control.replace('-', '_')}" for each in entry.expected)
    return [
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", str(folder / "pytest.ini"),
        "--k8ssec-controls", "-k", chosen,
        f"--k8ssec-stack={entry.folder}",
        "--k8ssec-config=image={probe_image}",
        f"--k8ssec-report={folder}",
        *(f"--k8ssec-secret={key}={name}" for key, name in zip(entry.secrets, variables, strict=True)),
        *(f"--k8ssec-allow={subject}={reason}" for subject, reason in entry.allow.items()),
    ]  # fmt: skip


def run_to_end(command: list[str], folder: Path, environ: Mapping[str, str], *, place: Path | None = None) -> str:
    """Run pytest to its end, and say how it ended.

    Args:
        folder: what it prints goes there, into ``output``.
        place: where it runs; None for the folder.
    """
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=place or folder, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            return f"pytest ended with {process.wait(DEADLINE)}"
        except subprocess.TimeoutExpired:
            return f"not done within {DEADLINE} s"
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C would, so that it removes its cluster."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_LAST)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
