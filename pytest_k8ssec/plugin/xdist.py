"""What an xdist controller and its workers tell each other."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_k8ssec.plugin import session
from pytest_k8ssec.plugin.chosen import CHOSEN, Chosen
from pytest_k8ssec.plugin.session import begun_testbeds
from pytest_k8ssec.plugin.summary import SUMMARY, Summary
from pytest_k8ssec.plugin.waiving.told import UNKNOWN

_ABOUT = "k8ssec_about"
_WRONG = "k8ssec_wrong"


class Xdist:
    """Hooks that exist only where xdist is installed."""

    def pytest_configure_node(self, node: Any) -> None:
        """All workers share the controller's run."""
        session.lend_to_worker(node.config, node.workerinput)

    def pytest_testnodedown(self, node: Any) -> None:
        """The controller has no cluster of its own: the report describes the one that its workers share."""
        summary: Summary | None = node.config.pluginmanager.get_plugin(SUMMARY)
        told = getattr(node, "workeroutput", {})
        if summary is not None and told.get(_ABOUT):
            summary.describe(told[_ABOUT])
        if summary is not None and told.get(_WRONG):
            summary.fail(told[_WRONG])
        chosen: Chosen | None = node.config.pluginmanager.get_plugin(CHOSEN)
        if chosen is not None:
            chosen.ids.update(told.get(CHOSEN, ()))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A worker tells the controller what it worked on."""
        held = begun_testbeds(session.config)
        output = getattr(session.config, "workeroutput", None)
        if output is None:
            return
        if held is not None:
            output[_ABOUT] = held.describe()
        output[_WRONG] = session.config.stash.get(UNKNOWN, "")
        chosen: Chosen | None = session.config.pluginmanager.get_plugin(CHOSEN)
        if chosen is not None:
            output[CHOSEN] = sorted(chosen.ids)
