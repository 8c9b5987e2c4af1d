"""Writes a program in YAML and one in TypeScript that declare what a Python program declares: found by running it without engine.

What the Python program takes from elsewhere stays so: the image, its repository, the key, in TypeScript the API server's address.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from tests.declared import API_SERVER, KEY

IMAGE: Final = "registry.invalid/image:tag"
"""Stands for the image, in what the Python program is given."""
_REPOSITORY: Final = IMAGE.rpartition(":")[0]
_WORKLOADS: Final = ("Deployment", "StatefulSet")
_ANYWHERE: Final = "0.0.0.0/0"
"""Where a program in YAML finds the API server: its host (1.25) breaks on `get` of any object, as kinds have constant properties."""


@dataclass(frozen=True)
class _Declared:
    """A resource of the translated program."""

    key: str
    """Its name there."""
    type: str
    inputs: Mapping[str, Any]
    after: tuple[str, ...]
    """Keys of those that must be there before."""

    @property
    def kind(self) -> str:
        """Its kind."""
        return self.type.rpartition(":")[2]


def to_yaml(found: list[dict[str, Any]]) -> str:
    """Pulumi.yaml.

    Args:
        found: what the Python program declares, given ``IMAGE``.
    """
    given = {IMAGE: "${image}", _REPOSITORY: "${repository}", KEY: "${paymentsApiKey}"}
    given[f"{API_SERVER}/32"] = _ANYWHERE
    resources: dict[str, Any] = {}
    for one in _all(found):
        if one.kind == "EndpointSlice":
            continue
        resources[one.key] = {
            "type": one.type,
            "properties": _replaced(one.inputs, given),
            "options": {"dependsOn": [f"${{{each}}}" for each in one.after]},
        }
    program = {
        "name": "platform",
        "runtime": "yaml",
        "config": {"image": {"type": "string"}, "paymentsApiKey": {"type": "string", "secret": True}},
        "variables": {
            "parts": {"fn::split": [":", "${image}"]},
            "repository": {"fn::select": [0, "${parts}"]},
        },
        "resources": resources,
    }
    return yaml.safe_dump(program, sort_keys=False)


def to_typescript(found: list[dict[str, Any]]) -> str:
    """index.ts, of the same."""
    given = {IMAGE: "image", _REPOSITORY: "repository", KEY: "key", API_SERVER: "server"}
    lines = [
        'import * as k8s from "@pulumi/kubernetes";',
        'import * as pulumi from "@pulumi/pulumi";',
        "const config = new pulumi.Config();",
        'const image = config.require("image");',
        'const repository = image.split(":")[0];',
        'const key = config.requireSecret("paymentsApiKey");',
        'const slice = k8s.discovery.v1.EndpointSlice.get("api-server", "default/kubernetes");',
        "const server = slice.endpoints.apply((all) => all[0].addresses[0]);",
    ]
    for one in _all(found):
        if one.kind == "EndpointSlice":
            continue
        group, _, version = one.type.split(":")[1].rpartition("/")
        cls = f"k8s.{group.split('.')[0]}.{version}.{one.kind}"
        after = ", ".join(map(_variable, one.after))
        lines.append(
            f'const {_variable(one.key)} = new {cls}("{one.key}", {_code(one.inputs, given)}, {{ dependsOn: [{after}] }});'
        )
    return "\n".join(lines) + "\n"


def _all(found: list[dict[str, Any]]) -> Iterator[_Declared]:
    """Namespaces first, then what is in them, and their workloads once all of that is there."""
    plain: list[tuple[str, str, dict[str, Any]]] = []
    for one in found:
        kind = one["type"].rpartition(":")[2]
        inputs = {name: _whole(value) for name, value in one["inputs"].items() if name not in ("apiVersion", "kind")}
        plain.append((f"{kind.lower()}-{one['name']}", one["type"], inputs))
    places = {key: inputs.get("metadata", {}).get("namespace", "") for key, _, inputs in plain}
    last = [type_.endswith(_WORKLOADS) for _, type_, _ in plain]
    for (key, type_, inputs), is_last in sorted(
        zip(plain, last, strict=True), key=lambda each: (places[each[0][0]] != "", each[1])
    ):
        space = [f"namespace-{places[key]}"] if places[key] else []
        beside = [
            other
            for (other, _, _), late in zip(plain, last, strict=True)
            if is_last and not late and places[other] == places[key]
        ]
        yield _Declared(key, type_, inputs, (*space, *beside))


def _whole(value: Any) -> Any:
    """The value with whole numbers: what comes over Pulumi's protocol has none."""
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _replaced(value: Any, given: Mapping[str, str]) -> Any:
    """The value with references in YAML."""
    if isinstance(value, dict):
        return {name: _replaced(each, given) for name, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, given) for each in value]
    if not isinstance(value, str):
        return value
    text = value.replace("${", "$${")
    for known, reference in given.items():
        text = text.replace(known, reference)
    return text


def _code(value: Any, given: Mapping[str, str]) -> str:
    """The value as an expression in TypeScript."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)}: {_code(each, given)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_code(each, given) for each in value) + "]"
    if not isinstance(value, str) or not any(known in value for known in given):
        return json.dumps(value)
    text = value.replace("\\", "\\\\").replace("`", "\\`").replace("${", "\\${")
    for known, name in given.items():
        text = text.replace(known, f"${{{name}}}")
    return f"pulumi.interpolate`{text}`"


def _variable(key: str) -> str:
    return key.replace("-", "_")
