"""report.json, schema 1: everything that was tried, for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


def write_report(directory: Path, report: dict[str, Any]) -> Path:
    """Write report.json, as a whole or not at all, and return its path."""
    return write_whole(directory / "report.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
