"""What is checked about a stack before anything is started, and what each wrong setting is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_k8ssec.errors import K8ssecError, SettingsError, StackError
from pytest_k8ssec.stack.source import StackSource, prepare

_PROJECT = "name: shop\nruntime: python\n"


def _stack(directory: Path, project: str = _PROJECT, program: str = "") -> Path:
    (directory / "Pulumi.yaml").write_text(project)
    (directory / "__main__.py").write_text(program)
    return directory


def test_a_complete_source_is_read_with_qualified_keys(tmp_path: Path) -> None:
    """Plain and secret values arrive under the project's namespace unless they name another one."""
    source = StackSource(
        _stack(tmp_path), "dev", config={"image": "{probe_image}", "aws:region": "x"}, secrets={"key": "TOKEN"}
    )
    prepared = prepare(source, {"TOKEN": "hush"})
    assert prepared.config == {"shop:image": "{probe_image}", "aws:region": "x"}
    assert prepared.secrets == {"shop:key": "hush"}
    assert prepared.project.program == tmp_path / "__main__.py"


def test_secret_values_do_not_show_in_a_repr(tmp_path: Path) -> None:
    """What is printed of a prepared source holds no secret value."""
    prepared = prepare(StackSource(_stack(tmp_path), "dev", secrets={"key": "TOKEN"}), {"TOKEN": "hush"})
    assert "hush" not in repr(prepared)


@pytest.mark.parametrize(
    ("project", "cause"),
    [
        ("name: [x\n", "is not valid YAML"),
        ("- a\n", "is not a mapping"),
        ("runtime: python\n", "names no name"),
        ("name: shop\n", "names no runtime"),
        ("name: shop\nruntime: python\nmain: nothing/\n", "does not exist"),
    ],
)
def test_an_invalid_project_file_is_named_with_its_cause(tmp_path: Path, project: str, cause: str) -> None:
    """Pulumi.yaml that Pulumi would not accept is a StackError that names the file."""
    with pytest.raises(StackError, match=cause) as caught:
        prepare(StackSource(_stack(tmp_path, project), "dev"))
    assert str(tmp_path) in caught.value.message
    assert caught.value.fix


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    """A stack directory that is not there is a SettingsError."""
    with pytest.raises(SettingsError, match=r"stack directory .*nowhere: does not exist"):
        prepare(StackSource(tmp_path / "nowhere", "dev"))


def test_a_directory_without_project_file_is_named(tmp_path: Path) -> None:
    """A directory without Pulumi.yaml is a SettingsError that says how to name another one."""
    with pytest.raises(SettingsError, match=r"has no Pulumi\.yaml") as caught:
        prepare(StackSource(tmp_path, "dev"))
    assert "--k8ssec-stack" in caught.value.fix


def test_a_missing_python_program_is_named(tmp_path: Path) -> None:
    """A Python project without __main__.py is a StackError that names the file."""
    (tmp_path / "Pulumi.yaml").write_text(_PROJECT)
    with pytest.raises(StackError, match=r"__main__\.py is not there"):
        prepare(StackSource(tmp_path, "dev"))


def test_an_unset_environment_variable_is_named(tmp_path: Path) -> None:
    """A secret whose variable is not set, or empty, names variable and config key."""
    source = StackSource(_stack(tmp_path), "dev", secrets={"key": "TOKEN"})
    for environ in ({}, {"TOKEN": ""}):
        with pytest.raises(SettingsError, match=r"environment variable TOKEN: is not set, .* shop:key"):
            prepare(source, environ)


def test_a_required_value_that_nobody_gave_is_named(tmp_path: Path) -> None:
    """A typed key without default is required, and the error shows both ways to give it."""
    project = f"{_PROJECT}config:\n  image: {{type: string}}\n  tag: {{type: string, default: a}}\n"
    with pytest.raises(SettingsError, match="shop:image is required") as caught:
        prepare(StackSource(_stack(tmp_path, project), "dev"))
    assert "--k8ssec-config shop:image=VALUE" in caught.value.fix
    assert "--k8ssec-secret shop:image=ENVVAR" in caught.value.fix


def test_a_plain_value_for_a_secret_key_is_refused(tmp_path: Path) -> None:
    """A key that the project declares secret must come from an environment variable."""
    project = f"{_PROJECT}config:\n  key: {{type: string, secret: true}}\n"
    with pytest.raises(SettingsError, match="declared secret") as caught:
        prepare(StackSource(_stack(tmp_path, project), "dev", config={"key": "hush"}))
    assert "hush" not in str(caught.value)


def test_a_value_given_twice_is_refused(tmp_path: Path) -> None:
    """The same key as plain value and as secret is a SettingsError."""
    source = StackSource(_stack(tmp_path), "dev", config={"shop:key": "a"}, secrets={"key": "TOKEN"})
    with pytest.raises(SettingsError, match="shop:key: is given both"):
        prepare(source, {"TOKEN": "hush"})


def test_the_stack_s_own_config_file_is_read_as_pulumi_would(tmp_path: Path) -> None:
    """Pulumi.<stack>.yaml beside Pulumi.yaml counts; what the settings give is stronger."""
    (_stack(tmp_path) / "Pulumi.dev.yaml").write_text("config:\n  shop:image: a\n  shop:size: 3\n")
    prepared = prepare(StackSource(tmp_path, "dev", config={"image": "b"}))
    assert prepared.config == {"shop:image": "b", "shop:size": 3}


def test_an_encrypted_value_must_be_given_anew(tmp_path: Path) -> None:
    """A value encrypted with the real stack's key is an error, until a test's own value replaces it."""
    file = _stack(tmp_path) / "other.yaml"
    file.write_text("config:\n  shop:key:\n    secure: v1:abc\n")
    with pytest.raises(SettingsError, match="shop:key: is encrypted"):
        prepare(StackSource(tmp_path, "dev", file))
    prepared = prepare(StackSource(tmp_path, "dev", file, secrets={"key": "TOKEN"}), {"TOKEN": "hush"})
    assert prepared.config == {}


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        (StackSource(Path(), "a b"), "stack name"),
        (StackSource(Path(), "dev", Path("nowhere.yaml")), "config file nowhere.yaml: does not exist"),
        (StackSource(Path(), "dev", config={"a b": "c"}), 'config key "a b"'),
    ],
)
def test_a_wrong_setting_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: StackSource, cause: str
) -> None:
    """Stack name, config file and config key are checked."""
    monkeypatch.chdir(_stack(tmp_path))
    with pytest.raises(K8ssecError, match=cause):
        prepare(source)
