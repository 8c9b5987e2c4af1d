"""Which tests our judge decides on, what judge each gets, and where results are kept: all that is asked of a run without any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_k8ssec.catalogue.packaged import packaged_control
from pytest_k8ssec.plugin import session

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from pytest_k8ssec.catalogue.control import Control
    from pytest_k8ssec.reports.result import Result
    from pytest_k8ssec.settings import Settings
    from pytest_k8ssec.stack import Stack
    from pytest_k8ssec.verdict import Judge, Verdict

RESULT: pytest.StashKey[Result] = pytest.StashKey()
"""Of an item: what came of its test."""
INTACT: pytest.StashKey[dict[str, Verdict]] = pytest.StashKey()
"""Of the session: each control's verdict on the intact cluster, by its id."""
_FIXTURES = "pytest_k8ssec.plugin.fixtures"


def judges(item: pytest.Item) -> bool:
    """Whether the test's ``judge`` is ours, as others may have a fixture of that name; asked before there is one."""
    if packaged_control(getattr(item, "function", None)) is not None:
        return True
    # Which fixture a name stands for at an item can't be asked in a public way.
    known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    return any(each.func.__module__ == _FIXTURES for each in known.get("judge", ())[-1:])


def stands_on_docker(item: pytest.Item) -> bool:
    """Whether a test works on a cluster that was made, or found, by this process."""
    return "k8ssec_testbed" in getattr(item, "fixturenames", ()) and session.begun_testbeds(item.config) is not None


def new_judge(control: Control | None, needs: Container[str], stack: Callable[[], Stack], settings: Settings) -> Judge:
    """A judge for a test, at its turn or in the background.

    Args:
        control: what the test is, None for a plain one.
        needs: the names of the fixtures that the test uses.
        stack: the stack; called only for a control that is about a stack and uses it.
    """
    from pytest_k8ssec.stack.found.gone_jobs import tell_gone
    from pytest_k8ssec.stack.found.helm_releases import tell_unseen
    from pytest_k8ssec.stack.found.unlisted import tell_unlisted
    from pytest_k8ssec.verdict import Judge

    made = Judge(control.dimensions if control is not None else ())
    if control is not None and control.subject == "stack" and "stack" in needs:
        allowed = settings.allowed(control.id)
        tell_unseen(made, stack(), allowed)
        tell_unlisted(made, stack())
        tell_gone(made, stack(), allowed)
    return made
