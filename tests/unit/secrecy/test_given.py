"""What a run is given as secret is known from the start: by settings, by variables, by Pulumi.yaml."""

from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_k8ssec.cli import main
from pytest_k8ssec.secrecy import given
from pytest_k8ssec.secrecy.redact import MARK, redact
from pytest_k8ssec.settings import resolve_settings
from pytest_k8ssec.stack.model import Secret


@pytest.mark.parametrize(
    "name", ["PULUMI_ACCESS_TOKEN", "PULUMI_CONFIG_PASSPHRASE", "AWS_SECRET_ACCESS_KEY", "GH_TOKEN"]
)
def test_credentials_of_the_environment_are_known(name: str) -> None:
    """Pulumi's own, and those of the usual providers and CI systems."""
    value = secrets.token_urlsafe(16)
    given.environment({name: value})
    assert MARK == redact(value)


@pytest.mark.parametrize("name", ["PULUMI_HOME", "PULUMI_KEY_PATH", "HOME", "MY_TOKENS"])
def test_other_variables_are_not(name: str) -> None:
    """A path, or whatever a program uses."""
    value = secrets.token_urlsafe(16)
    given.environment({name: value})
    assert value == redact(value)


@pytest.mark.parametrize("place", ["cli", "environ", "ini", "table"])
def test_each_place_counts_though_a_stronger_one_overrides_it(place: str, tmp_path: Path) -> None:
    """The value is secret all the same."""
    value = secrets.token_urlsafe(16)
    pairs = {name: [f"key={name.upper()}_SECRET"] for name in ("cli", "ini")}
    environ = {f"{place.upper()}_SECRET": value, "K8SSEC_SECRET": "key=ENVIRON_SECRET"}
    resolve_settings(
        cli=lambda option: pairs["cli"] if option.name == "secret" else None,
        environ=environ,
        ini=lambda option: pairs["ini"] if option.name == "secret" else None,
        table={"secret": {"key": "TABLE_SECRET"}},
        base=tmp_path,
    )
    assert MARK == redact(value)


@pytest.mark.parametrize("text", ["hunter2-hunter2", "key=hunter2-hunter2", "key=Hunter2hunter"])
def test_what_is_no_variables_name_is_taken_for_a_secret(text: str) -> None:
    """It was given there by mistake."""
    given.register_variables([text], {})
    assert MARK in redact(f"say {text.partition('=')[2] or text}")


@pytest.mark.parametrize(
    ("text", "is_shown"), [("password=", True), ("lab:dbPassword=", True), ("c2VjcmV0cw1=", False)]
)
def test_a_key_without_a_variable_may_be_shown(text: str, is_shown: bool) -> None:
    """An error must say which; base64 has the same end, and is no key."""
    given.register_variables([text], {})
    assert (text == redact(text)) is is_shown


@pytest.mark.parametrize("name", ["DB_PASSWORD", "TOKEN", "KEY_2", "API_KEY1"])
def test_a_variables_name_may_be_shown(name: str) -> None:
    """An error must say what to set."""
    given.register_variables([f"key={name}"], {})
    assert name == redact(name)


def test_secret_outputs_are_known_at_any_depth() -> None:
    """A password that the program generated is as secret as one that was given."""
    value = secrets.token_urlsafe(16)
    Secret({"a": [{"b": value}, 5432, None, True]})
    assert f"{MARK} 5432 True" == redact(f"{value} 5432 True")


def test_the_command_shows_no_secret(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither in its own errors nor in argparse's."""
    value = f"v{secrets.token_urlsafe(16)}"  # what begins with a dash would be an option
    monkeypatch.setenv("PULUMI_ACCESS_TOKEN", value)
    with pytest.raises(SystemExit):
        main(["up", value])
    assert 2 == main(["up", "--kind-config", value])
    told = "".join(capsys.readouterr())
    assert MARK in told
    assert value[:8] not in told


def test_the_command_hides_a_value_given_by_mistake(tmp_path: Path) -> None:
    """As a process: what python itself says at its end counts too."""
    value = f"v{secrets.token_urlsafe(16)}"  # what begins with a dash would be an option
    done = subprocess.run(
        [sys.executable, "-m", "pytest_k8ssec.cli", "up", "--secret", value], cwd=tmp_path, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert value[:8] not in done.stdout + done.stderr
