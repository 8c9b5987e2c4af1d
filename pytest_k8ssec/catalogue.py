"""All packaged controls, found where they stand: ``controls/<family>/<slug>.py``. No list is kept by hand."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path

from pytest_k8ssec.control import Control, control_of

ROOT = Path(__file__).parent / "controls"


def is_control_file(path: Path) -> bool:
    """Whether a file holds a packaged control."""
    return path.suffix == ".py" and not path.name.startswith("_") and path.parent.parent == ROOT


@cache
def controls() -> tuple[Control, ...]:
    """Every packaged control, by family and file."""
    found = []
    for file in sorted(ROOT.glob("*/*.py")):
        if is_control_file(file):
            module = importlib.import_module(f"pytest_k8ssec.controls.{file.parent.name}.{file.stem}")
            found += [control for control in map(control_of, vars(module).values()) if control]
    return tuple(found)
