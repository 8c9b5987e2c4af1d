"""For every test below this folder, the packaged controls too: an environment that holds nothing of whoever runs it."""

from __future__ import annotations

import os

import pytest

_AMBIENT = ("CI", "BUILD_NUMBER", "KUBECONFIG")


@pytest.fixture(autouse=True)
def no_ambient_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the user's cluster, Pulumi account and CI from each test."""
    for name in list(os.environ):
        if name in _AMBIENT or name.startswith("PULUMI_"):
            monkeypatch.delenv(name)
