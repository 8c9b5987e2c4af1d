"""Which forms of a result there are beside report.json, by the name of each, and how they are written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_k8ssec.reports.forms.code_quality import code_quality
from pytest_k8ssec.reports.forms.markdown import summary_markdown
from pytest_k8ssec.reports.forms.sarif import sarif_document
from pytest_k8ssec.reports.write_whole import write_whole

if TYPE_CHECKING:
    from pytest_k8ssec.reports.page.history import EarlierRun


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _page(report: Mapping[str, Any], earlier: Sequence[EarlierRun]) -> str:
    from pytest_k8ssec.reports.page.written import report_page  # the other forms need no templates

    return report_page(report, earlier)


_Make = Callable[[Mapping[str, Any], "Sequence[EarlierRun]"], str]
_FORMS: Mapping[str, tuple[str, _Make]] = {
    "html": ("report.html", _page),
    "sarif": ("report.sarif", lambda report, _: _json(sarif_document(report))),
    "markdown": ("summary.md", lambda report, _: summary_markdown(report)),
    "gitlab": ("gl-code-quality.json", lambda report, _: _json(code_quality(report))),
}
FORM_NAMES = tuple(_FORMS)


def texts_of(
    report: Mapping[str, Any], names: Iterable[str] = FORM_NAMES, earlier: Sequence[EarlierRun] = ()
) -> dict[str, str]:
    """File name to text of each form.

    Args:
        report: as report.json has it.
        names: of :data:`FORM_NAMES`.
        earlier: the runs that are to stand beside it on the page.

    Raises:
        SettingsError: one of these is of another project.
    """
    return {file: make(report, earlier) for file, make in (_FORMS[name] for name in names)}


def write_forms(directory: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write each, as a whole or not at all, and return their paths.

    Raises:
        DiskError: one can't be written there.
    """
    return [write_whole(directory / file, text) for file, text in texts.items()]
