"""Reads report.json again, and has its JSON Schema."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.reports.json import REPORT_SCHEMA

_NAME = "report.json"
_FIX = "name a report.json that `pytest --k8ssec-report DIR` wrote, or its folder"


def schema_text() -> str:
    """The JSON Schema of report.json."""
    return (resources.files(__package__) / f"report-schema-{REPORT_SCHEMA}.json").read_text(encoding="utf-8")


def read_report(path: Path) -> dict[str, Any]:
    """What stands in a report.json.

    Args:
        path: the file, or the folder that it is in.

    Raises:
        SettingsError: there is none, it is none, or it is one of another schema.
    """
    file = path / _NAME if path.is_dir() else path
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{file}: can't be read: {error.strerror or error}", fix=_FIX) from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{file}: is no JSON: {error}", fix=_FIX) from error
    if not isinstance(report, dict) or "schema" not in report:
        raise SettingsError(f"{file}: is no report of k8ssec: it has no schema", fix=_FIX)
    if report["schema"] != REPORT_SCHEMA or isinstance(report["schema"], bool):
        raise SettingsError(
            f"{file}: is of schema {report['schema']!r}, and this version reads {REPORT_SCHEMA}",
            fix="use the version of pytest-k8ssec that wrote it, or run the tests again",
        )
    return report
