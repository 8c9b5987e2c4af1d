"""For every test below this folder, the packaged controls too: an environment that holds nothing of whoever runs it."""

from __future__ import annotations

import os
import signal

import pytest

_AMBIENT = ("CI", "BUILD_NUMBER", "KUBECONFIG")


@pytest.fixture(autouse=True)
def no_ambient_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the user's cluster, Pulumi account and CI from each test."""
    for name in list(os.environ):
        if name in _AMBIENT or name.startswith("PULUMI_"):
            monkeypatch.delenv(name)


def pytest_configure() -> None:
    """Let Ctrl-C mean something where a shell started us in the background: it ignores it, and so would all we start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
