"""The packaged controls in one row of dots: each stands in a file of its own, and each file has a line in pytest's progress."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_k8ssec.catalogue.packaged import CONTROLS_FOLDER, is_control_file

_LABEL = f"{CONTROLS_FOLDER.parent.name}/{CONTROLS_FOLDER.name}"
_SHOWN = pytest.StashKey[bool]()
"""Whether pytest shows files at all: not with -q or -v, nor under xdist."""


class ControlsInARow:
    """A pytest plugin of its own, of the process that has the terminal."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, location: tuple[str, int | None, str]) -> None:
        """Show the controls' folder in place of a control's file."""
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is None or terminal.showlongtestinfo:
            return
        if not self._config.stash.setdefault(_SHOWN, terminal.showfspath):
            return
        # A node's id says where a file lies only if that is below the root of the project.
        mine = is_control_file(Path(os.path.normpath(self._config.rootpath / location[0])))
        terminal.showfspath = not mine
        if mine:
            terminal.write_fspath_result(_LABEL, "")
