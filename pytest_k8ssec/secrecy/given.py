"""Registers the secrets that a run is given (settings, variables, Pulumi.yaml), before anything else happens.

Each pytest run asks here, so nothing is read or imported unless something was given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_PULUMI = r"PULUMI_\w*(TOKEN|PASSPHRASE|SECRET|PASSWORD|CREDENTIALS|KEY)\w*(?<!_FILE)(?<!_PATH)"
_OTHERS = (
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ARM_ACCESS_KEY",
    "ARM_CLIENT_SECRET",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_KEY",
    "CI_JOB_TOKEN",
    "CLOUDFLARE_API_TOKEN",
    "DIGITALOCEAN_TOKEN",
    "DOCKER_AUTH_CONFIG",
    "GH_TOKEN",
    "GITHUB_TOKEN",
    "GITLAB_TOKEN",
    "GOOGLE_CREDENTIALS",
    "HCLOUD_TOKEN",
    "VAULT_TOKEN",
)
"""What CI systems, and providers that programs use beside Kubernetes, are authenticated with."""
_FILES = ("PULUMI_CONFIG_PASSPHRASE_FILE",)
_NAME = r"(?=.{1,64}$)[A-Z]+(_[A-Z]+|_?\d{1,3})*"
"""A variable's name as everybody writes it. What looks otherwise may be the secret itself, given by mistake."""
_KEY_ALONE = r"[a-z]+([A-Z][a-z]+)*([.:_-][a-z]+([A-Z][a-z]+)*)*="
"""A config key without a variable: an error must say which. What looks otherwise may be base64, with its own end."""
_PROJECTS = ("Pulumi.yaml", "Pulumi.yml", "Pulumi.json")


def environment(environ: Mapping[str, str]) -> None:
    """Register the credentials of Pulumi, and of the usual clouds and CI systems, as far as they are set."""
    values = [
        value
        for name, value in environ.items()
        if name in _OTHERS or (name.startswith("PULUMI_") and re.fullmatch(_PULUMI, name))
    ]
    for name in _FILES:
        if environ.get(name):
            values += _content(Path(environ[name]))
    _register(values)


def register_variables(texts: Iterable[Any], environ: Mapping[str, str]) -> None:
    """Register the values of the variables that a setting names, and any text there that can't be a variable's name.

    Args:
        texts: ``KEY=ENVVAR``, or what stands there by mistake.
        environ: where the values are.
    """
    for text in texts:
        _, _, name = str(text).partition("=")
        name = (name or str(text)).strip()
        if environ.get(name):
            _register([environ[name]])
        elif not looks_like_name(name) and not re.fullmatch(_KEY_ALONE, str(text).strip()):
            _register([name, str(text).strip()])


def looks_like_name(text: str) -> bool:
    """Whether a text is the name of a variable, so that it may be shown."""
    return re.fullmatch(_NAME, text) is not None


def project(directory: Path | None, stack: str, file: Path | None, plain: Mapping[str, str]) -> None:
    """Register what a Pulumi project declares as secret and yet gives in plain: it is refused, or used, but never shown.

    Args:
        directory: holds Pulumi.yaml; None if there is none. The code that uses the file reports what is wrong with it.
        stack: its name.
        file: the stack's config file; None for the one beside Pulumi.yaml, which need not be there.
        plain: values that the settings give.
    """
    if directory is None:
        return
    document = next((_document(directory / name) for name in _PROJECTS if (directory / name).is_file()), {})
    namespace = str(document.get("name", ""))
    declared = _qualified(document.get("config"), namespace)
    secret = {key: entry for key, entry in declared.items() if isinstance(entry, dict) and entry.get("secret") is True}
    if not secret:
        return
    given = {
        **_qualified(_document(file or directory / f"Pulumi.{stack}.yaml").get("config"), namespace),
        **_qualified(dict(plain), namespace),
    }
    for key, entry in secret.items():
        everything(entry.get("default"))
        everything(entry.get("value"))
        everything(given.get(key))


def everything(value: Any) -> None:
    """Register each text in a value, however deep, and numbers as they are written; of mappings not the keys."""
    if isinstance(value, Mapping):
        for one in value.values():
            everything(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            everything(one)
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
        _register([str(value)])


def _register(values: Iterable[str]) -> None:
    from pytest_k8ssec.secrecy.redact import register

    for value in filter(None, values):
        register(value)


def _content(path: Path) -> list[str]:
    try:
        return [path.read_text(encoding="utf-8", errors="surrogateescape")]
    except OSError:
        return []  # Pulumi says so, if it needs it


def _document(path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _qualified(config: Any, namespace: str) -> dict[str, Any]:
    entries = config.items() if isinstance(config, dict) else ()
    return {str(key) if ":" in str(key) else f"{namespace}:{key}": value for key, value in entries}
