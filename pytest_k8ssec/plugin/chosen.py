"""Which controls a run was to judge: a run in which none of them got a verdict must not look like one that passed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from pytest_k8ssec.catalogue.annotated import control_of

CHOSEN = "k8ssec_chosen"


class Chosen:
    """A pytest plugin of its own: the controls that were collected and not reported as deselected.

    Under xdist each worker has its own; the controller, which collects nothing, is told.

    Args:
        judges: whether our judge decides on a test; a project's own control may use another judge.
    """

    def __init__(self, judges: Callable[[pytest.Item], bool]) -> None:
        self._judges = judges
        self.ids: set[str] = set()
        """Node ids."""
        self.begun = False
        """Whether tests were to run, instead of only being listed or planned."""
        self._done = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Note a control that was collected."""
        if control_of(getattr(item, "function", None)) is not None and self._judges(item):
            self.ids.add(item.nodeid)

    def pytest_deselected(self, items: Iterable[pytest.Item]) -> None:
        """Forget controls that were deselected. Once tests run, deselecting is no longer a choice."""
        if not self._done:
            self.ids.difference_update(item.nodeid for item in items)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note again what was deselected and brought back, as a sabotage's intact phase is: it was chosen too."""
        self._done = True
        for item in session.items:
            self.pytest_itemcollected(item)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> object:
        """Note that tests are run, whichever plugin runs them."""
        option = session.config.option
        self.begun = not (option.collectonly or option.setuponly or option.setupplan)
        return (yield)
