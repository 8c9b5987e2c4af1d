"""All packaged controls, found where they stand: ``controls/<family>/<slug>.py``. No list is kept by hand."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_k8ssec.catalogue.annotated import control_of

if TYPE_CHECKING:
    from pytest_k8ssec.catalogue.control import Control

CONTROLS_FOLDER = Path(__file__).parents[1] / "controls"


def is_control_file(path: Path) -> bool:
    """Whether a file holds a packaged control."""
    if path.suffix != ".py" or path.name.startswith("_") or path.parent.parent.name != CONTROLS_FOLDER.name:
        return False
    return path.parent.parent == CONTROLS_FOLDER or path.resolve().parent.parent == CONTROLS_FOLDER.resolve()


def control_argument(argument: str) -> str:
    """What pytest is to be given for a printed id: of a control, or of a test in a control's file; else the argument.

    Args:
        argument: as on the command line. What names a file of the user's is left alone.
    """
    path, *rest = argument.split("::")
    if not path or Path(path).exists():
        return argument
    family, _, slug = path.partition("-")
    for file in (CONTROLS_FOLDER / family / f"{slug.replace('-', '_')}.py", CONTROLS_FOLDER / path):
        if is_control_file(file) and file.is_file():
            return "::".join((str(file), *rest))
    return argument


def packaged_control(function: object) -> Control | None:
    """The packaged control that a function is, also where somebody imported it into a file of theirs; else None."""
    found = control_of(function)
    code = getattr(found.function, "__code__", None) if found else None
    return found if code is not None and is_control_file(Path(code.co_filename)) else None


@cache
def packaged_controls() -> tuple[Control, ...]:
    """Every packaged control, by family and file."""
    found = []
    for file in sorted(CONTROLS_FOLDER.glob("*/*.py")):
        if is_control_file(file):
            module = importlib.import_module(f"pytest_k8ssec.controls.{file.parent.name}.{file.stem}")
            found += [control for control in map(control_of, vars(module).values()) if control]
    return tuple(found)
