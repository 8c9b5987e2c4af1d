"""Waivers as they are written: read whole, or refused with file, entry and mend; whatever stands there, no traceback."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some

from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.settings import pyproject_table
from pytest_k8ssec.settings.waivers import WAIVERS_FILE, Waiver, read_waivers

GOOD = {
    "control": "net-ingress-deny",
    "subject": "web/*",
    "reason": "public site",
    "owner": "team web",
    "expires": "2027-01-31",
}
TABLE = (
    '[tool.k8ssec]\n\n[[tool.k8ssec.waiver]]\ncontrol = "adm-psa"\nsubject = "web:hostPath"\nreason = "an agent\'s"\n'
    'owner = "ops"\nexpires = 2027-01-31\nticket = "OPS-7"\n'
)


def read(folder: Path, text: str = "", waivers: str | bytes | None = None) -> tuple[Waiver, ...]:
    """What a project with these files has."""
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    if waivers is not None:
        (folder / WAIVERS_FILE).write_bytes(waivers if isinstance(waivers, bytes) else waivers.encode())
    return read_waivers(pyproject_table(folder / "pyproject.toml"), folder / "pyproject.toml")


def listed(*entries: Any) -> str:
    """The YAML file with these entries."""
    return yaml.safe_dump({"waivers": list(entries)})


def test_both_files_are_read_with_their_lines(tmp_path: Path) -> None:
    """The line is where the entry begins."""
    first, second = read(tmp_path, TABLE, "# ours\n" + listed({**GOOD, "ticket": 12}))
    day = dt.date(2027, 1, 31)
    assert first == Waiver("adm-psa", "web:hostPath", "an agent's", "ops", day, "OPS-7", "pyproject.toml:3: waiver 1")
    assert second[:6] == ("net-ingress-deny", "web/*", "public site", "team web", day, "12")
    assert second.place == f"{WAIVERS_FILE}:3: waiver 1"


def test_without_files_there_are_none(tmp_path: Path) -> None:
    """That is no error."""
    assert read(tmp_path) == ()
    assert read_waivers({}, tmp_path / "elsewhere" / "pyproject.toml") == ()


def test_it_holds_on_its_last_day() -> None:
    """And on no later one."""
    waiver = Waiver("c", "s", "r", "o", dt.date(2027, 1, 31), "", "")
    assert [waiver.days_left(dt.date(2027, 1, day)) for day in (30, 31)] == [1, 0]
    assert waiver.days_left(dt.date(2027, 2, 1)) == -1


def test_two_lines_of_reason_are_one(tmp_path: Path) -> None:
    """What is printed stays one line."""
    (found,) = read(tmp_path, "", listed({**GOOD, "reason": "public\nsite "}))
    assert found.reason == "public site"


WRONG: list[tuple[str | bytes, str, str]] = [
    ("", "is empty", "begin with"),
    ("# none\n", "is empty", "begin with"),
    ("- a\n", "must be a mapping", "write `waivers:"),
    ("waivers: 7\n", "must be a list", "begin with"),
    ("waiver: []\n", "no such key", "did you mean `waivers`?"),
    ("waivers:\n- 7\n", f"{WAIVERS_FILE}:2: waiver 1: a waiver must be a mapping", "write `control"),
    ("waivers: [\n", ":2: is not valid YAML", "correct"),
    ("waivers: []\n---\nwaivers: []\n", "is not valid YAML", "correct"),
    ("waivers:\n\t- a: b\n", "is not valid YAML", "correct"),
    (b"waivers: \xff\n", "is not UTF-8", "UTF-8"),
    (b"waivers: \x00\n", "is not valid YAML", "correct"),
    ("[" * 5000, "is not valid YAML", "correct"),
    ("waivers: &a [*a]\n", "must be a mapping", "write"),
    ("waivers: []\nwaivers: []\n", "twice", "keep one"),
    (listed({**GOOD, "owner": ["a"]}), "`owner` must be text, is a list", "write owner"),
    (listed({**GOOD, "owner": True}), "`owner` must be text", "write owner"),
    (listed({**GOOD, "owner": None}), "`owner` must be text, is nothing", "write owner"),
    (listed({**GOOD, "reason": "  "}), "`reason` is empty", "say it"),
    (listed({**GOOD, "expires": "soon"}), "`expires` is not a date: 'soon'", "2027-01-31"),
    (listed({**GOOD, "expires": "2027-02-30"}), "`expires` is not a date: '2027-02-30'", "2027-01-31"),
    ("waivers:\n- {expires: 2027-13-45, " + ", ".join(f"{k}: x" for k in [*GOOD][:4]) + "}\n", "not a date", "2027"),
    (listed({**GOOD, "expires": "2027-01-31T10:00:00Z"}), "is not a date", "2027-01-31"),
    (listed({**GOOD, "expires": 20270131}), "is not a date", "2027-01-31"),
    (listed({**GOOD, "expire": "2027-01-31"}), "`expire`: no such key", "did you mean `expires`?"),
    (listed({key: GOOD[key] for key in GOOD if key != "owner"}), "has no `owner`", "a waiver needs"),
    (listed(GOOD, GOOD), "waiver 2: waives 'web/*' of net-ingress-deny a second time", "waiver 1"),
]


@pytest.mark.parametrize(("text", "says", "mend"), WRONG)
def test_what_is_wrong_in_the_file_is_told(tmp_path: Path, text: str | bytes, says: str, mend: str) -> None:
    """With the file's name, and what mends it."""
    with pytest.raises(SettingsError) as told:
        read(tmp_path, "", text)
    assert says in told.value.message
    assert mend in told.value.fix
    assert told.value.message.startswith(WAIVERS_FILE)


def test_a_folder_of_that_name_is_told(tmp_path: Path) -> None:
    """It can't be read."""
    (tmp_path / WAIVERS_FILE).mkdir()
    with pytest.raises(SettingsError, match="can't be read"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[tool.k8ssec]\nwaiver = 7\n", "must be a list of tables"),
        ("[tool.k8ssec.waiver]\ncontrol = 'a'\n", "must be a list of tables, is a table"),
        ("[tool.k8ssec]\nwaiver = [7]\n", "waiver 1: must be a table"),
        ("[[tool.k8ssec.waiver]]\n", "pyproject.toml:1: waiver 1: has no `control`"),
        (TABLE.replace("2027-01-31", "2027-01-31T10:00:00Z"), "`expires` is not a date"),
        (TABLE.replace("2027-01-31", "2027-02-31"), "is not valid TOML"),
        (TABLE.replace('"ops"', "7"), "`owner` must be text, is a int"),
        ("[tool.k8ssec]\nx = " + "[" * 5000, "is not valid TOML"),
    ],
)
def test_what_is_wrong_in_the_table_is_told(tmp_path: Path, text: str, says: str) -> None:
    """With the file's name and the entry."""
    with pytest.raises(SettingsError) as told:
        read(tmp_path, text)
    assert says in told.value.message
    assert told.value.fix


ANYTHING = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text() | some.dates() | some.datetimes(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ENTRY = some.dictionaries(some.sampled_from([*GOOD, "ticket", "tickets", "Control", ""]), ANYTHING, max_size=7)
ALMOST = some.tuples(ENTRY).map(lambda each: {**GOOD, **each[0]})


@given(some.lists(ENTRY | ALMOST | ANYTHING, max_size=3))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_the_file_is_read_or_told(tmp_path: Path, entries: list[Any]) -> None:
    """No traceback: an error names the file and has a mend."""
    with_file(tmp_path, yaml.dump({"waivers": entries}, allow_unicode=True).encode("utf-8", "surrogatepass"))


@given(
    some.text(alphabet=some.characters(codec="utf-8")) | some.text("waivers:[]{}-&*!|>'\"\n\t #%@`,?<=", max_size=60)
)
@example("waivers: !!python/object:os.system [x]")
@example("waivers:\n- !!binary x")
@example("? [a]\n: b")
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_file_is_it_is_read_or_told(tmp_path: Path, text: str) -> None:
    """Also what is no YAML."""
    with_file(tmp_path, text.encode())


@given(some.binary(max_size=60))
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_bytes_the_file_has_it_is_read_or_told(tmp_path: Path, data: bytes) -> None:
    """Also what is no text."""
    with_file(tmp_path, data)


def with_file(folder: Path, data: bytes) -> None:
    """Read a project with this file; an error has to be one for users."""
    found = or_error(lambda: read(folder, "", data))
    if isinstance(found, SettingsError):
        assert found.message.startswith(WAIVERS_FILE)
        assert found.fix
    else:
        assert all(isinstance(each.expires, dt.date) and each.owner for each in found)


def or_error(make: Callable[[], tuple[Waiver, ...]]) -> tuple[Waiver, ...] | SettingsError:
    """What is read, or the error that a user sees."""
    try:
        return make()
    except SettingsError as error:
        return error


@given(ANYTHING | some.lists(ENTRY | ALMOST, max_size=3))
@settings(max_examples=150)
def test_whatever_stands_in_the_table_is_read_or_told(entries: Any) -> None:
    """As TOML would have given it."""
    found = or_error(lambda: read_waivers({"waiver": entries}, Path("none") / "pyproject.toml"))
    if isinstance(found, SettingsError):
        assert found.message.startswith("pyproject.toml")
        assert found.fix


def test_the_table_is_what_toml_gives() -> None:
    """So that the test above says something."""
    assert tomllib.loads(TABLE)["tool"]["k8ssec"]["waiver"][0]["expires"] == dt.date(2027, 1, 31)
