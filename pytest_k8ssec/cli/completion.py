"""``k8ssec completion``: a script by which a shell completes commands, options, files, and the controls' ids.

What a shell has to be told is shtab's business; here it only learns what is a file, and which ids there are.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

import shtab

from pytest_k8ssec.catalogue.families import FAMILIES
from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.cli.parser import CONTROL_OR_FAMILY, parser
from pytest_k8ssec.cli.say import say_text

_PLACES: Mapping[str, Any] = {"DIR": shtab.DIRECTORY, "FILE": shtab.FILE}


def completion(arguments: argparse.Namespace) -> int:
    """Print the script for one shell."""
    top = parser()
    for action in _actions(top):
        if action.metavar in _PLACES:
            action.complete = _PLACES[str(action.metavar)]  # type: ignore[attr-defined] # where shtab looks
        elif action.metavar == CONTROL_OR_FAMILY:
            action.choices = [*FAMILIES, *(each.id for each in packaged_controls())]
    say_text(shtab.complete(top, shell=arguments.shell))
    return 0


def _actions(of: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in of._actions:  # noqa: SLF001 - argparse has no public name for it
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            for each in action.choices.values():
                yield from _actions(each)
