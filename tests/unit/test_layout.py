"""The house has rooms: how many, how large, who knows whom, and that no public name stands for two things."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

import pytest_k8ssec

PACKAGE = Path(pytest_k8ssec.__file__).parent
UNIT = Path(__file__).parent
ROOMS_MAX = 28
EDGES_MAX = 160
FILES_MAX = 20
FILES_WITHOUT_REASON = 12
REASON = "More than twelve files"
NOT_OF_THE_PACKAGE = {"repository"}
"""Folders of tests/unit for what stands beside the package: bench, docs, scaffold, stacks, toolchain."""


@cache
def imports() -> Mapping[str, frozenset[str]]:
    """Module to what it imports, also lazily and under TYPE_CHECKING."""
    graph = grimp.build_graph("pytest_k8ssec", cache_dir=None)
    return {module: frozenset(graph.find_modules_directly_imported_by(module)) for module in graph.modules}


def room(module: str) -> str:
    """The package or module below the package's root that a module is in; the root is a room by itself."""
    return module.split(".")[1] if "." in module else module


@cache
def arrows() -> Mapping[str, frozenset[str]]:
    """Room to the other rooms that it imports."""
    found: dict[str, set[str]] = defaultdict(set)
    for module, imported in imports().items():
        found[room(module)] |= {room(each) for each in imported} - {room(module)}
    return {name: frozenset(known) for name, known in found.items()}


def packages() -> list[Path]:
    """Each folder of modules, but those of the controls: one control is one file."""
    controls = PACKAGE / "controls"
    folders = [init.parent for init in sorted(PACKAGE.rglob("__init__.py"))]
    return [folder for folder in folders if controls not in (folder, folder.parent)]


def public_names() -> Iterator[tuple[str, str]]:
    """Each public name that a module defines at its top, and where."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                overload = any(isinstance(each, ast.Name) and each.id == "overload" for each in node.decorator_list)
                names = [] if overload else [node.name]  # one of several signatures of the same function
            elif isinstance(node, ast.Assign):
                names = [each.id for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name)]
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names = [node.target.id]
            else:
                names = []
            for name in names:
                if not name.startswith(("_", "pytest_")):
                    yield name, f"{path.relative_to(PACKAGE)}:{node.lineno}"


def test_there_are_few_rooms() -> None:
    """Few enough to be known by name."""
    rooms = {room(module) for module in imports()} - {"pytest_k8ssec"}
    assert len(rooms) <= ROOMS_MAX, sorted(rooms)


def test_there_are_few_arrows_between_them() -> None:
    """Lazy imports and those for types are counted too."""
    assert sum(map(len, arrows().values())) <= EDGES_MAX


def test_no_room_comes_back_to_itself() -> None:
    """A circle is an error that names it."""
    assert list(TopologicalSorter(arrows()).static_order())


def test_no_module_imports_from_the_root() -> None:
    """The root hands out public names to users; inside, each name comes from where it stands."""
    assert not [module for module, imported in imports().items() if "pytest_k8ssec" in imported]


@pytest.mark.parametrize("folder", packages(), ids=lambda folder: folder.name)
def test_a_room_is_small_or_says_why(folder: Path) -> None:
    """A large room says in its docstring why it is one."""
    files = len([path for path in folder.glob("*.py") if path.name != "__init__.py"])
    told = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert files <= FILES_MAX
    assert files <= FILES_WITHOUT_REASON or REASON in told


@pytest.mark.parametrize("name", ["facts", "probes"])
def test_a_room_that_lists_its_modules_lists_them_all(name: str) -> None:
    """One line each, in the order of their names: who looks for something opens this file and one more."""
    told = ast.get_docstring(ast.parse((PACKAGE / name / "__init__.py").read_text(encoding="utf-8"))) or ""
    there = sorted(path.stem for path in (PACKAGE / name).glob("*.py") if path.name != "__init__.py")
    assert there == re.findall(r"^- ``(\w+)``: ", told, re.MULTILINE)


def test_no_public_name_is_defined_twice() -> None:
    """One name, one thing."""
    count = Counter(name for name, _ in public_names())
    assert not [f"{name} at {where}" for name, where in public_names() if count[name] > 1]


def test_unit_tests_stand_where_what_they_test_stands() -> None:
    """Each folder of tests is named as a room is."""
    folders = {path.name for path in UNIT.iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert not folders - NOT_OF_THE_PACKAGE - {room(module) for module in imports()}
