"""In which line of the user's own files a resource is declared, of what Pulumi's state says and of where the program stands.

The state has, for each resource, the frames of the program that declared it: ``project:///../infra/net.py#12``, seen from our
private project folder. The first frame within the user's project counts: frames before it are a library's. A program in YAML has
frames of its interpreter alone: there the line of the resource's name counts.

Sources: https://github.com/pulumi/pulumi, pkg/resource/deploy/source_eval.go (``sourcePositions``); apitype.ResourceV3
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import yaml

from pytest_k8ssec.errors.yaml_text import compose_yaml
from pytest_k8ssec.stack.messages import STACK

_SCHEME: Final = "project"
_INSTALLED: Final = frozenset({"site-packages", "dist-packages", "node_modules", ".venv", "venv"})
_PROGRAMS: Final = ("Pulumi.yaml", "Pulumi.yml", "Main.yaml", "Main.yml")


def first_line(resource: Mapping[str, Any], root: Path, project: Path) -> str:
    """``/path/file:line`` of the first frame of a resource that is in the project; "" where none is.

    Args:
        resource: of the exported state.
        root: the folder that the state's paths are seen from.
        project: the folder of the user's program.
    """
    frames = [each.get("sourcePosition") for each in resource.get("stackTrace") or () if each]
    for position in (resource.get("sourcePosition"), *frames):
        url = urlsplit(position or "")
        line = url.fragment.partition(",")[0]
        if url.scheme == _SCHEME and line.isdecimal():
            path = Path(os.path.normpath(root / unquote(url.path).lstrip("/")))
            if (
                path.is_relative_to(project)
                and _INSTALLED.isdisjoint(path.relative_to(project).parts)
                and path.is_file()
            ):
                return f"{path}:{line}"
    return ""


def lines_of_yaml(folder: Path) -> dict[str, str]:
    """``/path/file:line`` by name of each resource that a program in YAML declares."""
    found: dict[str, str] = {}
    for path in (folder / name for name in _PROGRAMS):
        if path.is_file():
            document = compose_yaml(path.read_text(encoding="utf-8"))
            for key, value in document.value if isinstance(document, yaml.MappingNode) else ():
                if key.value == "resources" and isinstance(value, yaml.MappingNode):
                    found |= {each.value: f"{path}:{each.start_mark.line + 1}" for each, _ in value.value}
    return found


def places(state: Sequence[Mapping[str, Any]], by_name: Mapping[str, str], project_file: Path) -> dict[str, str]:
    """``/path/file:line`` by URN: a resource's own line, else its parent's, else the project's file.

    Args:
        state: each with its ``urn``, its ``parent``, and as ``at`` its own line, "" where it has none.
        by_name: lines of resources of the program itself, by name.
    """
    parents = {one["urn"]: one.get("parent") or "" for one in state}
    own = {one["urn"]: str(one.get("at") or "") for one in state}
    tops = {one["urn"] for one in state if one["type"] == STACK}

    def line(urn: str) -> str:
        seen: set[str] = set()
        while urn and urn not in tops and urn not in seen:
            seen.add(urn)
            parent = parents.get(urn, "")
            named = by_name.get(urn.rsplit("::", 1)[-1], "") if parent in tops or not parent else ""
            if here := own.get(urn, "") or named:
                return here
            urn = parent
        return str(project_file)

    return {urn: line(urn) for urn in _urns(state)}


def _urns(state: Iterable[Mapping[str, Any]]) -> list[str]:
    return [one["urn"] for one in state if one["type"] != STACK]
