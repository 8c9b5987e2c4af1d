"""For every test below this folder, the packaged controls too: an environment that holds nothing of whoever runs it."""

from __future__ import annotations

import os
import signal

_AMBIENT = ("CI", "BUILD_NUMBER", "KUBECONFIG", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY")


def pytest_configure() -> None:
    """Hide the user's cluster, Pulumi account and CI, and let Ctrl-C mean something where a shell started us in the background.

    Hidden once for all: with a fixture of ours before it, no control would run beside others. A shell's job in the background
    ignores Ctrl-C, and so would all that we start.
    """
    for name in list(os.environ):
        if name in _AMBIENT or name.startswith("PULUMI_"):
            del os.environ[name]
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
