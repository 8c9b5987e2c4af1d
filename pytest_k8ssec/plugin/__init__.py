"""The pytest hooks: each file has those for one purpose. pytest imports this room in every run, so heavy modules come late.

More than twelve files: one for each thing that a hook can be about, and most know nothing but the session.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_PARTS = ("fixtures", "ordering", "curtain", "options", "collection", "running", "reporting", "terminal.once")


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Register the parts, each as a plugin of its own: the first hook that pytest calls, as soon as it knows this module.

    ``pytest_plugins`` would do the same, but pytest looks each of its names up in the metadata of all installed packages.
    """
    for part in _PARTS:
        name = f"{__name__}.{part}"
        if not pluginmanager.hasplugin(name):
            pluginmanager.register(import_module(name), name)
