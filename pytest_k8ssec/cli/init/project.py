"""Where the Pulumi stack of a project is, and whether its language can be run here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.machine.tools import installed, language_host_dirs
from pytest_k8ssec.settings import PROJECT_FILES
from pytest_k8ssec.stack import Project

_SKIPPED = frozenset({"node_modules", "site-packages", "__pycache__"})
_INSIDE, _NODE = "python", "nodejs"
"""Runtimes that need no language host of Pulumi's: the first runs within the tests' own environment."""


def find_stack(root: Path, chosen: Path | None) -> Path:
    """The directory of the one Pulumi project, absolute.

    Args:
        root: the project's folder.
        chosen: what the user or the settings named; None where it has to be looked for.

    Raises:
        SettingsError: there is none, or several and none was named.
    """
    if chosen is not None:
        if not _is_stack(chosen):
            raise SettingsError(
                f"{chosen}: has no Pulumi.yaml", fix="name the directory that holds it: `k8ssec init --stack DIR`"
            )
        return chosen.absolute()
    found = [folder for folder in folders(root) if _is_stack(folder)]
    if not found:
        raise SettingsError(
            f"{root}: no Pulumi.yaml is in it or below it",
            fix="name the directory that holds it: `k8ssec init --stack DIR`",
        )
    if len(found) > 1:
        names = [os.path.relpath(folder) for folder in found]
        raise SettingsError(
            f"{root}: {len(found)} Pulumi projects are there: {', '.join(names)}",
            fix=f"name the one to test: `k8ssec init --stack {names[0]}`",
        )
    return found[0].absolute()


def folders(root: Path) -> Iterator[Path]:
    """A folder and those below it, by name; without hidden ones, and those that hold what others wrote."""
    for here, below, files in os.walk(root):
        if "pyvenv.cfg" in files:
            below.clear()
            continue
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in _SKIPPED)
        yield Path(here)


def language_problem(project: Project) -> str:
    """What this machine lacks to run a program in its language, with the mend; "" where nothing is lacking.

    Where Pulumi itself is not here yet, the pinned release is fetched for the first run, and brings the languages' hosts.
    """
    runtime = project.runtime
    if runtime == _INSIDE:
        return ""
    if runtime == _NODE and shutil.which("node") is None:
        return "the program runs in Node.js, and there is no `node` on PATH: install Node.js 20 or newer"
    if runtime == _NODE and not any((one / "node_modules").is_dir() for one in _upwards(project.directory)):
        return f"the program's packages are not installed: run `npm install` in {os.path.relpath(project.directory)}"
    pulumi, host = installed("pulumi"), f"pulumi-language-{runtime}"
    if runtime == _NODE or pulumi is None:
        return ""
    places = [os.environ.get("PATH", os.defpath), pulumi.path.resolve().parent, *language_host_dirs()]
    if shutil.which(host, path=os.pathsep.join(map(str, places))):
        return ""
    return f"the program runs in {runtime}, and {host} is not there: the official Pulumi release brings it"


def _is_stack(folder: Path) -> bool:
    return any((folder / name).is_file() for name in PROJECT_FILES)


def _upwards(folder: Path) -> tuple[Path, ...]:
    return (folder, *folder.parents)
