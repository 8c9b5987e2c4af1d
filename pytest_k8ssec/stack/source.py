"""Where a stack comes from: its directory, name and configuration, checked before anything is started.

These checks need neither a cluster nor Pulumi, so that a wrong setting is known within milliseconds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_k8ssec.errors import SettingsError, StackError
from pytest_k8ssec.errors.yaml_text import NotYaml, load_yaml
from pytest_k8ssec.secrecy import given
from pytest_k8ssec.secrecy.redact import register
from pytest_k8ssec.stack.providers import check_allowed

_PROJECT_FILES = ("Pulumi.yaml", "Pulumi.yml", "Pulumi.json")
_STACK_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_CONFIG_KEY = re.compile(r"[^:\s]+(:[^:\s]+)?")


@dataclass(frozen=True, slots=True)
class StackSource:
    """A Pulumi program and what it is to be run with, as the settings name it."""

    directory: Path
    """Holds Pulumi.yaml."""
    name: str
    config_file: Path | None = None
    """Where None, ``Pulumi.<name>.yaml`` beside Pulumi.yaml, if it is there: as ``pulumi up`` would read it."""
    config: Mapping[str, str] = field(default_factory=dict)
    """Plain values; a key without a namespace gets the project's. ``{probe_image}`` in a value is filled in."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Config key -> *name* of the environment variable that holds the value."""
    providers: Mapping[str, str] = field(default_factory=dict)
    """Providers of other kinds that the program may use -> the reason why."""

    def __str__(self) -> str:
        return f'stack "{self.name}" in {self.directory}'


@dataclass(frozen=True, slots=True)
class Project:
    """What Pulumi.yaml says, as far as it matters to us."""

    name: str
    runtime: str
    program: Path
    """The program: a file, or the directory that the language host finds it in."""
    document: Mapping[str, Any]
    required: tuple[str, ...]
    """Config keys, with namespace, that the project declares without giving a value."""
    secret: tuple[str, ...]
    """Config keys, with namespace, that the project declares as secret."""

    @property
    def directory(self) -> Path:
        """The program's working directory."""
        return self.program if self.program.is_dir() else self.program.parent

    def qualified(self, key: str) -> str:
        """The config key with its namespace."""
        return key if ":" in key else f"{self.name}:{key}"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A source that passed all checks."""

    source: StackSource
    project: Project
    config: Mapping[str, Any]
    """All plain values by qualified key; ``{probe_image}`` not yet filled in."""
    secrets: Mapping[str, str] = field(repr=False)
    """All secret values by qualified key: never to be shown."""


def prepare(source: StackSource, environ: Mapping[str, str] | None = None) -> Prepared:
    """Check a source and read everything that it names.

    Args:
        source: what the settings say.
        environ: where secrets are read from; None for this process's environment.

    Raises:
        SettingsError: the settings name something that is not there, or a required value is given nowhere.
        StackError: Pulumi.yaml, the program or the config file is not what Pulumi would accept, or Pulumi.yaml brings a
            provider along that is not allowed.
    """
    environ = os.environ if environ is None else environ
    if not _STACK_NAME.fullmatch(source.name):
        raise SettingsError(
            f'stack name "{source.name}": is not a name that Pulumi accepts',
            fix="use letters, digits, '-', '_' and '.' only: --k8ssec-stack-name dev",
        )
    project = read_project(source.directory)
    check_allowed(source.providers, project.document, source.directory)
    secrets = _secrets(source, project, environ)
    config = {key: value for key, value in _file_config(source, project, secrets).items() if key not in secrets}
    for key, value in source.config.items():
        config[_key(key, project, "--k8ssec-config KEY=VALUE")] = value
    both = sorted(set(secrets) & {project.qualified(key) for key in source.config})
    if both:
        raise SettingsError(
            f"config value {both[0]}: is given both as a plain value and as a secret",
            fix=f"drop one of --k8ssec-config {both[0]}=... and --k8ssec-secret {both[0]}=...",
        )
    for key in project.required:
        if key not in config and key not in secrets:
            raise missing_config(source, key)
    for key in project.secret:
        if key in config and not is_encrypted(config[key]):
            raise SettingsError(
                f"config value {key}: is declared secret by the project, and was given in plain",
                fix=f"give it by an environment variable: --k8ssec-secret {key}=ENVVAR",
            )
    return Prepared(source, project, config, secrets)


def missing_config(source: StackSource, key: str) -> SettingsError:
    """The error for a config value that the stack requires and nobody gave."""
    return SettingsError(
        f'stack "{source.name}": config value {key} is required and was not given',
        fix=f"add --k8ssec-config {key}=VALUE, or for a secret --k8ssec-secret {key}=ENVVAR",
    )


def project_file(directory: Path) -> Path:
    """The project's own file; where there is none, what it would be called."""
    there = [directory / name for name in _PROJECT_FILES if (directory / name).is_file()]
    return (there or [directory / _PROJECT_FILES[0]])[0]


def read_project(directory: Path) -> Project:
    """What the Pulumi.yaml of a directory says.

    Raises:
        SettingsError: it is no directory, or has no Pulumi.yaml.
        StackError: Pulumi.yaml, or the program that it names, is not what Pulumi would accept.
    """
    if not directory.is_dir():
        why = "is not a directory" if directory.exists() else "does not exist"
        raise SettingsError(
            f"stack directory {directory}: {why}",
            fix="name the directory that holds your Pulumi.yaml: --k8ssec-stack DIR",
        )
    path = project_file(directory)
    if not path.is_file():
        raise SettingsError(
            f"stack directory {directory}: has no Pulumi.yaml",
            fix="name the directory that holds your Pulumi.yaml: --k8ssec-stack DIR",
        )
    document = _mapping(path)
    name, runtime = document.get("name"), document.get("runtime")
    if isinstance(runtime, dict):
        runtime = runtime.get("name")
    for key, value in (("name", name), ("runtime", runtime)):
        if not isinstance(value, str) or not value:
            raise StackError(f"{path}: names no {key}", fix=f"add a line such as '{key}: {_EXAMPLE[key]}'")
    assert isinstance(name, str)
    assert isinstance(runtime, str)
    program = _program(directory, document, runtime, path)
    declared = _declared(document, name)
    required = [key for key, entry in declared.items() if "type" in entry and not {"default", "value"} & set(entry)]
    secret = [key for key, entry in declared.items() if entry.get("secret") is True]
    return Project(name, runtime, program, document, tuple(required), tuple(secret))


_EXAMPLE = {"name": "platform", "runtime": "python"}


def _program(directory: Path, document: Mapping[str, Any], runtime: str, path: Path) -> Path:
    """The program that Pulumi.yaml names, or the language's default one."""
    program = (directory / str(document.get("main") or ".")).resolve()
    if not program.exists():
        raise StackError(f"{path}: main: {program} does not exist", fix="correct 'main', or leave it out")
    if runtime == "python" and program.is_dir():
        program = program / "__main__.py"
        if not program.is_file():
            raise StackError(
                f"stack directory {directory}: its program {program.name} is not there",
                fix=f"add {program}, or name another program in {path.name}: main: FILE",
            )
    return program


def _declared(document: Mapping[str, Any], project: str) -> dict[str, Mapping[str, Any]]:
    """What the project declares about its config keys, by qualified key; a bare value declares nothing."""
    declared = document.get("config")
    entries = declared.items() if isinstance(declared, dict) else ()
    return {
        str(key) if ":" in str(key) else f"{project}:{key}": entry for key, entry in entries if isinstance(entry, dict)
    }


def _secrets(source: StackSource, project: Project, environ: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for key, variable in source.secrets.items():
        qualified = _key(key, project, "--k8ssec-secret KEY=ENVVAR")
        if not environ.get(variable):
            raise _unset(key, qualified, variable)
        found[qualified] = register(environ[variable])
    return found


def _unset(key: str, qualified: str, variable: str) -> SettingsError:
    """The error for a variable without a value; a text that is no usual name may be the secret, given by mistake."""
    if given.looks_like_name(variable):
        return SettingsError(
            f"environment variable {variable}: is not set, and the secret config value {qualified} comes from it",
            fix=f"set {variable}, or name another variable: --k8ssec-secret {key}=ENVVAR",
        )
    register(variable)
    return SettingsError(
        f"secret config value {qualified}: what was given for it is not shown, and is not the name of a variable that is set",
        fix=f"put the value into an environment variable, and name that: --k8ssec-secret {key}=ENVVAR",
    )


def _key(key: str, project: Project, option: str) -> str:
    if not _CONFIG_KEY.fullmatch(key):
        raise SettingsError(
            f'config key "{key}": is not a key that Pulumi accepts',
            fix=f"write it as KEY or NAMESPACE:KEY in {option}",
        )
    return project.qualified(key)


def _file_config(source: StackSource, project: Project, given: Mapping[str, str]) -> dict[str, Any]:
    """What the stack's config file gives; a value that is encrypted and given nowhere else is an error."""
    path = source.config_file
    if path is None:
        path = source.directory / f"Pulumi.{source.name}.yaml"
        if not path.is_file():
            return {}
    if not path.is_file():
        raise SettingsError(
            f"config file {path}: does not exist",
            fix="name an existing Pulumi.<stack>.yaml: --k8ssec-config-file FILE",
        )
    values = config_values(path, project)
    for key, value in values.items():
        if is_encrypted(value) and key not in given and key not in map(project.qualified, source.config):
            raise SettingsError(
                f"config value {key}: is encrypted in {path} with a key that a test run does not have",
                fix=f"give its value for the test by an environment variable: --k8ssec-secret {key}=ENVVAR",
            )
    return values


def config_values(path: Path, project: Project) -> dict[str, Any]:
    """Values of a config file, by qualified key.

    Raises:
        StackError: it is not what Pulumi would accept, or takes values from where a test run can't.
    """
    document = _mapping(path)
    if document.get("environment"):
        raise StackError(
            f"config file {path}: takes values from a Pulumi ESC environment, which is out of a test run's reach",
            fix="give these values by --k8ssec-config and --k8ssec-secret, and a config file without 'environment'",
        )
    config = document.get("config") or {}
    if not isinstance(config, dict):
        raise StackError(f"config file {path}: 'config' is not a mapping", fix="write it as 'key: value' lines")
    return {project.qualified(str(key)): value for key, value in config.items()}


def is_encrypted(value: object) -> bool:
    """Whether a value of a config file is encrypted, or a part of it is."""
    if isinstance(value, dict):
        return set(value) == {"secure"} or any(map(is_encrypted, value.values()))
    return isinstance(value, list) and any(map(is_encrypted, value))


def _mapping(path: Path) -> Mapping[str, Any]:
    """The YAML (or JSON) mapping in a file."""
    try:
        document = load_yaml(path.read_text(encoding="utf-8"))
    except (NotYaml, UnicodeDecodeError) as error:
        raise StackError(f"{path}: is not valid YAML", fix="correct the file", details=str(error)) from error
    except OSError as error:
        raise StackError(f"{path}: could not be read: {error.strerror}", fix="correct its permissions") from error
    if not isinstance(document, dict):
        raise StackError(f"{path}: is not a mapping", fix="write it as 'key: value' lines")
    return document
