"""The Secret or ConfigMap that a file or a variable of a container comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from pytest_k8ssec.evidence import JSON
from pytest_k8ssec.evidence.causes import Known

_VARIABLE = "variable "


def kept_in(namespace: str, template: Mapping[str, JSON], place: str) -> tuple[Known, ...]:
    """The objects that may hold what a container has in a place; nothing where a place is neither a mount nor a variable.

    Args:
        template: a pod template in which the container is the main one.
        place: ``/run/key/token in base64``, or ``variable KEY``.
    """
    spec = template.get("spec") or {}
    main = (spec.get("containers") or [{}])[0]
    if place.startswith(_VARIABLE):
        name = place.removeprefix(_VARIABLE).partition(" ")[0]
        found = _of_variable(main, name)
    else:
        found = _of_mount(spec, main, PurePosixPath(place.partition(" in ")[0]))
    return tuple(Known(kind, "v1", namespace, name, how="holds the credential") for kind, name in dict.fromkeys(found))


def _of_variable(main: Mapping[str, JSON], name: str) -> Iterator[tuple[str, str]]:
    for each in main.get("env") or ():
        given = each.get("valueFrom") or {}
        if each["name"] == name:
            for key, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
                if key in given:
                    yield kind, given[key]["name"]


def _of_mount(spec: Mapping[str, JSON], main: Mapping[str, JSON], file: PurePosixPath) -> Iterator[tuple[str, str]]:
    over = [each for each in main.get("volumeMounts") or () if file.is_relative_to(each["mountPath"])]
    if not over:
        return
    nearest = max(over, key=lambda each: len(PurePosixPath(each["mountPath"]).parts))["name"]
    for volume in (each for each in spec.get("volumes") or () if each["name"] == nearest):
        yield from _named(volume.get("secret"), volume.get("configMap"), "secretName")
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield from _named(source.get("secret"), source.get("configMap"), "name")


def _named(secret: JSON, config_map: JSON, key: str) -> Iterator[tuple[str, str]]:
    if secret:
        yield "Secret", secret[key]
    if config_map:
        yield "ConfigMap", config_map["name"]
