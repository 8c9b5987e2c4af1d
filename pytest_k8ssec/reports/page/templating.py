"""Fills the templates of pages in: each text is escaped, is safe to show, and nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from pytest_k8ssec.plain import shown
from pytest_k8ssec.reports.breach import culprit_words

if TYPE_CHECKING:
    import jinja2


def filled(name: str, **values: Any) -> str:
    """A template with its values.

    Args:
        name: a file in ``templates``.
        values: what it asks for.

    Raises:
        KeyError: something that it asks for is not there.
    """
    from jinja2 import UndefinedError  # a run that writes no page needs no templates

    try:
        return _environment().get_template(name).render(**values)
    except UndefinedError as error:
        raise KeyError(str(error)) from error


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
    made.filters["culprit"] = _culprit
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


def _culprit(one: Any) -> tuple[str, str, str]:
    """A culprit's name, what it does, and where that stands."""
    return culprit_words({**one, "how": "", "place": ""}), one["how"], one["place"]
