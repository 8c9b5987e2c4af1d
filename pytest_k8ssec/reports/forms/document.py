"""The JSON Schema of report.json."""

from __future__ import annotations

from importlib import resources

from pytest_k8ssec.reports.json import REPORT_SCHEMA


def schema_text() -> str:
    """The JSON Schema of report.json."""
    return (resources.files(__package__) / f"report-schema-{REPORT_SCHEMA}.json").read_text(encoding="utf-8")
