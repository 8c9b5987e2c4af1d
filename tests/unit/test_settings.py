"""Settings: which place wins, what each kind of value may be, and how a wrong one is told."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.settings import OPTIONS, Option, Settings, check_places, pyproject_table, resolve_settings

BY_NAME = {option.name: option for option in OPTIONS}
PLACES = ("cli", "env", "ini", "table")
"""Strongest first."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, which is not the one that the ini file is in."""
    working = tmp_path / "here"
    working.mkdir()
    monkeypatch.chdir(working)
    return working


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The directory of the ini file."""
    made = tmp_path / "base"
    made.mkdir()
    return made


def resolved(base: Path = Path("/base"), /, **places: Mapping[str, Any]) -> Settings:
    """What comes of raw values, by place and then by the option's name."""

    def source(place: str) -> Any:
        return lambda option: places.get(place, {}).get(option.name)

    environ = {BY_NAME[name].env: value for name, value in places.get("env", {}).items()}
    keys = {BY_NAME[name].key: raw for name, raw in places.get("table", {}).items()}
    return resolve_settings(source("cli"), environ, source("ini"), keys, base)


def refused(**places: Mapping[str, Any]) -> SettingsError:
    """The error that wrong values are."""
    with pytest.raises(SettingsError) as caught:
        resolved(**places)
    return caught.value


def test_nothing_given_is_the_defaults() -> None:
    """Empty values count as not given, in each place."""
    assert Settings() == resolved()
    empty: dict[str, Any] = {"cluster": "", "config": [], "allow": None}
    assert Settings() == resolved(cli=empty, ini=empty, table=empty, env={"cluster": "", "keep": ""})


@pytest.mark.parametrize("weaker", range(1, len(PLACES)))
@pytest.mark.parametrize(("name", "values"), [("cluster", "abcd"), ("keep", ("always", "on-failure", "never", "x"))])
def test_the_strongest_place_wins(name: str, values: tuple[str, ...], weaker: int) -> None:
    """Command line, environment, ini file, table: of two neighbours the first counts."""
    strong, weak = PLACES[weaker - 1], PLACES[weaker]
    found = resolved(**{weak: {name: values[1]}, strong: {name: values[0]}})
    assert values[0] == getattr(found, name)


@pytest.mark.parametrize("place", PLACES)
def test_each_place_is_asked(place: str) -> None:
    """A value that only one place has is that of the run."""
    assert "dev" == resolved(**{place: {"stack_name": "dev"}}).stack_name


@pytest.mark.parametrize("word", ["0", "false", "No", " off "])
def test_a_flag_can_be_taken_back_by_the_environment(word: str) -> None:
    """The environment turns off what a file turned on."""
    assert not resolved(env={"controls": word}, table={"controls": True}).controls


@pytest.mark.parametrize("word", ["1", "true", "YES", " on "])
def test_a_flag_can_be_turned_on_by_the_environment(word: str) -> None:
    """As by the command line."""
    assert resolved(env={"sabotage": word}).sabotage


def test_pairs_of_all_places_are_merged() -> None:
    """Each key comes from the strongest place that has it."""
    found = resolved(
        cli={"config": ["a=cli"]},
        env={"config": "a=env\nb=env\n\n"},
        ini={"config": ["a=ini", "b=ini", "c=ini"]},
        table={"config": {"a": "table", "b": "table", "c": "table", "d": "table"}},
    )
    assert {"a": "cli", "b": "env", "c": "ini", "d": "table"} == found.config


@pytest.mark.parametrize(
    ("beside", "places", "expected"),
    [
        (False, {}, True),
        (False, {"table": {"stack": "infra"}}, True),
        (True, {"table": {"stack": "infra"}}, False),
        (False, {"table": {"kind_config": "kind.yaml"}}, False),
        (False, {"table": {"cluster": "theirs"}}, False),
    ],
    ids=["nothing", "a stack", "kind.yaml beside the stack", "kind.yaml by name", "a cluster that is there"],
)
def test_what_the_packaged_cluster_can_not_be_is_declared_by_the_package(
    tmp_path: Path, beside: bool, places: dict[str, Any], expected: bool
) -> None:
    """Of any other cluster nothing is declared that its user has not."""
    (tmp_path / "infra").mkdir()
    if beside:
        (tmp_path / "infra" / "kind.yaml").touch()
    found = resolved(tmp_path, **places)
    assert found.packaged is expected
    assert list(found.allowed("sup-pull-auth")) == (["preloaded-images"] if expected else [])
    assert (found.excused("sup-pull-auth") is not None) is expected
    assert found.excused("sup-registry") is None
    own = resolved(tmp_path, **places, env={"not_applicable": "sup-pull-auth=ours"})
    assert own.excused("sup-pull-auth") == "ours"


def test_allowances_are_merged_subject_by_subject() -> None:
    """One more subject of a control takes none of its others away."""
    found = resolved(
        cli={"allow": ["net-x:web/a:80=cli"]},
        table={"allow": {"net-x": {"web/a:80": "table", "web/b:80": "table"}, "rbac-y": {"dev": "table"}}},
    )
    assert {"web/a:80": "cli", "web/b:80": "table"} == found.allowed("net-x")
    assert {"dev": "table"} == found.allowed("rbac-y")
    assert {} == found.allowed("other")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a=b", {"a": "b"}),
        (" a = b ", {"a": "b"}),
        ("platform:image=registry/x=y", {"platform:image": "registry/x=y"}),
    ],
)
def test_a_pair_is_split_at_its_first_equals_sign(line: str, expected: Mapping[str, str]) -> None:
    """Values may hold equals signs; blanks round either part do not count."""
    assert expected == resolved(env={"config": line}).config


@pytest.mark.parametrize(("place", "start"), [("cli", "here"), ("env", "here"), ("ini", "base"), ("table", "base")])
def test_relative_paths_start_from_where_they_are_written(place: str, start: str, base: Path, here: Path) -> None:
    """Files' paths from the file, typed ones from the working directory; absolute ones stay."""
    found = resolved(base, **{place: {"stack": "infra", "report": "/out"}})
    assert {"base": base, "here": here}[start] / "infra" == found.stack
    assert Path("/out") == found.report


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tilde is the user's home, in files as in the shell."""
    monkeypatch.setenv("HOME", "/home/me")
    assert Path("/home/me/infra") == resolved(table={"stack": "~/infra"}).stack


@pytest.mark.parametrize(
    ("value", "expected"), [("eu", "eu"), (3, "3"), (1.5, "1.5"), (True, "true"), (False, "false")]
)
def test_values_of_the_table_become_what_pulumi_reads(value: Any, expected: str) -> None:
    """TOML's true is Pulumi's true, not Python's True."""
    assert {"key": expected} == resolved(table={"config": {"key": value}}).config


@pytest.mark.parametrize("option", OPTIONS, ids=[option.name for option in OPTIONS])
def test_each_option_has_one_name_in_four_spellings(option: Option) -> None:
    """Whatever the place, the same words."""
    words = option.name.split("_")
    assert f"--k8ssec-{'-'.join(words)}" == option.flag
    assert f"k8ssec_{'_'.join(words)}" == option.ini
    assert f"K8SSEC_{'_'.join(words).upper()}" == option.env
    assert "-".join(words) == option.key
    assert option.repeatable == isinstance(getattr(Settings(), option.name), Mapping)


@pytest.mark.parametrize(
    ("key", "fix"),
    [("node-imgae", "did you mean 'node-image'?"), ("stack_name", "did you mean 'stack-name'?"), ("zzz", "known: all")],
)
def test_unknown_key_names_the_one_that_was_meant(key: str, fix: str) -> None:
    """A typo in the table is no setting that is silently ignored."""
    with pytest.raises(SettingsError) as caught:
        resolve_settings(lambda _: None, {}, lambda _: None, {key: "x"}, Path("/base"))
    found = caught.value
    assert f"[tool.k8ssec] {key}: no such setting" == found.message
    assert found.fix.startswith(fix)


@pytest.mark.parametrize(
    ("places", "where", "why"),
    [
        ({"cli": {"keep": "allways"}}, "--k8ssec-keep", "'allways' is not one of never, on-failure, always"),
        ({"env": {"strict": "maybe"}}, "K8SSEC_STRICT", "'maybe' is not one of auto, on, off"),
        ({"table": {"keep": True}}, "[tool.k8ssec] keep", "must be text, is bool"),
        ({"table": {"strict": False}}, "[tool.k8ssec] strict", "must be text, is bool"),
        ({"table": {"cluster": 0}}, "[tool.k8ssec] cluster", "must be text, is int"),
        ({"table": {"stack": ["infra"]}}, "[tool.k8ssec] stack", "must be text, is list"),
        ({"table": {"kubernetes_version": 1.36}}, "[tool.k8ssec] kubernetes-version", "must be text, is float"),
        *(
            ({"cli": {"kubernetes_version": each}}, "--k8ssec-kubernetes-version", "is not a Kubernetes version")
            for each in ("1", "latest", "v1.36.3-rc.1", "1.36.", " 1.36", "1.36\n")
        ),
        ({"env": {"controls": "maybe"}}, "K8SSEC_CONTROLS", "'maybe' is neither true nor false"),
        ({"table": {"controls": {}}}, "[tool.k8ssec] controls", "{} is neither true nor false"),
        ({"cli": {"config": ["region"]}}, "--k8ssec-config", "'region' is not of the form KEY=VALUE"),
        ({"cli": {"config": ["=eu"]}}, "--k8ssec-config", "'=eu' is not of the form KEY=VALUE"),
        ({"env": {"secret": "a=B\nkey="}}, "K8SSEC_SECRET", "'key=' is not of the form KEY=ENVVAR"),
        ({"ini": {"not_applicable": ["etcd-x"]}}, "k8ssec_not_applicable", "is not of the form CONTROL=REASON"),
        ({"table": {"config": 3}}, "[tool.k8ssec] config", "must be a list of texts"),
        ({"table": {"config": [3]}}, "[tool.k8ssec] config", "must be a list of texts"),
        ({"table": {"config": {"a": {"b": "c"}}}}, "[tool.k8ssec] config.a", "must be text, is dict"),
        ({"table": {"config": {"a": ["b"]}}}, "[tool.k8ssec] config.a", "must be text, is list"),
        ({"table": {"not_applicable": {"x": ""}}}, "[tool.k8ssec] not-applicable.x", "is empty"),
        ({"table": {"not_applicable": {"x": "  "}}}, "[tool.k8ssec] not-applicable.x", "is empty"),
        ({"table": {"secret": {"x": ""}}}, "[tool.k8ssec] secret.x", "is empty"),
        ({"cli": {"allow": ["net-x=why"]}}, "--k8ssec-allow", "'net-x' is not of the form CONTROL:SUBJECT"),
        ({"cli": {"allow": [":web=why"]}}, "--k8ssec-allow", "':web' is not of the form CONTROL:SUBJECT"),
        ({"cli": {"allow": ["net-x:=why"]}}, "--k8ssec-allow", "'net-x:' is not of the form CONTROL:SUBJECT"),
        ({"cli": {"allow": ["net-x:web"]}}, "--k8ssec-allow", "is not of the form CONTROL:SUBJECT=REASON"),
        ({"table": {"allow": {"net-x": "why"}}}, "[tool.k8ssec] allow.net-x", "must be a table of SUBJECT = REASON"),
        ({"table": {"allow": {"net-x": {"web": ""}}}}, "[tool.k8ssec] allow.net-x.web", "is empty"),
        ({"table": {"allow": {"net-x": {"web": []}}}}, "[tool.k8ssec] allow.net-x.web", "must be text, is list"),
    ],
)  # fmt: skip
def test_a_wrong_value_names_its_place(places: Mapping[str, Mapping[str, Any]], where: str, why: str) -> None:
    """The reader learns where it stands and what is wrong with it."""
    found = refused(**places).message
    assert found.startswith(f"{where}: ")
    assert why in found


def test_a_wrong_value_is_told_although_a_stronger_place_is_right() -> None:
    """What is written wrongly somewhere is fixed there, not hidden."""
    assert "K8SSEC_KEEP: " in refused(cli={"keep": "never"}, env={"keep": "sometimes"}).message


@pytest.mark.parametrize(
    ("value", "fix"), [("allways", "did you mean 'always'?"), ("on_failure", "did you mean 'on-failure'?"), ("x", "")]
)
def test_a_misspelled_choice_names_the_nearest(value: str, fix: str) -> None:
    """A choice that looks like none gets no guess."""
    assert fix == refused(cli={"keep": value}).fix


def test_sabotage_of_a_cluster_that_is_there_is_refused() -> None:
    """Wherever the two come from, and before anything is touched."""
    found = refused(cli={"sabotage": True}, table={"cluster": "dev"})
    assert "--k8ssec-sabotage with --k8ssec-cluster dev: refused" == found.message
    assert "only on clusters that this run creates" in found.fix


def test_settings_can_not_be_changed() -> None:
    """What a run was given stays what it was given."""
    with pytest.raises(AttributeError, match=r"can.t set attribute"):
        setattr(Settings(), "keep", "always")  # noqa: B010 - the type checker knows it as well


# -- places in the file system ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("project", ["Pulumi.yaml", "Pulumi.yml", "Pulumi.json"])
def test_places_that_are_there(here: Path, project: str) -> None:
    """A project, its files, and a report directory that is still to be made."""
    (here / project).touch()
    check_places(Settings(stack=here, kind_config=here / project, config_file=here / project, report=here / "new"))
    check_places(Settings(report=here))
    check_places(Settings())


@pytest.mark.parametrize(
    ("setting", "name", "expected"),
    [
        ("stack", "gone", "stack directory {}: does not exist"),
        ("stack", "file", "stack directory {}: is not a directory"),
        ("stack", "empty", "stack directory {}: has no Pulumi.yaml"),
        ("kind_config", "gone", "kind config {}: does not exist"),
        ("kind_config", "empty", "kind config {}: is not a file"),
        ("config_file", "gone", "config file {}: does not exist"),
        ("config_file", "empty", "config file {}: is not a file"),
        ("report", "file", "report directory {}: is not a directory"),
    ],
)
def test_places_that_are_missing(here: Path, setting: str, name: str, expected: str) -> None:
    """Each is told with the path that was looked at, and a fix."""
    (here / "file").touch()
    (here / "empty").mkdir()
    (here / "empty" / "Pulumi.yaml").mkdir()
    given: dict[str, Any] = {setting: here / name}
    with pytest.raises(SettingsError) as caught:
        check_places(Settings(**given))
    assert expected.format(here / name) == caught.value.message
    assert caught.value.fix


# -- pyproject.toml ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, {}),
        ("", {}),
        ("[tool.other]\nk8ssec = 1\n", {}),
        ("[broken", {}),
        ('[tool.k8ssec]\nstack = "infra"\n[tool.k8ssec.config]\na = 1\n', {"stack": "infra", "config": {"a": 1}}),
    ],
    ids=["no-file", "empty", "others", "broken-without-us", "ours"],
)
def test_the_table_of_a_file(tmp_path: Path, text: str | None, expected: Mapping[str, Any]) -> None:
    """A file that does not mention us is none of our business, whatever is in it."""
    path = tmp_path / "pyproject.toml"
    if text is not None:
        path.write_text(text)
    assert expected == pyproject_table(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"[tool.k8ssec\n", "is not valid TOML"),
        (b"[tool.k8ssec]\nstack = '\xff\n", "is not valid TOML"),
        (b"tool.k8ssec = 3\n", "tool.k8ssec must be a table"),
        (b"tool = 3 # k8ssec\n", "tool.k8ssec must be a table"),
    ],
)
def test_a_table_that_is_none(tmp_path: Path, text: bytes, expected: str) -> None:
    """The error names the file."""
    path = tmp_path / "pyproject.toml"
    path.write_bytes(text)
    with pytest.raises(SettingsError) as caught:
        pyproject_table(path)
    assert f"{path}: {expected}" == caught.value.message


# -- the documentation ------------------------------------------------------------------------------------------------

_REPOSITORY = Path(__file__).parents[2]
_PAGES = sorted([_REPOSITORY / "README.md", *_REPOSITORY.glob("docs/**/*.md")])
_TOML = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = {
    f"{page.relative_to(_REPOSITORY).as_posix()}-{number}": text
    for page in _PAGES
    for number, text in enumerate(_TOML.findall(page.read_text(encoding="utf-8")))
    if "[tool.k8ssec" in text
}


def test_pages_have_examples() -> None:
    """None of the tests below is about nothing."""
    assert {"docs/reference/settings.md-0", "docs/reference/stacks.md-0", "docs/how-to/exceptions.md-0"} <= set(
        EXAMPLES
    )


@pytest.mark.parametrize("text", EXAMPLES.values(), ids=EXAMPLES)
def test_an_example_can_be_copied(text: str, tmp_path: Path) -> None:
    """It is read without an error, and each exception is of a control that asks for exceptions, with a reason."""
    (tmp_path / "pyproject.toml").write_text(text)
    found = resolve_settings(lambda _: None, {}, lambda _: None, pyproject_table(tmp_path / "pyproject.toml"), tmp_path)
    known = {each.id: inspect.signature(each.function).parameters for each in packaged_controls()}
    for control, subjects in found.allow.items():
        assert "allowed" in known[control]
        assert all(subject and reason for subject, reason in subjects.items())
    assert set(found.not_applicable) <= set(known)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("reach_limit", "12", 12),
        ("reach_limit", "all", float("inf")),
        ("reach_seed", " 7 ", 7),
        ("reach_limit", "0", 0),
    ],
)
@pytest.mark.parametrize("place", PLACES)
def test_a_number_is_one_wherever_it_stands(place: str, name: str, given: str, expected: float) -> None:
    """As text in each place; and all of them is without end, where that is a number to have."""
    assert expected == getattr(resolved(**{place: {name: given}}), name)


def test_a_table_may_have_a_number_as_one() -> None:
    """TOML has them."""
    assert (0, 3) == resolved(table={"reach_limit": 0, "reach_seed": 3})[-2:]


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [("reach_limit", "many", "'many' is not a whole number from 0 on, or all"), ("reach_seed", "all", "'all' is not a"),
     ("reach_limit", "-1", "'-1' is not a"), ("reach_seed", "1.5", "'1.5' is not a")],
)  # fmt: skip
def test_what_is_no_number_is_refused(name: str, given: str, expected: str) -> None:
    """With the place."""
    assert expected in refused(env={name: given}).message
    assert f"K8SSEC_{name.upper()}" in refused(env={name: given}).message


def test_a_truth_value_is_no_number() -> None:
    """Although Python thinks so."""
    assert "is not a whole number" in refused(table={"reach_limit": True}).message
