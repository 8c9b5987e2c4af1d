"""What the subcommands that need a cluster share: the settings, and how progress is told."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

from pytest_k8ssec.cli.say import say_text
from pytest_k8ssec.plain import progress_line
from pytest_k8ssec.secrecy import given
from pytest_k8ssec.settings import Settings, check_places, pyproject_table, resolve_settings


def settings_of(arguments: argparse.Namespace) -> Settings:
    """What pytest would use here, as far as it is about a cluster and a stack.

    Raises:
        SettingsError: one of them is wrong.
    """
    here = Path.cwd()
    settings = resolve_settings(
        cli=lambda option: getattr(arguments, option.ini, None),
        environ=os.environ,
        ini=lambda _: None,
        table=pyproject_table(here / "pyproject.toml"),
        base=here,
    )
    check_places(settings)
    given.project(settings.stack, settings.stack_name, settings.config_file, settings.config)
    return settings._replace(sabotage=False)


def stderr_teller() -> Callable[[str], None]:
    """Progress goes to standard error: standard output is for what came of it."""
    started = time.monotonic()

    def tell(line: str) -> None:
        say_text(progress_line(time.monotonic() - started, line), error=True)

    return tell
