"""Code in the documentation: it parses, and names only targets, options and subcommands that there are."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from docs import play
from docs.blocks import subcommands
from pytest_k8ssec.settings import OPTIONS
from tests import snippets
from tests.pages import REPOSITORY, Block, blocks, pages, read

LANGUAGES = {"", "json", "python", "sh", "text", "toml", "yaml"}
BLOCKS = [block for page in pages() for block in blocks(read(page), page)]
TARGETS = set(re.findall(r"^([a-z-]+):.*##", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
FLAGS = {option.flag for option in OPTIONS}
HISTORY = "CHANGELOG.md"
"""Tells of what was, too."""
_COMMAND = re.compile(r"(?:^|[`\n;|&(]|(?<=\$ )|(?<=run: ))\s*(?:\.venv/bin/)?(make|k8ssec) ([^\n`;|&#)]*)")
_FLAG = re.compile(r"--k8ssec-[a-z-]*[a-z]")


def of(language: str) -> list[Block]:
    """The blocks in one language."""
    return [block for block in BLOCKS if block.language == language]


def wrong(text: str) -> list[str]:
    """Targets, options and subcommands that a text names and that are none."""
    found = [flag for flag in _FLAG.findall(text) if flag not in FLAGS]
    for tool, arguments in _COMMAND.findall(text):
        words = arguments.split()
        if tool == "make":
            names = [word for word in words if re.fullmatch(r"[a-z][a-z-]*", word)]
            found += [f"make {name}" for name in names if name not in TARGETS]
        elif words and re.fullmatch(r"[a-z]+", words[0]):
            command = subcommands().get(words[0])
            if command is None:
                found.append(f"k8ssec {words[0]}")
            else:
                known = command.format_help()
                flags = [word.partition("=")[0] for word in words if word.startswith("--")]
                found += [f"k8ssec {words[0]} {flag}" for flag in flags if not re.search(rf"{flag}\b", known)]
    return found


def test_every_block_says_its_language() -> None:
    """One that is checked below, or plain text."""
    assert [] == [str(block) for block in BLOCKS if block.language not in LANGUAGES]


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_python_compiles(block: Block) -> None:
    """Nothing of it is run."""
    compile(block.text, str(block), "exec")


@pytest.mark.parametrize("block", of("yaml"), ids=str)
def test_yaml_is_read(block: Block) -> None:
    """Each document says something."""
    assert all(yaml.safe_load_all(block.text))


@pytest.mark.parametrize("block", of("toml"), ids=str)
def test_toml_is_read(block: Block) -> None:
    """All of it."""
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", of("json"), ids=str)
def test_json_is_read(block: Block) -> None:
    """All of it."""
    assert json.loads(block.text)


@pytest.mark.parametrize("block", of("sh"), ids=str)
def test_a_shell_reads_commands(block: Block) -> None:
    """To their end; it runs nothing."""
    subprocess.run(["sh", "-n"], input=block.text, text=True, check=True, timeout=60)


@pytest.mark.parametrize("page", [page for page in pages() if page != HISTORY])
def test_a_page_names_what_there_is(page: str) -> None:
    """Make targets, options of pytest and of k8ssec, subcommands: in blocks, and in code within a line."""
    assert [] == wrong(read(page))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("```sh\nmake nonsense\n```", ["make nonsense"]),
        ("`make lint nonsense`", ["make nonsense"]),
        ("`make demo STACK=insecure` and make something", []),
        ("pytest --k8ssec-nonsense", ["--k8ssec-nonsense"]),
        ("pytest --k8ssec-keep=always", []),
        ("```sh\n.venv/bin/k8ssec nonsense\n```", ["k8ssec nonsense"]),
        ("`k8ssec up --nonsense x`", ["k8ssec up --nonsense"]),
        ("`k8ssec up --name x`", []),
        ("cd x && k8ssec nonsense", ["k8ssec nonsense"]),
        ("the command `k8ssec`", []),
        ("```yaml\n- run: k8ssec nonsense\n```", ["k8ssec nonsense"]),
    ],
)
def test_what_there_is_not_is_noticed(text: str, expected: list[str]) -> None:
    """The check above can fail."""
    assert expected == wrong(text)


def test_the_checks_are_about_something() -> None:
    """Each language has a block."""
    assert LANGUAGES - {""} <= {block.language for block in BLOCKS}
    assert {"demo", "docs-site", "test"} <= TARGETS


TUTORIAL = read("docs/tutorial/README.md")


def test_the_tutorial_s_programs_declare_what_it_says() -> None:
    """Both versions are Pulumi programs as they stand; the second one is what the first one lacks."""
    before, after = (
        {each["kind"]: each for each in snippets.objects(text)}
        for path, text in play.files(TUTORIAL)
        if path == "infra/__main__.py"
    )
    assert {"Namespace", "Deployment"} == set(before) == set(after)
    assert "securityContext" not in str(before)
    assert "'drop': ['ALL']" in str(after)


def test_the_tutorial_can_be_played(tmp_path: Path) -> None:
    """Its commands run in order, each on the files that the page has shown by then."""
    seen = []

    def run(command: str) -> str:
        program = (tmp_path / "infra" / "__main__.py").read_text()
        seen.append((command, "securityContext" in program, (tmp_path / "tests" / "test_shop.py").exists()))
        return "output\n"

    found = play.played(TUTORIAL, tmp_path, run)
    control = "pytest --k8ssec-controls -k wl-privilege"
    assert [(control, False, False), (control, True, False), ("pytest tests", True, True)] == seen
    assert play.NOT_YET not in found
    assert found == play.played(found, tmp_path, lambda _: "output\n")


FORMS = sorted(path.name for path in REPOSITORY.glob(".github/ISSUE_TEMPLATE/*.yml") if path.name != "config.yml")


@pytest.mark.parametrize("name", FORMS)
def test_an_issue_form_asks_for_something(name: str) -> None:
    """It has what the forge wants: a name, a description, and fields with a label and an id of their own."""
    form = yaml.safe_load((REPOSITORY / ".github" / "ISSUE_TEMPLATE" / name).read_text(encoding="utf-8"))
    assert form["name"]
    assert form["description"]
    fields = [each for each in form["body"] if each["type"] != "markdown"]
    assert {each["type"] for each in fields} <= {"dropdown", "input", "textarea"}
    assert len({each["id"] for each in fields}) == len(fields) > 0
    assert all(each["attributes"]["label"] for each in fields)
    assert any(each.get("validations", {}).get("required") for each in fields)


def test_the_forms_are_there() -> None:
    """SECURITY.md sends readers to one of them by its name."""
    assert ["bug.yml", "new-control.yml", "wrong-verdict.yml"] == FORMS
    assert '"Wrong verdict"' in read("SECURITY.md")
