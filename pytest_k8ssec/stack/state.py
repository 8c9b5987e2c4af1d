"""Turns what Pulumi says about a stack's state into our own data, by pure functions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from pytest_k8ssec.stack.messages import PROVIDERS, STACK, EngineStep
from pytest_k8ssec.stack.model import Secret
from pytest_k8ssec.stack.resource import Resource
from pytest_k8ssec.stack.types import MAKES_NAMESPACE, RELEASE, type_of

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""Key by which Pulumi's state marks a value that is not plain JSON; what stands under it tells which sort."""
_IS_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - Pulumi's mark of a secret, no secret


def metadata_of(type_: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """An object's metadata; for a Helm Release, what would be its: its name, where it is, and whether it makes that place."""
    if type_ == RELEASE:
        told = {key: properties[key] for key in ("name", "namespace") if isinstance(properties.get(key), str)}
        return {**told, MAKES_NAMESPACE: True} if properties.get(MAKES_NAMESPACE) is True else told
    found = properties.get("metadata")
    return found if isinstance(found, dict) else {}


def deployed_resources(
    state: Iterable[Mapping[str, Any]], places: Mapping[str, str] = MappingProxyType({})
) -> tuple[Resource, ...]:
    """The resources in an exported state, without providers and the stack itself, in the order of their URNs.

    Args:
        places: where each is declared, by URN.
    """
    found = (replace(one, place=places.get(one.urn, "")) for one in _deployed(state))
    return tuple(sorted(found, key=_urn))


def _deployed(state: Iterable[Mapping[str, Any]]) -> Iterator[Resource]:
    for one in state:
        if _counts(one["type"]) and not one.get("delete"):
            given, became = _metadata(one.get("inputs")), _metadata(one.get("outputs"))
            makes = {MAKES_NAMESPACE: True} if given.get(MAKES_NAMESPACE) else {}
            metadata = {**(became or given), **makes}
            yield from _resources(
                one["urn"], one["type"], metadata, str(one.get("id") or ""), external=bool(one.get("external"))
            )


def declared_resources(steps: Iterable[EngineStep]) -> tuple[Resource, ...]:
    """The resources that a preview would create, without providers and the stack itself, in the order of their URNs."""
    counting = [one for one in steps if _counts(one.type)]
    found = [
        each for one in counting for each in _resources(one.urn, one.type, one.metadata, "", external=one.op == "read")
    ]
    return tuple(sorted(found, key=_urn))


def _resources(urn: str, type_: str, metadata: Mapping[str, Any], id_: str, *, external: bool) -> Iterator[Resource]:
    """A resource; behind a Helm Release that makes its namespace, that too."""
    made = _resource(urn, type_, metadata, id_, external=external)
    yield made
    if type_ == RELEASE and metadata.get(MAKES_NAMESPACE) and made.namespace and not external:
        yield Resource(urn, type_of("v1", "Namespace"), made.namespace)


def _urn(resource: Resource) -> str:
    return resource.urn


def _counts(type_: str) -> bool:
    return type_ != STACK and not type_.startswith(PROVIDERS)


def _metadata(properties: Any) -> Mapping[str, Any]:
    found = properties.get("metadata") if isinstance(properties, Mapping) else None
    return found if isinstance(found, Mapping) and _SIGNATURE not in found else {}


def _resource(urn: str, type_: str, metadata: Mapping[str, Any], id_: str, *, external: bool) -> Resource:
    """A resource; where metadata says too little, the id of a Kubernetes object is ``namespace/name``."""
    from_id, _, id_name = id_.rpartition("/") if type_.startswith("kubernetes:") else ("", "", "")
    annotations = metadata.get("annotations")
    return Resource(
        urn=urn,
        type=type_,
        name=str(metadata.get("name") or id_name or urn.rsplit("::", 1)[-1]),
        namespace=str(metadata.get("namespace") or from_id),
        id=id_,
        external=external,
        annotations=_plain(annotations) if isinstance(annotations, Mapping) else {},
    )


def _plain(annotations: Mapping[str, Any]) -> dict[str, str]:
    """Annotations without the one in which kubectl keeps whole objects, Secrets' data too."""
    return {key: str(text) for key, text in annotations.items() if not key.endswith("/last-applied-configuration")}


def stack_outputs(
    values: Mapping[str, Any], state: Iterable[Mapping[str, Any]], hide: Callable[[str], str]
) -> dict[str, Any]:
    """The stack's outputs, all that the state marks as secret wrapped.

    Args:
        values: the outputs in plain.
        state: the resources of the exported state, in which secret values are marked.
        hide: takes known secret values out of what the program exported as plain text.
    """
    marked: Mapping[str, Any] = next((one["outputs"] for one in state if one["type"] == STACK), {})
    return {name: _wrapped(value, marked.get(name), hide) for name, value in values.items()}


class NotPlain(Exception):
    """A value is neither JSON nor a secret: an asset, or a reference to a resource."""


def plain_outputs(state: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The stack's outputs in plain, of a state that was exported with its secrets.

    Raises:
        NotPlain: only Pulumi itself knows how to tell one of them.
    """
    found: Mapping[str, Any] = next((one.get("outputs") or {} for one in state if one["type"] == STACK), {})
    return {name: _in_plain(value) for name, value in found.items()}


def _in_plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_plain(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    if _SIGNATURE not in value:
        return {key: _in_plain(one) for key, one in value.items()}
    if value[_SIGNATURE] != _IS_SECRET or "plaintext" not in value:
        raise NotPlain
    return _in_plain(json.loads(value["plaintext"]))


def readable_properties(properties: Any) -> Any:
    """Properties of the exported state as whoever has the state but not its key can read them: marked secrets left out."""
    if isinstance(properties, Mapping):
        if properties.get(_SIGNATURE) == _IS_SECRET:
            return None
        return {key: readable_properties(one) for key, one in properties.items()}
    return [readable_properties(one) for one in properties] if isinstance(properties, list) else properties


def _wrapped(value: Any, marked: Any, hide: Callable[[str], str]) -> Any:
    if isinstance(marked, Mapping) and marked.get(_SIGNATURE) == _IS_SECRET:
        return Secret(value)
    if isinstance(value, Mapping):
        below = marked if isinstance(marked, Mapping) else {}
        return {key: _wrapped(one, below.get(key), hide) for key, one in value.items()}
    if isinstance(value, list):
        rest = marked if isinstance(marked, list) and len(marked) == len(value) else [None] * len(value)
        return [_wrapped(one, hidden, hide) for one, hidden in zip(value, rest, strict=True)]
    return hide(value) if isinstance(value, str) else value
