"""``k8ssec completion``: shells take the scripts, and complete by them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_k8ssec.cli import main
from pytest_k8ssec.cli.parser import SHELLS

_ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
$(complete -p k8ssec | sed -E 's/.*-F ([^ ]+).*/\\1/') k8ssec "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
"""What bash does where somebody presses the tab key."""


@pytest.fixture
def script(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The script for the shell of the parameter, as a file."""
    assert main(["completion", request.param]) == 0
    path = tmp_path / "completion"
    path.write_text(capsys.readouterr().out)
    return path


@pytest.mark.parametrize(("script", "shell"), [(shell, shell) for shell in SHELLS], indirect=["script"])
def test_a_shell_takes_the_script(script: Path, shell: str) -> None:
    """Its syntax, where the shell is here."""
    assert "blast" in script.read_text()
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    subprocess.run([shell, "-n", str(script)], check=True, timeout=60)


@pytest.mark.parametrize("script", ["bash"], indirect=True)
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("con",), {"controls", "config"}),
        (("config", ""), {"check", "schema"}),
        (("controls", "etcd-client"), {"etcd-client-auth"}),
        (("init", "--sta"), {"--stack"}),
        (("init", "--ci", "git"), {"github", "gitlab"}),
        (("up", "--stack", "in"), {"infra"}),
        (("up", "--k8ssec-sta"), set()),
    ],
)
def test_bash_completes(
    script: Path, tmp_path: Path, words: tuple[str, ...], expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands, choices, ids, options and folders; not the second spelling of an option."""
    (tmp_path / "infra").mkdir()
    (tmp_path / "in.txt").touch()
    monkeypatch.chdir(tmp_path)
    asked = subprocess.run(
        ["bash", "--norc", "-c", _ASK, "bash", str(script), "k8ssec", *words],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert {each.rstrip("/ ") for each in asked.stdout.splitlines() if each} >= expected, asked
    assert expected or not asked.stdout.strip()


def test_help_does_not_wait_for_it() -> None:
    """The library is imported by this command alone."""
    asked = "import sys; from pytest_k8ssec.cli.parser import parser; parser(); print('shtab' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == "False"
