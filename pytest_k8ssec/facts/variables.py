"""The environment of a container, as its kubelet puts it together: from the spec itself, Secrets and ConfigMaps.

What an image sets is not in it, and neither are values of the pod's own fields.
Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#environment-variables
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.errors import as_probe_error

SPOKEN = ("command", "args")
"""The parts of a container that are words of its command."""
_PLURALS = {"secret": "secrets", "configMap": "configmaps"}


@dataclass(frozen=True, slots=True)
class Variables:
    """What a container has in its environment; never to be shown."""

    values: Mapping[str, bytes] = field(repr=False)
    """By name."""
    unread: tuple[str, ...] = ()
    """The Secrets and ConfigMaps that the API server did not show: ``secrets web/key``."""


def variables_of(api: KubeApi, namespace: str, container: Mapping[str, Any]) -> Variables:
    """The environment of a container of a namespace's pod.

    Raises:
        ProbeError: no HTTP answer came.
    """
    found: dict[str, bytes] = {}
    unread: dict[str, None] = {}

    def held(kind: str, name: str) -> Mapping[str, bytes]:
        path = f"{_PLURALS[kind]} {namespace}/{name}"
        with as_probe_error():
            answer = api.request("GET", f"/api/v1/namespaces/{namespace}/{_PLURALS[kind]}/{name}")
        if not answer.ok and answer.status != 404:  # what is not there is in no container
            unread[path] = None
        return contents(answer.body) if answer.ok else {}

    for source in container.get("envFrom") or ():
        for kind in _PLURALS:
            if reference := source.get(f"{kind}Ref"):
                prefix = source.get("prefix") or ""
                found |= {prefix + key: value for key, value in held(kind, reference["name"]).items()}
    for variable in container.get("env") or ():
        found[variable["name"]] = str(variable.get("value") or "").encode()
        for kind in _PLURALS:
            if reference := (variable.get("valueFrom") or {}).get(f"{kind}KeyRef"):
                found[variable["name"]] = held(kind, reference["name"]).get(reference["key"], b"")
    return Variables(found, tuple(unread))


def spoken_words(containers: Iterable[Mapping[str, Any]]) -> dict[str, bytes]:
    """The words of containers' commands, which whoever gets in reads in /proc/1/cmdline; by ``args 1``."""
    return {
        f"{key} {number}": str(word).encode()
        for one in containers
        for key in SPOKEN
        for number, word in enumerate(one.get(key) or (), 1)
    }


def contents(body: Mapping[str, Any]) -> dict[str, bytes]:
    """What a Secret or a ConfigMap holds, by key."""
    secret = body.get("kind") == "Secret"
    texts = {} if secret else {key: str(value).encode() for key, value in (body.get("data") or {}).items()}
    packed = body.get("data" if secret else "binaryData") or {}
    return texts | {key: base64.b64decode(value) for key, value in packed.items()}
