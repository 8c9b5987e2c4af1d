"""What is collected, and by which keywords and marks it is found."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from pytest_k8ssec.catalogue.annotated import control_of
from pytest_k8ssec.catalogue.packaged import CONTROLS_FOLDER, is_control_file
from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.plugin import guard
from pytest_k8ssec.plugin.judged import judges
from pytest_k8ssec.plugin.session import SETTINGS, waivers
from pytest_k8ssec.plugin.waiving import told

_COLLECTED = pytest.StashKey[set[tuple[str, ...]]]()
"""By what a waiver may name each test."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Whatever is collected, packaged controls get our fixtures."""
    guard.install(session)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """A waiver of a control that there is not, once it is known what there is: before anything is made."""
    found = waivers(session.config)
    if not found or not any(judges(item) for item in session.items):
        return
    try:
        told.insist_on_known(found, _names(session))
    except SettingsError as error:
        if hasattr(session.config, "workerinput"):  # a worker can't stop the run: its controller is told
            session.config.stash[told.UNKNOWN] = str(error)
            return
        raise pytest.UsageError(str(error)) from None


def _names(session: pytest.Session) -> set[tuple[str, ...]]:
    """Of the packaged controls, and of all that was collected, also where it was deselected."""
    from pytest_k8ssec.catalogue.packaged import packaged_controls

    collected: set[tuple[str, ...]] = session.config.stash.get(_COLLECTED, set())
    return {(control.id,) for control in packaged_controls()} | collected


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """The packaged controls, whatever ``python_files`` says, and each of them once."""
    found = yield
    if is_control_file(file_path) and not any(isinstance(each, pytest.Module) for each in found):
        return [*found, pytest.Module.from_parent(parent, path=file_path)]
    return found


def pytest_itemcollected(item: pytest.Item) -> None:
    """Make a control findable by its id (-k) and by family, framework and severity (-m)."""
    control = control_of(getattr(item, "function", None))
    if waivers(item.config):
        item.config.stash.setdefault(_COLLECTED, set()).add(told.names_of(item))
    if control is None:
        return
    item.extra_keyword_matches.add(control.id)
    marks = [
        control.family.id,
        f"severity_{control.severity}",
        *(name for name, ids in control.mappings.items() if ids),
    ]
    for mark in [*marks, *(["slow"] if control.slow else [])]:
        item.add_marker(mark)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Add the packaged controls that pytest would skip because of the folder that they lie in."""
    report = yield
    if isinstance(collector, pytest.Session) and report.passed and collector.config.stash[SETTINGS].controls:
        report.result = [*report.result, *_hidden_controls(collector)]
    return report


def _hidden_controls(session: pytest.Session) -> list[pytest.Collector]:
    """The controls' folder, where it lies in one that is searched, and on the way in one that is not, such as ``.venv``.

    pytest 9 drops an argument that lies below another.
    """
    searched = next((path for path in CONTROLS_FOLDER.parents if session.isinitpath(path)), None)
    if searched is None or session.isinitpath(CONTROLS_FOLDER):
        return []
    way = [
        path
        for path in (CONTROLS_FOLDER, *CONTROLS_FOLDER.parents)
        if path.is_relative_to(searched) and path != searched
    ]
    ask = [session.gethookproxy(path.parent).pytest_ignore_collect for path in way]
    if not any(ignored(collection_path=path, config=session.config) for ignored, path in zip(ask, way, strict=True)):
        return []
    found = session.gethookproxy(CONTROLS_FOLDER).pytest_collect_directory(path=CONTROLS_FOLDER, parent=session)
    return [found] if found is not None else []
