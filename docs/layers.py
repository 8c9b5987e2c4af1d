"""The table of layers, from the contract that import-linter checks: so that the two can't differ."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

_REPOSITORY = Path(__file__).parents[1]
_CONTRACT = "One way only"


def table() -> Iterator[str]:
    """A row for each room, the lowest first, with what its docstring promises."""
    yield "| room | what it is |"
    yield "|---|---|"
    for layer in reversed(layers()):
        for name in layer:
            yield f"| `{name}` | {_promise(name)} |"


def layers() -> list[list[str]]:
    """The rooms of each layer, the highest layer first."""
    text = (_REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    contracts = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    (found,) = (each["layers"] for each in contracts if each["name"] == _CONTRACT)
    return [layer.split(" | ") for layer in found]


def _promise(room: str) -> str:
    """The first paragraph of a room's docstring, in one line."""
    place = _REPOSITORY / "pytest_k8ssec" / room
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    told = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(told.partition("\n\n")[0].split()).replace("|", "\\|")
