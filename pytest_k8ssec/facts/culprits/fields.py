"""Fields of an object that are set wrong, and objects that an attack itself found: read from the API server as they are now."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.evidence import JSON
from pytest_k8ssec.evidence.causes import Culprit, FieldCheck, Fields, Known, ObjectName

_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_Place = tuple[str, JSON]


def wrong_fields(api: KubeApi, cause: Fields) -> tuple[list[Culprit], str]:
    """Which of an object's fields are to blame; where none is, why.

    Raises:
        ClusterError: the API server does not know the kind, or gave no answer.
    """
    answer = api.request("GET", api.path(cause.api_version, cause.kind, cause.namespace, cause.name))
    if not answer.ok:
        return [], f"{cause.kind} {cause.namespace}/{cause.name}: HTTP {answer.status}"
    found = [each for check in cause.checks for each in wrong_in(answer.body, check)]
    culprits = [Culprit(ObjectName(cause.kind, cause.name, cause.namespace, path), how) for path, how in found]
    return culprits, "" if culprits else f"{cause.kind} {cause.namespace}/{cause.name}: no field of it explains this"


def still_there(api: KubeApi, cause: Known) -> tuple[list[Culprit], str]:
    """The object that an attack found, if there is one of that name.

    Raises:
        ClusterError: as for :func:`wrong_fields`.
    """
    answer = api.request("GET", api.path(cause.api_version, cause.kind, cause.namespace, cause.name))
    if not answer.ok:
        return [], f"{cause.kind} {cause.namespace}/{cause.name}: HTTP {answer.status}"
    return [Culprit(ObjectName(cause.kind, cause.name, cause.namespace, cause.field), cause.how)], ""


def wrong_in(item: JSON, check: FieldCheck) -> Iterator[tuple[str, str]]:
    """Path and words of what is wrong by one check: the first of its paths that is set decides."""
    first = ""
    for path in check.paths:
        values = list(_walk(item, path, ""))
        first = first or next((where for where, _ in values), ".".join(path))
        if any(value is not None for _, value in values):
            yield from ((where, f"is {_shown(value)}") for where, value in values if check.blames(value))
            return
    if check.unset:
        yield first, "is not set"


def _walk(item: JSON, path: tuple[str, ...], so_far: str) -> Iterator[_Place]:
    """Each value at a path: ``*`` is each of a list, ``{name}`` the container of that name, in whichever list."""
    if not path:
        yield so_far, item
        return
    part, *rest = path
    below = tuple(rest)
    if part == "*":
        for number, one in enumerate(item if isinstance(item, list) else []):
            name = one.get("name", number) if isinstance(one, dict) else number
            yield from _walk(one, below, f"{so_far}[{name}]")
    elif part.startswith("{"):
        for key in _CONTAINERS:
            for one in (item or {}).get(key) or ():
                if one["name"] == part.strip("{}"):
                    yield from _walk(one, below, f"{so_far}.{key}[{one['name']}]".lstrip("."))
    else:
        yield from _walk((item or {}).get(part), below, f"{so_far}.{part}".lstrip("."))


def _shown(value: JSON) -> str:
    """Short, and nothing of what could be a secret: only what decides is shown."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "empty"
    return str(value) if isinstance(value, (int, str)) else "set"
