"""Blocks of documentation that are made from the code, in pages that are written by hand.

A block begins with ``<!-- generated: NAME -->`` and ends with ``<!-- end -->``. ``docs.generate`` puts between the two what
:data:`BLOCKS` makes for that name.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bench.corpus.expected import corpus
from bench.shapes.shape import shapes
from docs import layers
from docs.report_fields import ATTEMPT, BLAME, CULPRIT, REACHABILITY, RESULT, TABLE, WAIVED, WAIVER, fields
from pytest_k8ssec.cli.parser import parser
from pytest_k8ssec.controls.kubelet import readonly
from pytest_k8ssec.plugin import fixtures
from pytest_k8ssec.plugin.options import markers
from pytest_k8ssec.settings import OPTIONS

_BEGIN = re.compile(r"^<!-- generated: ", re.MULTILINE)
_BLOCK = re.compile(
    r"^(<!-- generated: ([\w-]+) -->\n)((?!<!-- generated: ).)*?^(<!-- end -->)$", re.MULTILINE | re.DOTALL
)
_ROOT_PAGES, _FURTHER_PAGES = "*.md", "docs/**/*.md"


def filled(repository: Path) -> dict[Path, str]:
    """Every page that has a block, with what belongs into it.

    Raises:
        ValueError: a page names a block that nothing makes, or a block is not closed.
    """
    found = {}
    for path in sorted({*repository.glob(_ROOT_PAGES), *repository.glob(_FURTHER_PAGES)}):
        text = path.read_text(encoding="utf-8")
        if _BEGIN.search(text):
            found[path] = fill(text, path.relative_to(repository).as_posix())
    return found


def fill(text: str, page: str) -> str:
    """One page's text with its blocks made anew.

    Args:
        text: the page as it is.
        page: its name, for errors.

    Raises:
        ValueError: it names a block that nothing makes, or a block is not closed.
    """

    def made(match: re.Match[str]) -> str:
        if match[2] not in BLOCKS:
            raise ValueError(f"{page}: nothing makes the block {match[2]!r}; known: {', '.join(BLOCKS)}")
        return f"{match[1]}\n" + "\n".join(BLOCKS[match[2]]()) + f"\n\n{match[4]}"

    filled_text, count = _BLOCK.subn(made, text)
    if count != len(_BEGIN.findall(text)):
        raise ValueError(f"{page}: a generated block has no end")
    return filled_text


def _options() -> Iterator[str]:
    yield "| option | what it does |"
    yield "|---|---|"
    for option in OPTIONS:
        value = f" {option.metavar}" if option.metavar else ""
        again = ". Repeatable" if option.repeatable else ""
        yield f"| `{option.flag}{value}` | {_cell(option.help)}{again} |"


def _spellings() -> Iterator[str]:
    yield "| command line | environment | ini file | `[tool.k8ssec]` |"
    yield "|---|---|---|---|"
    for option in OPTIONS:
        yield f"| `{option.flag}` | `{option.env}` | `{option.ini}` | `{option.key}` |"


def _fixtures() -> Iterator[str]:
    for function, scope in _public_fixtures():
        document = ast.get_docstring(function) or ""
        yield f"## `{function.name}`"
        yield ""
        yield f"Scope: {scope}. Type: `{ast.unparse(function.returns) if function.returns else 'Any'}`."
        yield ""
        yield from textwrap.dedent(document).splitlines()
        yield ""


def _public_fixtures() -> Iterator[tuple[ast.FunctionDef, str]]:
    """Each fixture that is not internal, and its scope: read from the source, as pytest has no public way to ask."""
    for node in ast.parse(inspect.getsource(fixtures)).body:
        marks = [each for each in getattr(node, "decorator_list", []) if "pytest.fixture" in ast.unparse(each)]
        if isinstance(node, ast.FunctionDef) and marks and not (ast.get_docstring(node) or "").startswith("Internal:"):
            given = marks[0].keywords if isinstance(marks[0], ast.Call) else []
            scopes = [ast.literal_eval(each.value) for each in given if each.arg == "scope"]
            yield node, scopes[0] if scopes else "function"


def _markers() -> Iterator[str]:
    yield "| marker | chooses |"
    yield "|---|---|"
    for name, text in markers().items():
        yield f"| `{name}` | {text} |"


def _commands() -> Iterator[str]:
    for name, command in subcommands().items():
        yield f"## `k8ssec {name}`"
        yield ""
        yield " ".join((command.description or "").split())
        rows = list(_arguments(command))
        if rows:
            yield from ("", "| argument | what it does |", "|---|---|", *rows)
        if command.epilog:
            yield from ("", "```text", *command.epilog.rstrip().splitlines(), "```")
        yield ""


def _arguments(command: argparse.ArgumentParser) -> Iterator[str]:
    for action in command._actions:  # noqa: SLF001 - argparse has no public name for it
        if action.help in (None, argparse.SUPPRESS) or "--help" in action.option_strings:
            continue
        value = f" {action.metavar}" if action.metavar and action.option_strings else ""
        yield f"| `{_cell((', '.join(action.option_strings) or str(action.metavar)) + value)}` | {_cell(action.help or '')} |"


def subcommands() -> Mapping[str, argparse.ArgumentParser]:
    """Subcommand of ``k8ssec`` to its parser."""
    found = [each.choices for each in parser()._actions if isinstance(each.choices, dict)]  # noqa: SLF001 - as above
    return found[0]


def _sample_control() -> Iterator[str]:
    yield "````python"
    yield from inspect.getsource(readonly).rstrip().splitlines()
    yield "````"


def _corpus() -> Iterator[str]:
    """Stack to its mistake and its oddity."""
    yield "| stack | planted | unusual, and right |"
    yield "|---|---|---|"
    for entry in corpus():
        yield f"| [{entry.name}](../../stacks/corpus/{entry.name}) | {_cell(entry.planted)} | {_cell(entry.oddity)} |"


def _shapes() -> Iterator[str]:
    """Shape to what is different, and what is right there but *held*."""
    yield "| shape | what is different | right there, where that is not *held* |"
    yield "|---|---|---|"
    for name, shape in shapes().items():
        otherwise = "; ".join(f"{control}: {each.verdict}, {each.reason}" for control, each in shape.otherwise.items())
        yield f"| [{name}](../../stacks/shapes/{name}.yaml) | {_cell(shape.about)} | {_cell(otherwise)} |"


def _cell(text: str) -> str:
    """Text for a cell of a table."""
    return text.replace("|", "\\|")


BLOCKS: Mapping[str, Callable[[], Iterator[str]]] = {
    "options": _options,
    "layers": layers.table,
    "spellings": _spellings,
    "fixtures": _fixtures,
    "markers": _markers,
    "commands": _commands,
    "result-fields": lambda: fields(RESULT),
    "attempt-fields": lambda: fields(ATTEMPT),
    "blame-fields": lambda: fields(BLAME),
    "culprit-fields": lambda: fields(CULPRIT),
    "waived-fields": lambda: fields(WAIVED),
    "waiver-fields": lambda: fields(WAIVER),
    "table-fields": lambda: fields(TABLE),
    "reachability-fields": lambda: fields(REACHABILITY),
    "sample-control": _sample_control,
    "corpus": _corpus,
    "shapes": _shapes,
}
"""Name of a block to what makes its lines."""
