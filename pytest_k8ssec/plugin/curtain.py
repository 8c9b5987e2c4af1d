"""The pytest hooks that keep registered secrets out of what a run prints and writes, beside the reports of its tests.

Reports are redacted whole as they are made. What goes to the terminal by other ways (live logs, warnings, names of tests,
internal errors, reasons of an exit, what is printed with ``-s``) passes standard output and error, which redact too.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.plugin import session
from pytest_k8ssec.secrecy.redact import redact, redacted
from pytest_k8ssec.secrecy.stream import draw_curtain


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Before any code of the user's runs, register its secrets, and redact standard output and error.

    It is a wrapper, as pytest's capture is one: outside of the capture are the real streams.
    """
    draw_curtain(sys.stdout, sys.stderr)
    with suppress(SettingsError, pytest.UsageError):  # told once all is configured
        session.foresee(early_config)
    yield


def hide(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Redact a report in each part that anybody shows."""
    if report.passed and not report.sections and not getattr(report, "user_properties", ()):
        return
    if isinstance(report.longrepr, tuple):
        path, line, reason = report.longrepr
        report.longrepr = (path, line, redact(reason))
    elif report.longrepr is not None:
        text = report.longreprtext
        hidden = redact(text)
        crash = getattr(getattr(report.longrepr, "reprcrash", None), "message", "")
        if hidden != text or redact(crash) != crash:
            report.longrepr = hidden
    report.sections = [(redact(title), redact(text)) for title, text in report.sections]
    if isinstance(report, pytest.TestReport):
        report.user_properties = [(redact(str(name)), redacted(value)) for name, value in report.user_properties]
        if hasattr(report, "wasxfail"):
            report.wasxfail = redact(report.wasxfail)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Once more, before anybody sees it: subtests make reports of their own, and other plugins add to ours."""
    hide(report)


@pytest.hookimpl(tryfirst=True)
def pytest_collectreport(report: pytest.CollectReport) -> None:
    """The same, of modules that could not be collected."""
    hide(report)


def pytest_make_parametrize_id(val: object) -> str | None:
    """The id of a parameter that is a secret; pytest's own for any other."""
    text = val.decode(errors="replace") if isinstance(val, bytes) else val
    if not isinstance(text, str):
        return None
    hidden = redact(text)
    return hidden if hidden != text else None


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Rename a test whose name holds a secret, by an id that its author gave; in pytest's cache too."""
    hidden = redact(item.name)
    if hidden != item.name and item.parent is not None:
        item.name = hidden
        # There is no public way to rename a test, and pytest has changed the private one.
        old = hasattr(item, "_nodeid")
        attribute = "_nodeid" if old else "_id"
        setattr(item, attribute, f"{item.parent.nodeid}::{hidden}" if old else item.parent.id.child(hidden))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Redact what is logged to a file."""
    logs = session.config.pluginmanager.get_plugin("logging-plugin")
    handler = getattr(logs, "log_file_handler", None)
    if isinstance(handler, logging.Handler):
        handler.setFormatter(_Redacted(handler.formatter or logging.Formatter()))


class _Redacted(logging.Formatter):
    """Another formatter's lines, redacted."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        return redact(self._inner.format(record))


@pytest.hookimpl(tryfirst=True)
def pytest_warning_recorded(warning_message: warnings.WarningMessage) -> None:
    """Redact a warning: a worker of xdist sends it to a controller that does not know the worker's secrets."""
    text = str(warning_message.message)
    hidden = redact(text)
    if hidden != text:
        warning_message.message = hidden


@pytest.hookimpl(tryfirst=True)
def pytest_internalerror(excrepr: Any) -> None:
    """Redact an error within pytest: each reporter takes it from the same object."""
    text = redact(str(excrepr))
    vars(excrepr)["toterminal"] = lambda writer: writer.line(text)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Redact what JUnit XML has beside reports: properties of the suite, and attributes that tests add."""
    yield
    target = session.config.getoption("xmlpath", None)
    if target and not hasattr(session.config, "workerinput"):
        _hide_in_xml(Path(target))


def _hide_in_xml(path: Path) -> None:
    import xml.etree.ElementTree as ET

    try:
        tree = ET.parse(path)  # noqa: S314 - pytest has just written it
    except (OSError, ET.ParseError):
        return
    changed = False
    for element in tree.iter():
        for name, value in [*element.attrib.items()]:
            if (hidden := redact(value)) != value:
                element.set(name, hidden)
                changed = True
        for part in ("text", "tail"):
            value = getattr(element, part)
            if value and (hidden := redact(value)) != value:
                setattr(element, part, hidden)
                changed = True
    if changed:
        tree.write(path, encoding="utf-8", xml_declaration=True)
