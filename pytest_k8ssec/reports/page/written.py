"""The page of a report, within its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_k8ssec.reports.forms.reported import verdicts_of
from pytest_k8ssec.reports.page.evidence import count_tried
from pytest_k8ssec.reports.page.history import EarlierRun, history_of
from pytest_k8ssec.reports.page.templating import filled
from pytest_k8ssec.reports.page.view import view_of

PAGE_BYTES_MAX, LARGE_BYTES_MAX = 2_000_000, 5_000_000
"""How large a page may be, and one of a run that tried much more than most."""
_MUCH = 12_000
"""So many attacks and positive controls are much more."""
_ROWS_MAX = 2_000
_ROW_BYTES = 300
"""A row of evidence mostly takes more than so many."""
_PICTURES = 4
"""Heat maps may take one part of so many, and graphs another one."""


def report_page(report: Mapping[str, Any], earlier: Sequence[EarlierRun] = ()) -> str:
    """The page.

    Where all that was tried has no room, less is shown of each result, what got through first, and that is said.

    Args:
        report: as report.json has it.
        earlier: the runs that are to stand beside it.

    Raises:
        SettingsError: one of these is of another project.
    """
    counts = [count_tried(each) for each in verdicts_of(report)]
    limit = LARGE_BYTES_MAX if sum(counts) > _MUCH else PAGE_BYTES_MAX
    most = _ROWS_MAX
    while most and sum(min(each, most) for each in counts) * _ROW_BYTES > limit:
        most = most * 3 // 4
    history = history_of(report, earlier)
    while True:
        page = filled("page.html", view=view_of(report, most, limit // _PICTURES), history=history)
        if most == 0 or len(page.encode()) <= limit:
            return page
        most = most * 3 // 4
