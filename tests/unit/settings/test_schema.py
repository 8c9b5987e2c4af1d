"""The schema for editors says of a table what the reader says."""

from __future__ import annotations

import datetime as dt
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from pytest_k8ssec.cli import main
from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.settings import OPTIONS, WAIVER_KEY, Option, pyproject_table, resolve_settings
from pytest_k8ssec.settings.schema import table_schema
from pytest_k8ssec.settings.waivers import WAIVER_KEYS, read_waivers

REPOSITORY = Path(__file__).parents[3]
SCHEMA = Draft202012Validator(table_schema(), format_checker=FormatChecker(["date"]))
BESIDE: dict[str, dict[str, Any]] = {"packed": {"sabotage": True}, "resume": {"report": "build"}}
"""What a setting wants to have beside it."""

TEXTS = st.one_of(
    st.text("ab=: \n", max_size=8),
    st.sampled_from(
        ["true", " No ", "ON", "all", "12", "-1", "1.36", "v1.36.3", "1.36\n", "always", "strict", "a:b=c", "a:=c"]
    ),
)
SCALARS = st.one_of(TEXTS, st.booleans(), st.integers(-2, 60))
TABLES = st.dictionaries(st.sampled_from(["a", "etcd-client-auth"]), SCALARS, max_size=2)
VALUES = st.one_of(
    SCALARS, st.lists(st.one_of(TEXTS, TEXTS, st.integers(0, 1)), min_size=1, max_size=3), TABLES,
    st.dictionaries(st.just("etcd-client-auth"), TABLES, max_size=1),
)  # fmt: skip


def refusal(table: dict[str, Any]) -> str:
    """Why the reader takes a table no further; "" where it takes it."""
    try:
        resolve_settings(cli=lambda _: None, environ={}, ini=lambda _: None, table=table, base=Path.cwd())
        read_waivers(table, Path("pyproject.toml"))
    except SettingsError as error:
        return str(error)
    return ""


def as_editors_see(table: dict[str, Any]) -> Any:
    """A table as JSON: a date is text there."""
    return json.loads(json.dumps(table, default=lambda day: day.isoformat()))


def test_it_is_a_schema() -> None:
    """By the rules of its draft."""
    Draft202012Validator.check_schema(table_schema())


def test_it_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON, and nothing else."""
    assert main(["config", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == table_schema()


def test_each_setting_is_in_it() -> None:
    """With its help, and no other."""
    properties = table_schema()["properties"]
    assert set(properties) == {*(option.key for option in OPTIONS), WAIVER_KEY}
    assert all(properties[option.key]["description"] == option.help for option in OPTIONS)


def test_the_settings_of_this_repository_are_valid() -> None:
    """And its waivers, if it has some."""
    SCHEMA.validate(as_editors_see(dict(pyproject_table(REPOSITORY / "pyproject.toml"))))


def test_the_settings_that_the_documentation_shows_are_valid() -> None:
    """Each block of TOML."""
    seen = 0
    for page in (REPOSITORY / "docs").rglob("*.md"):
        for block in page.read_text().split("```toml\n")[1:]:
            table = tomllib.loads(block.partition("```")[0]).get("tool", {}).get("k8ssec")
            if table:
                seen += 1
                assert [error.message for error in SCHEMA.iter_errors(as_editors_see(table))] == [], page
    assert seen > 3


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.key)
def test_a_misspelt_setting_is_refused_by_both(option: Option) -> None:
    """A letter lost."""
    table = {option.key[1:]: "x"}
    assert "no such setting" in refusal(table)
    assert not SCHEMA.is_valid(table)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.key)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES)
@example(value="true")
@example(value=["a=b", " "])
@example(value={"a": " "})
@example(value={"a": {"b": 1}})
def test_both_say_the_same_of_a_value(option: Option, value: Any) -> None:
    """Whatever it is; one that is empty counts as not given, and nobody has to write it."""
    assume(value not in ("", []))
    table = {option.key: value, **BESIDE.get(option.key, {})}
    assert SCHEMA.is_valid(table) == (refusal(table) == ""), refusal(table)


@settings(max_examples=300)
@given(
    changed=st.dictionaries(
        st.sampled_from([*WAIVER_KEYS, "reasons"]),
        st.sampled_from(["x", " ", "2027-01-31", "2027-02-28", "2027-02-30", "27-01-31", 3, True, ["x"]]),
        max_size=2,
    ),
    lost=st.sets(st.sampled_from(WAIVER_KEYS), max_size=1),
)
@example(changed={}, lost=set())
def test_both_say_the_same_of_a_waiver(changed: dict[str, Any], lost: set[str]) -> None:
    """A good one, changed a little: its keys, which of them it needs, and what each may be."""
    waiver = {**dict.fromkeys(WAIVER_KEYS, "x"), "expires": dt.date(2027, 1, 31), **changed}
    table = {WAIVER_KEY: [{key: value for key, value in waiver.items() if key not in lost}]}
    assert SCHEMA.is_valid(as_editors_see(table)) == (refusal(table) == ""), refusal(table)


def test_a_home_that_nobody_has_is_an_error() -> None:
    """And no traceback."""
    assert "nobody of that name has a home here" in refusal({"stack": "~nobody-of-that-name/infra"})
