"""Which plugins a project has in folders of its own: Pulumi starts them past PATH and cache, before it reports them.

Pulumi asks whether a source is certainly a folder, and we whether it certainly is none: only the plain name of a package, with
or without a version, is taken for one that is looked for elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pytest_k8ssec.errors.yaml_text import NotYaml, load_yaml

_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*[A-Za-z0-9](@v?\d[0-9A-Za-z.+-]*)?")
_PLUGIN_FILES: Final = ("PulumiPlugin.yaml", "PulumiPlugin.yml", "PulumiPlugin.json")


def brought_along(project: Mapping[str, object], directory: Path) -> Iterator[tuple[str, str]]:
    """Name and place of each, also of those that a component's folder names in turn.

    Args:
        project: what Pulumi.yaml says.
        directory: the folder that it is in; paths are relative to it, in a component's folder as well.

    Source: https://www.pulumi.com/docs/iac/concepts/projects/project-file/ (packages, plugins)
    """
    plugins = project.get("plugins")
    entries = plugins.get("providers") if isinstance(plugins, Mapping) else None
    for entry in entries if isinstance(entries, list) else ():
        yield str(entry.get("name") if isinstance(entry, Mapping) else entry), "plugins.providers"
    yield from _packages(project, directory, "packages", set())


def _packages(
    document: Mapping[str, object], directory: Path, where: str, known: set[Path]
) -> Iterator[tuple[str, str]]:
    packages = document.get("packages")
    for name, entry in packages.items() if isinstance(packages, Mapping) else ():
        source = str(entry.get("source") if isinstance(entry, Mapping) else entry)
        if _PLAIN.fullmatch(source):
            continue
        yield str(name), where
        for folder in {directory / source, directory / source.partition("@")[0]}:
            found = _plugin_file(folder)
            if found is not None and found not in known:
                known.add(found)
                yield from _packages(_mapping(found), directory, f"packages of {found}", known)
                # Relative to the component's own folder, if a later Pulumi reads them so.
                yield from _packages(_mapping(found), found.parent, f"packages of {found}", known)


def _plugin_file(folder: Path) -> Path | None:
    """The file that describes the plugin in a folder: there, or in the nearest one above, where Pulumi looks as well."""
    folder = folder.resolve()
    if not folder.is_dir():
        return None
    places = (place / name for place in (folder, *folder.parents) for name in _PLUGIN_FILES)
    return next((place for place in places if place.is_file()), None)


def _mapping(path: Path) -> Mapping[str, object]:
    """What it says; nothing where Pulumi can't read it either."""
    try:
        document = load_yaml(path.read_text(encoding="utf-8"))
    except (NotYaml, OSError, UnicodeDecodeError):
        return {}
    return document if isinstance(document, dict) else {}
