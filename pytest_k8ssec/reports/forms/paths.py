"""Where a project's files are, seen from its root: hosts of code know a file by that path, wherever pytest was started."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_LINE = re.compile(r"(?P<path>.+?):(?P<line>\d+)(?::\d+)?")
_INSTEAD = "pyproject.toml"
"""Where no other file is known: a result without a place makes GitHub refuse the whole file."""


def project_files(here: Path, stack: Path | None, kind_config: Path | None, settings: Path | None) -> dict[str, str]:
    """The ``project`` of report.json's run.

    Args:
        here: the folder that places are seen from.
        stack: the stack's folder.
        kind_config: of the user's own; None where the packaged one counts.
        settings: the file with pytest's settings.
    """
    here = here.resolve()
    root = next((each for each in (here, *here.parents) if (each / ".git").exists()), here)
    beside = stack / "kind.yaml" if stack is not None else None
    kind = kind_config or (beside if beside is not None and beside.is_file() else None)
    files = {
        "stack": stack / "Pulumi.yaml" if stack is not None else None,
        "cluster": kind,
        "settings": settings,
    }
    told = {name: _below(here / path, root) if path is not None else "" for name, path in files.items()}
    return {"root": str(root), "here": _below(here, root), **told}


def _below(path: Path, root: Path) -> str:
    path = path.resolve()
    return "" if not path.is_relative_to(root) or path == root else path.relative_to(root).as_posix()


def placed(run: Mapping[str, Any], subject: str, places: list[str]) -> tuple[str, int]:
    """The file and line to show something at: the first place within the project, else the file that stands for it.

    Args:
        run: of report.json.
        subject: what the control judges.
        places: ``file:line`` each, as report.json has them.

    Returns:
        the path from the project's root, with slashes, and the line, 1 where none is known.
    """
    project = run.get("project") or {}
    for place in places:
        found = _LINE.fullmatch(place)
        path, line = (found["path"], int(found["line"])) if found else (place, 1)
        inside = _inside(path, project)
        if inside:
            return inside, max(1, line)
    wanted = {"cluster": ("cluster", "settings"), "stack": ("stack", "settings")}.get(subject, ("settings",))
    return next((project[each] for each in wanted if project.get(each)), _INSTEAD), 1


def _inside(path: str, project: Mapping[str, str]) -> str:
    """A path from the project's root, "" for one that is not within."""
    if not path:
        return ""
    if path.startswith("/"):
        root = project.get("root", "").rstrip("/")
        below = posixpath.normpath(path).removeprefix(f"{root}/") if root else path
    else:
        below = posixpath.normpath(posixpath.join(project.get("here", ""), path))
    return "" if below.startswith(("/", "../")) or below in (".", "..") else below
