"""``k8ssec config``: checks everything that a run would read here, without docker, a cluster or Pulumi's engine."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex

from pytest_k8ssec.attack.baseline import NAME as BASELINE
from pytest_k8ssec.attack.baseline import read_baseline
from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.cli.controls import no_such_control
from pytest_k8ssec.cli.reach import DEFAULT_INTENT
from pytest_k8ssec.cli.say import say, say_text
from pytest_k8ssec.cli.setup import settings_of
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.errors import K8ssecError
from pytest_k8ssec.reach import intent
from pytest_k8ssec.reports.compare import read_comparable
from pytest_k8ssec.secrecy.given import looks_like_name
from pytest_k8ssec.settings import Settings, pyproject_table
from pytest_k8ssec.settings.waivers import read_waivers
from pytest_k8ssec.stack import prepare
from pytest_k8ssec.testbed.stacks import source_of

_WRONG = 2
ConfigCheck = tuple[str, Callable[[], object]]
"""What is checked, and how: it raises K8ssecError."""


def config(arguments: argparse.Namespace) -> int:
    """Check what there is, or print the schema of the settings.

    Raises:
        SettingsError: the settings themselves are wrong, so it is not known what else there is.
    """
    if arguments.what == "schema":
        from pytest_k8ssec.settings.schema import table_schema

        say_text(json.dumps(table_schema(), indent=2))
        return 0
    return _check(arguments)


def _check(arguments: argparse.Namespace) -> int:
    """Check all, tell each, and end with 2 where something is wrong."""
    settings = settings_of(arguments)
    say("settings: well")
    well = [_tried(what, check) for what, check in _checks(settings)]
    for name in _unset(settings):
        say(f"note: variable {name} is not set here; a run needs it")
    return 0 if all(well) else _WRONG


def _tried(what: str, check: Callable[[], object]) -> bool:
    """Tell how a check ended, and return whether all was well."""
    try:
        check()
    except K8ssecError as error:
        say(f"{what}: WRONG", *(f"  {line}" for line in str(error).splitlines()))
        return False
    say(f"{what}: well")
    return True


def _checks(settings: Settings) -> Iterator[ConfigCheck]:
    yield "waivers", _waivers
    yield "controls that are named", lambda: _named(settings)
    if settings.stack is not None:
        stack = settings.stack
        # A variable of the secrets may be set where the run is, and not here.
        filled = {**dict.fromkeys(_unset(settings), token_hex()), **os.environ}
        yield f"stack {stack}", lambda: prepare(source_of(settings), filled)
        for name, read in ((DEFAULT_INTENT, intent.load), (BASELINE, read_baseline)):
            if (stack / name).exists():
                yield str(stack / name), _reading(read, stack / name)
    if settings.baseline is not None:
        yield f"baseline {settings.baseline}", _reading(read_comparable, settings.baseline)
    if (own := settings.own_kind_config) is not None:
        yield str(own), _reading(KindConfig.load, own)


def _waivers() -> None:
    """Those of the project; of which test of the user's one is can't be known before pytest has collected. Raises SettingsError."""
    pyproject = Path.cwd() / "pyproject.toml"
    read_waivers(pyproject_table(pyproject), pyproject)


def _reading(read: Callable[[Path], object], path: Path) -> Callable[[], object]:
    return lambda: read(path)


def _named(settings: Settings) -> None:
    """Settings name controls by their ids. Raises SettingsError."""
    known = packaged_controls()
    for name in (*settings.not_applicable, *settings.allow):
        if name not in {control.id for control in known}:
            raise no_such_control(name, known)


def _unset(settings: Settings) -> list[str]:
    """The variables of secrets that are not set; what can be no variable's name is an error of the stack's."""
    return [name for name in settings.secret.values() if not os.environ.get(name) and looks_like_name(name)]
