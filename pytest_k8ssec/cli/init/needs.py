"""What a stack has to be given: what is given already, what can be written for it, and what only its team knows."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from pytest_k8ssec.cli.init.program import asked_by_program
from pytest_k8ssec.settings import Settings
from pytest_k8ssec.stack import Project, config_values, is_encrypted

_LONGEST = 60
"""Letters of a variable's name; what is longer may be a secret."""


class Needs(NamedTuple):
    """What is to be added to the settings for the stack to come up."""

    config_file: Path | None
    """To be named in the settings; None where it is found without, or there is none."""
    secrets: Mapping[str, str]
    """Config key to the name that is proposed for its variable."""
    config: Mapping[str, str]
    """Config key to who asks for it: its value is for the team to say."""
    variables: Mapping[str, str]
    """Variable that the program reads and that is not set here, to where it does."""
    passed_by: tuple[Path, ...]
    """Config files, none of which was chosen as there are several."""


def needs_of(project: Project, settings: Settings) -> Needs:
    """What a stack needs beyond the settings that are there.

    Args:
        settings: with ``stack``.

    Raises:
        StackError: the config file is not what Pulumi would accept.
    """
    assert settings.stack is not None
    there = [settings.config_file or settings.stack / f"Pulumi.{settings.stack_name}.yaml"]
    others = sorted(settings.stack.glob("Pulumi.*.yaml")) if not there[0].is_file() else []
    config_file = others[0] if len(others) == 1 else None
    values = {
        key: value for path in _existing([*there, config_file]) for key, value in config_values(path, project).items()
    }
    given = {project.qualified(key) for key in (*settings.config, *settings.secret)}
    hidden = {key for key, value in values.items() if is_encrypted(value) or key in project.secret} - given
    program = asked_by_program(project)
    asked = [each for each in program if not each.variable]
    lacking = dict.fromkeys(project.required, "Pulumi.yaml") | {
        each.name: each.place for each in asked if each.name not in _with_default(project)
    }
    secret = {*project.secret, *(each.name for each in asked if each.secret)}
    missing = {key: place for key, place in lacking.items() if key not in given and key not in values}
    return Needs(
        config_file=config_file,
        secrets=_named([*sorted(hidden), *(key for key in missing if key in secret)], settings.secret.values()),
        config={key: place for key, place in missing.items() if key not in secret},
        variables={each.name: each.place for each in program if each.variable and each.name not in os.environ},
        passed_by=tuple(others) if len(others) > 1 else (),
    )


def _existing(paths: Iterable[Path | None]) -> list[Path]:
    return [path for path in paths if path is not None and path.is_file()]


def _with_default(project: Project) -> set[str]:
    """Keys for which Pulumi.yaml itself gives a value."""
    declared = project.document.get("config")
    entries = declared.items() if isinstance(declared, dict) else ()
    return {
        project.qualified(str(key))
        for key, entry in entries
        if not isinstance(entry, dict) or {"default", "value"} & set(entry)
    }


def _named(keys: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """Each key with a variable of its own: PAYMENTS_API_KEY for ``platform:paymentsApiKey``."""
    names: dict[str, str] = {}
    used = set(taken)
    for key in keys:
        short, whole = (_variable(text) for text in (key.rpartition(":")[2], key))
        names[key] = whole if short in used else short
        used.add(names[key])
    return names


def _variable(text: str) -> str:
    """A name that nobody takes for the secret itself: letters in words, and few digits behind one."""
    words = "_".join(re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+", text)).upper()
    name = re.sub(r"_(?=[0-9])", "", words if words[:1].isalpha() else f"CONFIG_{words}")
    return name[:_LONGEST].rstrip("_")
