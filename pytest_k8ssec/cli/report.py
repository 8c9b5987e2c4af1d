"""``k8ssec report``: other forms of a run's result, made again from its report.json."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pytest_k8ssec.cli.say import say, say_text
from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.plain import lines_of
from pytest_k8ssec.reports.forms.document import schema_text
from pytest_k8ssec.reports.forms.every import FORM_NAMES, texts_of, write_forms
from pytest_k8ssec.reports.json import TEXTS, as_written, read_report
from pytest_k8ssec.reports.page.history import EarlierRun
from pytest_k8ssec.secrecy.redact import redacted


def report(arguments: argparse.Namespace) -> int:
    """Write each form that is asked for beside report.json, or into another folder.

    Raises:
        SettingsError: what is named is no report.json of this schema, or one of the earlier ones is of another project.
        DiskError: a form can't be written.
    """
    if arguments.schema:
        say_text(schema_text().rstrip())
        return 0
    source: Path | None = arguments.source
    if source is None:
        raise SettingsError("report: none was named", fix="name a report.json, or its folder: k8ssec report DIR")
    document, earlier = _safe(source), [_earlier(each) for each in arguments.history or ()]
    with as_written(source):
        texts = texts_of(document, arguments.form or FORM_NAMES, earlier)
    beside = source if source.is_dir() else source.parent
    for path in write_forms(arguments.out or beside, texts):
        say(f"written: {path}")
    return 0


def _safe(source: Path) -> dict[str, Any]:
    """A report. Whoever had the file in hands may have put anything into it: it is made safe as a run's own result is."""
    return dict(lines_of(redacted(read_report(source)), texts=TEXTS))


def _earlier(source: Path) -> EarlierRun:
    with as_written(source):
        return EarlierRun.of(_safe(source))
