"""Waivers as users write them: who answers for which breach, why, and until when.

They stand in ``[[tool.k8ssec.waiver]]`` of pyproject.toml, and in ``k8ssec-waivers.yaml`` beside it. Whatever is wrong with one is
an error before anything is made; which breach one covers is asked in ``plugin/waiving``.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.errors.yaml_text import NotYaml, compose_yaml
from pytest_k8ssec.settings import WAIVER_KEY

WAIVERS_FILE = "k8ssec-waivers.yaml"
SOON = 14
"""Days before its end from which on a waiver is told to be ending."""
WAIVER_NEEDS = ("control", "subject", "reason", "owner", "expires")
WAIVER_KEYS = (*WAIVER_NEEDS, "ticket")
_TOP = "waivers"
_HEADER = re.compile(r"^\s*\[\[\s*tool\s*\.\s*k8ssec\s*\.\s*waiver\s*\]\]")
DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_EXAMPLE = "write it as 2027-01-31, the last day on which the waiver holds"


class Waiver(NamedTuple):
    """One waiver."""

    control: str
    subject: str
    """A glob, over the names of what is attacked."""
    reason: str
    owner: str
    expires: dt.date
    """The last day on which it holds, in UTC."""
    ticket: str
    place: str
    """``file:line`` or the like, where it is written."""

    def days_left(self, day: dt.date) -> int:
        """How many more days it holds after this one; less than 0 once it has expired."""
        return (self.expires - day).days

    def to_json(self) -> dict[str, str]:
        """JSON-compatible form for the report."""
        return {**self._asdict(), "expires": self.expires.isoformat()}


def today() -> dt.date:
    """The day by which waivers expire: the same in every time zone."""
    return dt.datetime.now(dt.UTC).date()


def read_waivers(table: Mapping[str, Any], pyproject: Path) -> tuple[Waiver, ...]:
    """All waivers of a project.

    Args:
        table: ``[tool.k8ssec]``.
        pyproject: the file that it comes from, which need not be there; the YAML file is looked for beside it.

    Raises:
        SettingsError: a file can't be read, or something in it is wrong; with file, entry and mend.
    """
    found: list[Waiver] = []
    for where, values in (*_of_table(table.get(WAIVER_KEY), pyproject), *_of_yaml(pyproject.with_name(WAIVERS_FILE))):
        made = _waiver(where, values)
        twin = next((each for each in found if each[:2] == made[:2]), None)
        if twin is not None:
            raise _wrong(
                where, f"waives {made.subject!r} of {made.control} a second time", f"see {twin.place}: keep one"
            )
        found.append(made)
    return tuple(found)


def _of_table(entries: Any, pyproject: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each entry of pyproject.toml, with its place."""
    if entries is None:
        return
    fix = "write each waiver below a header [[tool.k8ssec.waiver]], with two brackets"
    if not isinstance(entries, list):
        raise _wrong(f"{pyproject.name}: tool.k8ssec.waiver", f"must be a list of tables, is {_kind(entries)}", fix)
    lines = _headers(pyproject)
    for number, entry in enumerate(entries):
        line = f":{lines[number]}" if len(lines) == len(entries) else ""
        where = f"{pyproject.name}{line}: waiver {number + 1}"
        if not isinstance(entry, Mapping):
            raise _wrong(where, f"must be a table of {', '.join(WAIVER_KEYS)}, is {_kind(entry)}", fix)
        yield where, entry


def _headers(pyproject: Path) -> list[int]:
    """The lines on which waivers begin."""
    try:
        text = pyproject.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [number for number, line in enumerate(text.splitlines(), 1) if _HEADER.match(line)]


def _of_yaml(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each entry of the YAML file, with its place; none where there is no such file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except UnicodeDecodeError as error:
        raise _wrong(path.name, f"is not UTF-8: {error.reason} at byte {error.start}", "save it as UTF-8") from None
    except OSError as error:
        raise _wrong(path.name, f"can't be read: {error.strerror}", "make it a readable file, or remove it") from None
    import yaml  # here, as each pytest run would pay for it

    fix = f"begin with `{_TOP}:`, and a list below it"
    root = _composed(path.name, text)
    if root is None:
        raise _wrong(path.name, "is empty", f"{fix}, or remove the file")
    top = _mapping(root, path.name, "the file", (_TOP,))
    listed = top.get(_TOP)
    if not isinstance(listed, yaml.SequenceNode):
        raise _wrong(path.name, f"`{_TOP}` must be a list" if listed else f"has no `{_TOP}`", fix)
    for number, node in enumerate(listed.value):
        where = f"{path.name}:{node.start_mark.line + 1}: waiver {number + 1}"
        yield where, {key: _scalar(value) for key, value in _mapping(node, where, "a waiver", WAIVER_KEYS).items()}


def _composed(name: str, text: str) -> Any:
    """The file's nodes, each with its place; None where it has none."""
    try:
        return compose_yaml(text)
    except NotYaml as error:
        line = f":{error.line}" if error.line else ""
        raise _wrong(f"{name}{line}", f"is not valid YAML: {error.why}", "correct the file") from None


def _mapping(node: Any, where: str, what: str, allowed: tuple[str, ...]) -> dict[str, Any]:
    import yaml

    if not isinstance(node, yaml.MappingNode):
        raise _wrong(where, f"{what} must be a mapping of {', '.join(allowed)}", f"write `{allowed[0]}: ...`")
    found: dict[str, Any] = {}
    for key, value in node.value:
        name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
        _known(name, where, allowed)
        if name in found:
            raise _wrong(where, f"has `{name}` twice", "keep one of them")
        found[name] = value
    return found


def _scalar(node: Any) -> Any:
    """The text as it stands there; what is no text as something else, which is told of then."""
    import yaml

    if not isinstance(node, yaml.ScalarNode):
        return [] if isinstance(node, yaml.SequenceNode) else {}
    kind = node.tag.rpartition(":")[2]
    return str(node.value) if kind in ("str", "timestamp", "int", "float") else None if kind == "null" else False


def _waiver(where: str, values: Mapping[str, Any]) -> Waiver:
    for key in values:
        _known(key, where, WAIVER_KEYS)
    for key in WAIVER_NEEDS:
        if key not in values:
            raise _wrong(where, f"has no `{key}`", f"a waiver needs {', '.join(WAIVER_NEEDS)}")
    texts = {key: _text(where, key, values[key]) for key in WAIVER_KEYS if key in values and key != "expires"}
    return Waiver(**{"ticket": "", **texts}, expires=_day(where, values["expires"]), place=where)


def _known(key: str, where: str, allowed: tuple[str, ...]) -> None:
    if key not in allowed:
        from difflib import get_close_matches  # only on the way to an error

        close = get_close_matches(key, allowed, n=1)
        raise _wrong(where, f"`{key}`: no such key", f"did you mean `{close[0]}`?" if close else _one_of(allowed))


def _text(where: str, key: str, value: Any) -> str:
    if key == "ticket" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise _wrong(where, f"`{key}` must be text, is {_kind(value)}", f'write {key} as "..."')
    if not value.strip():
        raise _wrong(where, f"`{key}` is empty", "say it, for whoever reads it next, or take the waiver out")
    return " ".join(value.split())


def _day(where: str, value: Any) -> dt.date:
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    said = value.strip() if isinstance(value, str) else ""
    if not re.fullmatch(DATE, said):
        raise _wrong(where, f"`expires` is not a date: {str(value)[:40]!r}", _EXAMPLE)
    try:
        return dt.date.fromisoformat(said)
    except ValueError as error:
        raise _wrong(where, f"`expires` is not a date: {said!r}: {error}", _EXAMPLE) from None


def _one_of(names: Iterable[str]) -> str:
    return f"known: {', '.join(names)}"


def _kind(value: Any) -> str:
    names = {dict: "a table", list: "a list", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), f"a {type(value).__name__}")


def _wrong(where: str, why: str, fix: str) -> SettingsError:
    return SettingsError(f"{where}: {why}", fix=fix)
