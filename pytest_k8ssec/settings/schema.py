"""The JSON Schema of ``[tool.k8ssec]``, for editors: made from ``OPTIONS`` and the waivers' keys, so that it can't be behind them.

It refuses what the reader refuses in a table by itself. What the reader finds only where all places are merged (one setting wants
another, a path is not there) no schema knows; and what the reader puts up with (an empty value,
which is "not given", or space around a date) nobody has to write.

Sources: https://json-schema.org/draft/2020-12
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pytest_k8ssec.settings import FLAG_WORDS, KUBERNETES_VERSION, OPTIONS, WAIVER_KEY, Option
from pytest_k8ssec.settings.waivers import DATE, WAIVER_KEYS, WAIVER_NEEDS

JSONSchema = dict[str, Any]
_END = r"(?![\s\S])"
"""The end of a text; ``$`` is also before its last newline."""
_INK = r"[^\s]"
_TEXT: JSONSchema = {"type": "string", "pattern": _INK}


def table_schema() -> JSONSchema:
    """The schema of the table, as JSON-compatible objects."""
    properties = {option.key: {"description": option.help, **_value(option)} for option in OPTIONS}
    properties[WAIVER_KEY] = {
        "type": "array",
        "items": _waiver(),
        "description": "who answers for which breach, and until when",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "[tool.k8ssec]",
        "description": "Settings of pytest-k8ssec in pyproject.toml",
        "type": "object",
        "properties": dict(sorted(properties.items())),
        "additionalProperties": False,
    }


def _value(option: Option) -> JSONSchema:
    makers: Mapping[str, Callable[[Option], JSONSchema]] = {
        "flag": _flag,
        "number": _number,
        "choice": lambda one: {"enum": list(one.choices)},
        "pairs": lambda one: _repeatable(one, _texts()),
        "allow": lambda one: _repeatable(one, {"type": "object", "additionalProperties": _texts()}),
    }
    if option.kind in makers:
        return makers[option.kind](option)
    if option.name == "kubernetes_version":
        return {"type": "string", "pattern": rf"^{KUBERNETES_VERSION}{_END}"}
    return {"type": "string", "minLength": 1}


def _flag(_: Option) -> JSONSchema:
    words = "|".join(
        "".join(f"[{letter}{letter.upper()}]" if letter.isalpha() else letter for letter in word) for word in FLAG_WORDS
    )
    return {"anyOf": [{"type": "boolean"}, {"enum": [0, 1]}, {"type": "string", "pattern": rf"^\s*({words})\s*{_END}"}]}


def _number(option: Option) -> JSONSchema:
    words = "|".join(("[0-9]+", *option.choices))
    return {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": rf"^\s*({words})\s*{_END}"}]}


def _repeatable(option: Option, table: JSONSchema) -> JSONSchema:
    """A table, a list of texts, or one text with one of them on each line; blank ones don't count."""
    one, line = _pair(option, ""), _pair(option, r"\n")
    item = {"type": "string", "pattern": rf"^{one}{_END}", "description": option.metavar}
    lines = {"type": "string", "pattern": rf"^{line}(\n{line})*{_END}"}
    return {"anyOf": [table, {"type": "array", "items": item}, lines]}


def _pair(option: Option, but: str) -> str:
    """``KEY=VALUE`` or ``CONTROL:SUBJECT=REASON`` with space around it, or space alone; without a character."""
    some, space = (rf"[^{but}]*", rf"[^\S{but}]*") if but else (r"[\s\S]*", r"\s*")
    key = rf"(?![\s=])[^={but}]+"
    if option.kind == "allow":
        key = rf"(?![\s=:])[^=:{but}]+:[^={but}]*(?!=){_INK}[^={but}]*"
    return rf"({space}|{space}{key}={some}{_INK}{some})"


def _texts() -> JSONSchema:
    return {"type": "object", "additionalProperties": {"anyOf": [_TEXT, {"type": ["number", "boolean"]}]}}


def _waiver() -> JSONSchema:
    values: dict[str, JSONSchema] = dict.fromkeys(WAIVER_KEYS, _TEXT)
    values["expires"] = {"type": "string", "format": "date", "pattern": rf"^{DATE}{_END}"}
    values["ticket"] = {"anyOf": [_TEXT, {"type": "integer"}]}
    return {"type": "object", "properties": values, "required": list(WAIVER_NEEDS), "additionalProperties": False}
