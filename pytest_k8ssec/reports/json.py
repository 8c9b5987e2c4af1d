"""report.json, schema 1: everything that was tried, for machines."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytest_k8ssec.redaction import redacted

SCHEMA = 1


def document(run: dict[str, Any], results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The whole report.

    Args:
        run: id, started, seconds, cluster, stack, versions, host.
        results: one entry a control's run.
    """
    whole: dict[str, Any] = redacted({"schema": SCHEMA, "run": run, "results": list(results)})
    return whole


def write(directory: Path, report: dict[str, Any]) -> Path:
    """Write report.json, as a whole or not at all, and return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / "report.json"
    # Half a character, as a file's name may hold, is written as JSON escapes it.
    file = tempfile.NamedTemporaryFile(  # noqa: SIM115 - closed below, and there until it is renamed
        "w", dir=directory, suffix=".json", delete=False, encoding="utf-8", errors="backslashreplace"
    )
    written = Path(file.name)
    try:
        with file:
            json.dump(report, file, indent=2, ensure_ascii=False)
            file.write("\n")
        written.chmod(0o644)
        written.replace(target)
    finally:
        written.unlink(missing_ok=True)
    return target
