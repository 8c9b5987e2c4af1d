"""Fills the page's templates in: each text is escaped, nothing is loaded from elsewhere, and the page stays within its size."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from pytest_k8ssec.plain import shown
from pytest_k8ssec.reports.forms.reported import verdicts_of
from pytest_k8ssec.reports.page.evidence import count_tried
from pytest_k8ssec.reports.page.view import culprit_parts, view_of

if TYPE_CHECKING:
    import jinja2

PAGE_BYTES_MAX, LARGE_BYTES_MAX = 2_000_000, 5_000_000
"""How large a page may be, and one of a run that tried much more than most."""
_MUCH = 12_000
"""So many attacks and positive controls are much more."""
_ROWS_MAX = 2_000
_ROW_BYTES = 200
"""A row of evidence takes at least so many."""


def report_page(report: Mapping[str, Any]) -> str:
    """The page.

    Where all that was tried has no room, less is shown of each result, what got through first, and that is said.

    Args:
        report: as report.json has it.
    """
    from jinja2 import UndefinedError

    counts = [count_tried(each) for each in verdicts_of(report)]
    limit = LARGE_BYTES_MAX if sum(counts) > _MUCH else PAGE_BYTES_MAX
    most = _ROWS_MAX
    while most and sum(min(each, most) for each in counts) * _ROW_BYTES > limit:
        most //= 2
    template = _environment().get_template("page.html")
    while True:
        try:
            page = template.render(view=view_of(report, most))
        except UndefinedError as error:  # something that a run writes is not in the report
            raise KeyError(str(error)) from error
        if most == 0 or len(page.encode()) <= limit:
            return page
        most //= 2


@cache
def _environment() -> jinja2.Environment:
    import jinja2
    from markupsafe import Markup

    style, script = _file("page.css"), _file("page.js")
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(_file), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_finalized,
    )  # fmt: skip
    made.globals.update(
        # Both are files of ours, and stand in the page to the letter: by their hashes the browser knows them.
        style=Markup(style), script=Markup(script), style_hash=_hash(style), script_hash=_hash(script),  # noqa: S704
    )  # fmt: skip
    made.filters["culprit"] = culprit_parts
    return made


def _finalized(value: Any) -> Any:
    """No text on the page has characters that are not safe to show."""
    return shown(value) if type(value) is str else value


def _hash(text: str) -> str:
    """As a content security policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _file(name: str) -> str:
    """A file of the page. It is none of the user's: they are named by the templates alone."""
    return (resources.files(__package__) / "templates" / name).read_text(encoding="utf-8")
