"""What the subcommands that need a cluster share: the settings, how progress is shown, and a cluster that goes at the end."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_k8ssec.cli.say import say_text
from pytest_k8ssec.errors import K8ssecError
from pytest_k8ssec.plain import progress_line
from pytest_k8ssec.secrecy import given
from pytest_k8ssec.settings import Settings, check_places, pyproject_table, resolve_settings

if TYPE_CHECKING:
    from pytest_k8ssec.testbed.testbed import Testbed


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
    """Progress goes to standard error: standard output is for results."""
    started = time.monotonic()

    def tell(line: str) -> None:
        say_text(progress_line(time.monotonic() - started, line), error=True)

    return tell


@contextmanager
def passing_testbed(settings: Settings, tell: Callable[[str], None]) -> Iterator[Testbed]:
    """A testbed for one look: what was made for it is removed in every ending.

    Args:
        tell: told each step.

    Raises:
        K8ssecError: it can't be begun.
    """
    from pytest_k8ssec.testbed.testbeds import begin

    testbeds = begin(settings, progress=tell)
    try:
        yield testbeds.base
    finally:
        tell("removing what was made")
        try:
            testbeds.remove()
        except K8ssecError as error:  # what was found, or why it was not, matters more
            tell(f"clean-up failed, `k8ssec sweep` tries again: {error}")
