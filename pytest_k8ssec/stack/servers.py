"""Where the Kubernetes providers of a program point: any other API server than the cluster under test is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pytest_k8ssec.errors import StackError
from pytest_k8ssec.errors.yaml_text import NotYaml, load_yaml

_UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The engine's placeholder for a value that is known only after something was created."""
_MASKED: Final = "[secret]"
_POINTERS: Final = ("kubeconfig", "context", "cluster", "renderYamlToDirectory")


def refuse_elsewhere(urn: str, inputs: Mapping[str, Any], kubeconfig: Path, directory: Path) -> None:
    """Refuse a provider that does not demonstrably talk to the cluster under test.

    Args:
        urn: the provider's.
        inputs: as the engine shows them in a preview: what is secret is masked, what is not known is a placeholder.
        kubeconfig: the file of the cluster under test, which is also what the provider gets by the environment.
        directory: the program's, where relative paths start.

    Raises:
        StackError: it points to another server, to none, or it can't be told where it points.
    """
    ours = _server(_load(kubeconfig), "", "")
    where = f"provider {urn}"
    for key in _POINTERS:
        if _contains(inputs.get(key), _UNKNOWN):
            raise _refused(where, f"its {key} is known only after something was created", ours)
        if _contains(inputs.get(key), _MASKED):
            raise _refused(where, f"its {key} is secret, so that it can't be compared", ours)
    if inputs.get("renderYamlToDirectory"):
        raise _refused(where, "it writes YAML files instead of talking to a cluster", ours)
    try:
        given = _load(kubeconfig) if inputs.get("kubeconfig") is None else _given(inputs["kubeconfig"], directory)
        theirs = _server(given, str(inputs.get("context") or ""), str(inputs.get("cluster") or ""))
    except (LookupError, TypeError, ValueError, OSError) as error:
        raise _refused(where, f"it can't be told which server it talks to ({_said(error)})", ours) from error
    if theirs != ours:
        raise _refused(where, f"it points to {theirs}", ours)


def _refused(where: str, why: str, ours: str) -> StackError:
    return StackError(
        f"{where}: {why}; the cluster under test is {ours}; nothing was created",
        fix="let the provider use KUBECONFIG, which is set to the cluster under test: in a test, give it neither "
        "kubeconfig nor context nor cluster (in the program, or as kubernetes:* config)",
    )


def _contains(value: Any, text: str) -> bool:
    if isinstance(value, Mapping):
        return any(_contains(one, text) for one in value.values())
    return isinstance(value, str) and text in value


def _load(path: Path) -> Any:
    return load_yaml(path.read_text(encoding="utf-8"))


def _given(value: Any, directory: Path) -> Any:
    """The kubeconfig that the program gives: an object, its text, or the path of a file."""
    if not isinstance(value, str):
        return value
    loaded = load_yaml(value)
    if isinstance(loaded, str):  # a YAML document that is one plain string is a path
        return _load(directory / Path(loaded).expanduser())
    return loaded


def _server(config: Any, context: str, cluster: str) -> str:
    """The API server that client-go would choose, as ``scheme://host:port/path``."""
    if not cluster:
        chosen = context or config["current-context"]
        cluster = _named(config, "contexts", chosen)["context"]["cluster"]
    elif context:
        _named(config, "contexts", context)
    url = urlsplit(_named(config, "clusters", cluster)["cluster"]["server"])
    if not url.hostname:
        raise ValueError("no server address")
    port = url.port or (443 if url.scheme == "https" else 80)
    return f"{url.scheme}://{url.hostname}:{port}{url.path.rstrip('/')}"


def _named(config: Any, section: str, name: str) -> Any:
    for entry in config[section]:
        if entry["name"] == name:
            return entry
    raise LookupError(f'no "{name}" among its {section}')


def _said(error: Exception) -> str:
    """The error in words; never a parser's excerpt of a kubeconfig, which holds keys."""
    if isinstance(error, NotYaml):
        return "its kubeconfig is not valid YAML"
    if isinstance(error, KeyError):
        return f"its kubeconfig has no {error.args[0]!r}"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, TypeError):
        return "its kubeconfig is not a kubeconfig"
    return str(error)
