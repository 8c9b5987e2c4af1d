"""``k8ssec init``: what it writes passes every check, and what is there is never touched."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_k8ssec.cli import main
from pytest_k8ssec.cli.init import files
from pytest_k8ssec.cli.init.needs import _variable
from pytest_k8ssec.cli.init.program import asked_by_program
from pytest_k8ssec.secrecy.given import looks_like_name
from pytest_k8ssec.stack import read_project

REPOSITORY = Path(__file__).parents[3]
STACKS = REPOSITORY / "stacks"
PULUMI = "name: infra\nruntime: yaml\n"
_PIN = re.compile(r"uses: (\S+@[0-9a-f]{40} # v[\d.]+)$", re.MULTILINE)
Init = Callable[..., str]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PAYMENTS_API_KEY", raising=False)
    return tmp_path


@pytest.fixture
def init(project: Path, capsys: pytest.CaptureFixture[str]) -> Init:
    """``init(*arguments, code=0)``: both outputs of ``k8ssec init``, which ends with that exit code."""

    def run(*arguments: str, code: int = 0) -> str:
        ended = main(["init", *arguments])
        said = "".join(capsys.readouterr())
        assert ended == code, said
        assert "Traceback" not in said
        return said

    return run


def written(folder: Path) -> dict[str, str]:
    """Each file of a folder, by its name there."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def put(folder: Path, texts: Mapping[str, str]) -> None:
    """Write files, by their names in a folder."""
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize("name", ["hardened", "insecure", "corpus/services", "corpus/sidecar_mesh"])
def test_a_stack_is_ready_after_it(project: Path, init: Init, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Copied from this repository: what is written passes ``config check``, ruff in any width, and is collected."""
    copied(name, project)
    code = 1 if name.startswith("corpus") else 0  # only the team knows which image
    said = init(code=code)
    if code:
        assert ":image, asked for by Pulumi.yaml" in said
        settings = project / "pyproject.toml"
        settings.write_text(
            re.sub(r'^# (".*" = )"\.\.\."', r'\1"{probe_image}"', settings.read_text(), flags=re.MULTILINE)
        )
    assert main(["config", "check"]) == 0, capsys.readouterr()
    for width in (88, 120):
        lint(project / "tests", width)
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/test_k8ssec.py"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert collected.returncode == 0, collected.stdout
    assert "tests/test_k8ssec.py::test_default_accounts_list_no_secrets" in collected.stdout


def copied(name: str, project: Path) -> None:
    """A stack of this repository as ``infra``; its kind.yaml may name files beside it that stay here."""
    shutil.copytree(STACKS / name, project / "infra", ignore=shutil.ignore_patterns("kind.yaml", "__pycache__"))
    shutil.copytree(STACKS / "platform_kit", project / "platform_kit", ignore=shutil.ignore_patterns("__pycache__"))


def lint(folder: Path, width: int) -> None:
    """Let ruff look at a folder, as its defaults are but for a line's length; it finds nothing."""
    for command in (["check"], ["format", "--check"]):
        asked = [sys.executable, "-m", "ruff", *command, "--isolated", "--line-length", str(width), str(folder)]
        subprocess.run(asked, check=True, capture_output=True, timeout=60)


def test_at_most_four_commands_to_the_first_verdict(project: Path, init: Init) -> None:
    """After ``pip install`` and this one there are at most two; the variables they need stand in them."""
    copied("hardened", project)
    _, _, after = init().partition("next:\n")
    commands = [line.strip() for line in after.splitlines()]
    assert len(commands) <= 3
    first = next(at for at, line in enumerate(commands) if "the first verdict" in line)
    assert 2 + first + 1 <= 4
    assert commands[first].startswith("PAYMENTS_API_KEY=made-up-for-the-test pytest tests/test_k8ssec.py")


def test_what_it_writes_can_be_read_again(project: Path, init: Init) -> None:
    """The settings name the stack and the variable; the workflow is YAML, with the actions that this repository pins."""
    copied("hardened", project)
    init("--ci", "github")
    table = tomllib.loads((project / "pyproject.toml").read_text())["tool"]["k8ssec"]
    assert table["stack"] == "infra"
    assert table["secret"] == {"platform:paymentsApiKey": "PAYMENTS_API_KEY"}
    text = (project / ".github/workflows/k8ssec.yml").read_text()
    ours = {pin for path in (REPOSITORY / ".github/workflows").glob("*.yml") for pin in _PIN.findall(path.read_text())}
    assert set(_PIN.findall(text)) <= ours
    assert len(_PIN.findall(text)) == text.count("uses:") == 3
    steps = yaml.safe_load(text)["jobs"]["k8ssec"]["steps"]
    assert {"PAYMENTS_API_KEY": "made-up-for-the-test"} in [step.get("env") for step in steps]
    assert "<" not in text.replace("<3", "")


@pytest.mark.parametrize(
    ("direct", "requirements", "expected"),
    [
        (None, "", f"pip install 'pytest-k8ssec=={version('pytest-k8ssec')}'"),
        (None, "pytest-k8ssec\n", "pip install -r requirements.txt"),
        ({"url": "file:///wheel", "archive_info": {}}, "", "pip install -r requirements.txt"),
        ({"url": "file:///wheel", "archive_info": {}}, "pulumi\n", "pip install -r requirements.txt"),
        (
            {"url": "https://git.example.com/k8ssec", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "pulumi\n",
            "pip install -r requirements.txt 'pytest-k8ssec @ git+https://git.example.com/k8ssec@abc'",
        ),
        ({"url": "https://example.com/k.whl"}, "", "pip install 'pytest-k8ssec @ https://example.com/k.whl'"),
    ],
)
def test_ci_installs_what_is_installed_here(
    project: Path,
    init: Init,
    monkeypatch: pytest.MonkeyPatch,
    direct: dict[str, object] | None,
    requirements: str,
    expected: str,
) -> None:
    """As far as CI can reach it; where it can't, that is told."""

    class Installed:
        version = version("pytest-k8ssec")

        def read_text(self, _: str) -> str | None:
            return json.dumps(direct) if direct else None

    monkeypatch.setattr(files, "distribution", lambda _: Installed())
    put(project, {"infra/Pulumi.yaml": PULUMI, **({"requirements.txt": requirements} if requirements else {})})
    said = init("--ci", "github")
    steps = yaml.safe_load((project / ".github/workflows/k8ssec.yml").read_text())["jobs"]["k8ssec"]["steps"]
    assert expected in [step.get("run") for step in steps]
    assert ("CI can't get pytest-k8ssec" in said) == ("file:" in str(direct))


def test_a_job_of_gitlab(project: Path, init: Init) -> None:
    """Where only GitLab's file is there, a file of our own is written, and the line that includes it is told."""
    put(project, {"infra/Pulumi.yaml": PULUMI})
    (project / ".gitlab-ci.yml").write_text("stages: [test]\n")
    said = init()
    assert "- local: .gitlab/k8ssec.yml" in said
    assert (project / ".gitlab-ci.yml").read_text() == "stages: [test]\n"
    job = yaml.safe_load((project / ".gitlab/k8ssec.yml").read_text())["k8ssec"]
    assert "pytest --junitxml build/junit.xml" in job["script"]
    assert "variables" not in job
    assert not (project / ".github").exists()


def test_no_job_where_none_is_wanted(project: Path, init: Init) -> None:
    """Settings and test only."""
    put(project, {"infra/Pulumi.yaml": PULUMI})
    init("--ci", "none")
    assert set(written(project)) == {"infra/Pulumi.yaml", "pyproject.toml", "tests/test_k8ssec.py"}


def test_what_is_there_is_left_alone(project: Path, init: Init) -> None:
    """To the byte; the exact lines for it are told, and the next commands work without them."""
    copied("hardened", project)
    (project / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\n')
    (project / "tests").mkdir()
    (project / "tests/test_k8ssec.py").write_text("# mine\n")
    before = written(project)
    said = init()
    after = written(project)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {".github/workflows/k8ssec.yml"}
    assert said.count("is there already, and was left alone") == 2
    told = "\n".join(line[4:] for line in said.splitlines() if line.startswith("    ") and "    #" not in line)
    assert tomllib.loads(told)["tool"]["k8ssec"]["stack"] == "infra"
    assert "--k8ssec-controls --k8ssec-stack infra --k8ssec-secret platform:paymentsApiKey=PAYMENTS_API_KEY" in said


def test_once_more_it_has_nothing_to_do(project: Path, init: Init) -> None:
    """And asks for nothing to be added."""
    copied("hardened", project)
    init()
    before = written(project)
    said = init()
    assert written(project) == before
    assert said.count("is there already, and was left alone") == 3
    assert "add to it" not in said


def test_a_dry_run_writes_nothing(project: Path, init: Init) -> None:
    """And shows all that it would write."""
    put(project, {"infra/Pulumi.yaml": PULUMI})
    said = init("--dry-run")
    assert set(written(project)) == {"infra/Pulumi.yaml"}
    assert said.count("would be written") == 3
    assert '    stack = "infra"' in said


@pytest.mark.parametrize(
    ("there", "arguments", "expected"),
    [
        ({}, (), "no Pulumi.yaml is in it or below it"),
        ({"node_modules/x/Pulumi.yaml": PULUMI, "x/Pulumi.txt": ""}, (), "no Pulumi.yaml is in it or below it"),
        ({"a/Pulumi.yaml": PULUMI, "b/Pulumi.yaml": PULUMI}, (), "`k8ssec init --stack a`"),
        ({"a/Pulumi.yaml": PULUMI, "b/Pulumi.yaml": PULUMI}, ("--stack", "c"), "c: has no Pulumi.yaml"),
        ({"a/Pulumi.yaml": PULUMI}, ("elsewhere",), "elsewhere: is not a directory"),
        ({"a/Pulumi.yaml": PULUMI, "pyproject.toml": "[tool.k8ssec]\nstak = 1\n"}, (), "did you mean 'stack'?"),
    ],
)
def test_what_it_cannot_begin_with(
    project: Path, init: Init, there: dict[str, str], arguments: tuple[str, ...], expected: str
) -> None:
    """Said with its mend; nothing is written."""
    put(project, there)
    before = written(project)
    assert expected in init(*arguments, code=2)
    assert written(project) == before


def test_one_of_several_stacks_can_be_named(project: Path, init: Init) -> None:
    """By the option, or by the settings that are there."""
    put(project, {"a/Pulumi.yaml": PULUMI, "b/Pulumi.yaml": PULUMI})
    init("--stack", "b")
    assert 'stack = "b"' in (project / "pyproject.toml").read_text()
    assert "stack: b," in init()


def test_values_come_from_the_one_config_file(project: Path, init: Init) -> None:
    """It is named in the settings; what is encrypted in it comes from a variable, which only has to be there."""
    declared = "config: {size: {type: string}, key: {type: string}}\n"
    values = "config:\n  infra:size: small\n  infra:key: {secure: AAAA}\n"
    put(project, {"infra/Pulumi.yaml": PULUMI + declared, "infra/Pulumi.dev.yaml": values})
    init()
    table = tomllib.loads((project / "pyproject.toml").read_text())["tool"]["k8ssec"]
    assert table["config-file"] == "infra/Pulumi.dev.yaml"
    assert table["secret"] == {"infra:key": "KEY"}
    assert main(["config", "check"]) == 0


def test_which_of_several_config_files_is_for_the_team_to_say(project: Path, init: Init) -> None:
    """Both are told, as the lines to choose from."""
    put(
        project,
        {"infra/Pulumi.yaml": PULUMI, "infra/Pulumi.a.yaml": "config: {}\n", "infra/Pulumi.b.yaml": "config: {}\n"},
    )
    said = init(code=1)
    assert all(f'config-file = "infra/Pulumi.{name}.yaml"' in said for name in "ab")


def test_what_only_the_program_asks_for_is_told_with_its_line(
    project: Path, init: Init, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Config values and variables, of programs whose Pulumi.yaml declares nothing."""
    monkeypatch.delenv("REGION", raising=False)
    put(project, {"infra/Pulumi.yaml": "name: infra\nruntime: python\n"})
    (project / "infra/__main__.py").write_text(
        "import os\nimport pulumi\n\nconfig = pulumi.Config()\nsize = config.require_int('size')\n"
        "key = config.require_secret('bankKey')\nother = pulumi.Config('net').require('zone')\n"
        "region = os.environ['REGION']\nos.environ['SET'] = 'x'\nconfig.get('may')\nelse_.require('nothing')\n"
    )
    said = init(code=1)
    assert "config value infra:size, asked for by infra/__main__.py:5" in said
    assert "config value net:zone, asked for by infra/__main__.py:7" in said
    assert "variable REGION, which the program reads at infra/__main__.py:8" in said
    assert "BANK_KEY" in said
    assert not any(word in said for word in ("SET", "infra:may", "nothing"))


def test_a_program_in_typescript_is_read_too(project: Path) -> None:
    """As far as it is plain whose key it is."""
    put(project, {"infra/Pulumi.yaml": "name: infra\nruntime: nodejs\n"})
    script = project / "infra/index.ts"
    script.write_text('const c = new pulumi.Config();\nc.require("size");\nc.requireSecret("key");\n')
    asked = asked_by_program(read_project(project / "infra"))
    assert [(each.name, each.secret) for each in asked] == [("infra:size", False), ("infra:key", True)]
    script.write_text('const c = new pulumi.Config("net");\nc.require("size");\n')
    assert asked_by_program(read_project(project / "infra")) == ()


def test_a_language_that_cannot_run_here_is_told(project: Path, init: Init, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its mend."""
    put(project, {"infra/Pulumi.yaml": "name: infra\nruntime: nodejs\n"})
    monkeypatch.setenv("PATH", str(project))
    assert "install Node.js 20 or newer" in init("--dry-run", code=1)
    (project / "node").write_text("#!/bin/sh\n")
    (project / "node").chmod(0o755)
    assert "run `npm install` in infra" in init("--dry-run", code=1)


@given(st.text(min_size=1, max_size=90))
@example("platform:k8sToken")
@example("DBPassword2024")
@example("1")
def test_a_proposed_variable_is_never_taken_for_a_secret(key: str) -> None:
    """Whatever the config key is: else ``config check`` would refuse what was written."""
    assert looks_like_name(_variable(key)), _variable(key)


def test_two_keys_have_two_variables(project: Path, init: Init) -> None:
    """Also where they end alike."""
    put(
        project,
        {
            "infra/Pulumi.yaml": PULUMI
            + "config:\n"
            + "".join(f"  {space}:key: {{type: string, secret: true}}\n" for space in ("a", "b"))
        },
    )
    init()
    table = tomllib.loads((project / "pyproject.toml").read_text())["tool"]["k8ssec"]
    assert table["secret"] == {"a:key": "KEY", "b:key": "B_KEY"}


@pytest.mark.parametrize(
    "text",
    [
        "tool = 3",
        "[tool]\npytest = []",
        "[tool.pytest.ini_options]\ntestpaths = [1]",
        "[tool.pytest.ini_options]\ntestpaths = 'checks'",
    ],
)
def test_settings_of_any_shape_are_looked_at(project: Path, init: Init, text: str) -> None:
    """The test goes where pytest looks for tests, if that is a folder."""
    put(project, {"infra/Pulumi.yaml": PULUMI, "pyproject.toml": text, "checks/README": ""})
    init("--ci", "none")
    assert (project / ("checks" if "checks" in text else "tests") / "test_k8ssec.py").exists()


def test_a_part_of_a_repository_is_told_where_ci_looks(project: Path, init: Init) -> None:
    """GitHub reads no workflows below the repository's own folder."""
    put(project, {"shop/infra/Pulumi.yaml": PULUMI, ".git/HEAD": ""})
    assert "CI looks for jobs in the repository's own folder, ." in init("shop")
    assert "CI looks" not in init("shop", "--ci", "none")


def test_another_folder_than_the_current_one(project: Path, init: Init) -> None:
    """Files are written there, and the commands begin by going there."""
    put(project, {"shop/infra/Pulumi.yaml": PULUMI})
    said = init("shop")
    assert "  cd shop && k8ssec doctor" in said
    assert 'stack = "infra"' in (project / "shop/pyproject.toml").read_text()
    assert "pytest tests/test_k8ssec.py" in said
