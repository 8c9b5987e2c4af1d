"""Whoever installed the wheel can do what is printed: no text names a target of the Makefile, or a file of the checkout."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_k8ssec
from docs.blocks import subcommands
from pytest_k8ssec.catalogue.control import Control
from pytest_k8ssec.catalogue.packaged import packaged_controls

PACKAGE = Path(pytest_k8ssec.__file__).parent
REPOSITORY = PACKAGE.parent
TARGETS = re.findall(r"^([a-z-]+):.*##", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
FOLDERS = ("bench", "docs", "requirements", "scaffold", "stacks", "tests", "toolchain")
_OURS_ALONE = re.compile(
    rf"`make (?:{'|'.join(TARGETS)})\b|-m (?:toolchain|bench|scaffold)\b|\bcheckout of\b"
    rf"|(?<![\w./-])(?:{'|'.join(FOLDERS)})/\w"
)
_COMMAND = re.compile(r"`k8ssec ([a-z]+)([^`]*)`")


def texts() -> Iterator[tuple[str, str]]:
    """Each text of the package that is no docstring, with its place; what is filled in stands as ``{}``."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            where = f"{path.relative_to(PACKAGE)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.JoinedStr):
                yield (
                    where,
                    "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values),
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told | parts:
                yield where, node.value


def test_no_text_names_what_only_a_checkout_has() -> None:
    """Of all texts, so of each ``fix=`` too, wherever it is put together."""
    assert [f"{where}: {text}" for where, text in texts() if _OURS_ALONE.search(text)] == []


def test_each_command_that_a_text_names_is_there() -> None:
    """With each option that is named beside it."""
    found = [(where, *match.groups()) for where, text in texts() for match in _COMMAND.finditer(text)]
    assert len(found) > 10
    for where, name, arguments in found:
        assert name in subcommands(), where
        known = subcommands()[name].format_help()
        for flag in re.findall(r"--[a-z-]+", arguments):
            assert re.search(rf"{flag}\b", known), f"{where}: k8ssec {name} has no {flag}"


@pytest.mark.parametrize("one", packaged_controls(), ids=lambda one: one.id)
def test_a_remediation_can_be_done_without_the_checkout(one: Control) -> None:
    """It is what a breach's fix is taken from."""
    assert _OURS_ALONE.findall(one.remediation) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("as root: `make docker`", True),
        ("see stacks/platform_kit/admission.py", True),
        ("python3 -m toolchain build", True),
        ("look at https://kind.sigs.k8s.io/docs/user", False),
        ("make room there", False),
        ("`k8ssec doctor`", False),
    ],
)
def test_what_is_looked_for(text: str, *, wrong: bool) -> None:
    """A target, a folder; not a page of somebody else's."""
    assert bool(_OURS_ALONE.search(text)) is wrong
