"""What a Pulumi program asks for when it runs, read from its source: config values, and variables of the environment.

What Pulumi.yaml declares is known for certain; this finds what is asked for without being declared. It can miss some, so nothing
rests on it but what ``init`` tells.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pytest_k8ssec.cli.init.project import folders
from pytest_k8ssec.stack import Project

_CONFIG = "Config"
_REQUIRE = re.compile(r"require(_secret)?(_(bool|int|float|object))?")
_SCRIPT = re.compile(r"""\.require(Secret)?(?:Boolean|Number|Object)?(?:<[^>()]*>)?\(\s*["'`]([\w.:-]+)["'`]""")
_SCRIPTS = (".ts", ".js", ".mts", ".mjs")


class AskedFor(NamedTuple):
    """Something that a program asks for."""

    name: str
    """A config key with namespace, or a variable."""
    secret: bool
    """Whether it asks for it as a secret."""
    variable: bool
    """Whether it is a variable of the environment."""
    place: str
    """``file:line``."""


def asked_by_program(project: Project) -> tuple[AskedFor, ...]:
    """Each thing that a program asks for and can't do without, once.

    Args:
        project: whose folder is read; programs in Python, TypeScript and JavaScript are understood.
    """
    found: dict[tuple[str, bool], AskedFor] = {}
    for path in _sources(project.directory):
        text = path.read_text(encoding="utf-8", errors="replace")
        asked = _of_python(text, path, project) if path.suffix == ".py" else _of_script(text, path, project)
        for each in asked:
            found.setdefault((each.name, each.variable), each)
    return tuple(found.values())


def _sources(directory: Path) -> Iterator[Path]:
    for folder in folders(directory):
        for path in sorted(folder.iterdir()):
            if path.suffix in (".py", *_SCRIPTS) and path.is_file() and not path.name.startswith("test_"):
                yield path


def _of_python(text: str, path: Path, project: Project) -> Iterator[AskedFor]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return  # Python itself will say so, with the line
    configs = _configs(tree)
    for node in ast.walk(tree):
        place = f"{os.path.relpath(path)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and _name(node.value) == "environ":
            if name := _text(node.slice):
                yield AskedFor(name, secret=False, variable=True, place=place)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            method, key, space = _REQUIRE.fullmatch(node.func.attr), _text(node.args[0]), _space(node.func, configs)
            if method and key and space is not None:
                name = f"{space}:{key}" if space else project.qualified(key)
                yield AskedFor(name, secret=bool(method[1]), variable=False, place=place)


def _configs(tree: ast.AST) -> Mapping[str, str]:
    """Each name that a ``pulumi.Config`` is given, to its namespace; "" for the project's own."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and (space := _opened(node.value)) is not None:
            found |= {target.id: space for target in node.targets if isinstance(target, ast.Name)}
    return found


def _space(method: ast.Attribute, configs: Mapping[str, str]) -> str | None:
    """The namespace of the config object that a method is called on; None where it is something else."""
    return configs.get(method.value.id) if isinstance(method.value, ast.Name) else _opened(method.value)


def _opened(node: ast.AST) -> str | None:
    if not (isinstance(node, ast.Call) and _name(node.func) == _CONFIG):
        return None
    return _text(node.args[0]) if node.args else ""


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _of_script(text: str, path: Path, project: Project) -> Iterator[AskedFor]:
    """Only where all config objects are the project's own is it known whose key it is."""
    if not re.search(r"Config\(\s*\)", text) or re.search(r"Config\(\s*[^\s)]", text):
        return
    for match in _SCRIPT.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield AskedFor(
            project.qualified(match[2]), secret=bool(match[1]), variable=False, place=f"{os.path.relpath(path)}:{line}"
        )
