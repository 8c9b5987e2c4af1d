"""report.json, schema 1: everything that was tried, for machines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.plain import lines_of
from pytest_k8ssec.reports.write_whole import write_whole
from pytest_k8ssec.secrecy.redact import redacted

REPORT_SCHEMA = 1
TEXTS = ("reason", "remediation", "text")
"""Keys whose values may have several lines; any other value is one line."""


def report_document(run: dict[str, Any], results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The whole report.

    Args:
        run: id, started, seconds, cluster, stack, versions, host.
        results: one entry for each control's run.
    """
    whole: dict[str, Any] = redacted({"schema": REPORT_SCHEMA, "run": run, "results": list(results)})
    return dict(lines_of(whole, texts=TEXTS))


def read_report(path: Path) -> dict[str, Any]:
    """A report.json that some run wrote.

    Args:
        path: the file, or the directory that ``--k8ssec-report`` named.

    Raises:
        SettingsError: there is none, it is no report, or it is one of another schema. Whether each part of it is as a run writes
            it shows once that is used.
    """
    file = _file(path)
    fix = "name the report.json of a run with --k8ssec-report"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"report {file}: can't be read: {error.strerror}", fix=fix) from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"report {file}: is not valid JSON", fix=fix, details=str(error)) from None
    if not isinstance(found, dict) or "schema" not in found:
        raise SettingsError(f"report {file}: is no report of pytest-k8ssec", fix=fix)
    if found["schema"] != REPORT_SCHEMA or isinstance(found["schema"], bool):
        fix = "make it anew by a run with this version"
        raise SettingsError(f"report {file}: is of schema {found['schema']!r}, this is {REPORT_SCHEMA}", fix=fix)
    return found


def _file(path: Path) -> Path:
    return path / "report.json" if path.is_dir() else path


@contextmanager
def as_written(source: Path) -> Iterator[None]:
    """While a report is used that may have been written by anybody.

    Args:
        source: the file, or its directory.

    Raises:
        SettingsError: something in it is not as a run writes it.
    """
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise SettingsError(
            f"report {_file(source)}: is not as k8ssec writes it: {type(error).__name__}: {error}",
            fix="run the tests again; `k8ssec report --schema` prints the JSON Schema that it has to meet",
        ) from error


def write_report(directory: Path, report: dict[str, Any]) -> Path:
    """Write report.json, as a whole or not at all, and return its path."""
    return write_whole(directory / "report.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
