"""What the documentation takes from the code is taken, and what is missing is told."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs import blocks, generate
from docs.report_fields import RESULT, Record, fields
from pytest_k8ssec.plugin.options import markers
from pytest_k8ssec.settings import OPTIONS
from tests.pages import REPOSITORY, pages, read

SETTINGS = read("docs/reference/settings.md")


def test_the_documentation_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """As `make lint` has it."""
    assert 0 == generate.main(["--check"]), capsys.readouterr().err


def test_a_difference_is_noticed_and_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page that was edited between its marks, and the page of a control that is gone."""
    controls = tmp_path / "docs" / "reference" / "controls"
    controls.mkdir(parents=True)
    monkeypatch.setattr(generate, "PAGES", controls)
    monkeypatch.setattr(generate, "_REPOSITORY", tmp_path)
    monkeypatch.setattr(generate, "packaged_controls", list)
    page, gone = tmp_path / "page.md", controls / "gone.md"
    page.write_text("A\n\n<!-- generated: markers -->\nedited\n<!-- end -->\n\nB\n")
    gone.write_text("x")
    assert 1 == generate.main(["--check"])
    told = capsys.readouterr().err
    assert "page.md: differs" in told
    assert "gone.md: belongs to no control" in told
    assert 0 == generate.main([])
    assert 0 == generate.main(["--check"])
    assert not gone.exists()
    text = page.read_text()
    assert "| `slow` |" in text
    assert "edited" not in text
    assert text.startswith("A\n\n<!-- generated: markers -->\n")
    assert text.endswith("<!-- end -->\n\nB\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<!-- generated: nonsense -->\n<!-- end -->\n", "page.md: nothing makes the block 'nonsense'"),
        ("<!-- generated: markers -->\n", "page.md: a generated block has no end"),
        ("<!-- generated: markers -->\n<!-- generated: options -->\n<!-- end -->\n", "a generated block has no end"),
    ],
)
def test_a_block_that_is_none_is_an_error(text: str, expected: str) -> None:
    """It names the page."""
    with pytest.raises(ValueError, match=re.escape(expected)):
        blocks.fill(text, "page.md")


def test_every_block_is_used() -> None:
    """What is made is shown somewhere."""
    used = {
        name for page in pages() for name in re.findall(r"^<!-- generated: ([\w-]+) -->$", read(page), re.MULTILINE)
    }
    assert set(blocks.BLOCKS) == used


def test_a_field_that_nobody_explains_is_an_error() -> None:
    """And so is an explanation without its field."""
    assert list(fields(RESULT))
    for record in (Record(({"a": 1, "b": 2},), {"a": "x"}), Record(({"a": 1},), {"a": "x", "b": "y"})):
        with pytest.raises(ValueError, match="only written, or only explained: b"):
            list(fields(record))


def told_markers(*arguments: str) -> dict[str, str]:
    """What ``pytest --markers`` says."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--markers", "-c", "/dev/null", "-p", "no:cacheprovider", *arguments],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return dict(re.findall(r"^@pytest\.mark\.(\w+): (.+)$", done.stdout, re.MULTILINE))


def test_markers_are_those_that_the_plugin_brings() -> None:
    """In ``pytest --markers``, in the same words."""
    others = told_markers("-p", "no:k8ssec")
    assert dict(markers()) == {name: text for name, text in told_markers().items() if name not in others}


def test_every_environment_variable_is_named() -> None:
    """Those of the package's source, and each option's."""
    source = "".join(path.read_text(encoding="utf-8") for path in REPOSITORY.glob("pytest_k8ssec/**/*.py"))
    read_by_name = set(re.findall(r"environ(?:\.get\(|\[)\"(\w+)\"|^RUN_VARIABLE = \"(\w+)\"", source, re.MULTILINE))
    wanted = {name for pair in read_by_name for name in pair if name.startswith(("K8SSEC_", "XDG_"))}
    assert {"K8SSEC_STATE", "K8SSEC_RUN"} <= wanted
    assert [] == sorted(name for name in wanted | {option.env for option in OPTIONS} if f"`{name}`" not in SETTINGS)


def test_every_fixture_is_told() -> None:
    """Those that are for users, with their scope; none that is internal."""
    text = read("docs/reference/fixtures.md")
    told = set(re.findall(r"^## `(\w+)`$", text, re.MULTILINE))
    assert {"cluster", "stack", "attacker", "twin", "judge", "reachability", "allowed"} <= told
    assert not any(name.startswith("k8ssec_") for name in told)
    assert "## `cluster`\n\nScope: session." in text
    assert "## `judge`\n\nScope: function." in text


def test_the_sample_control_is_the_file_itself() -> None:
    """Word for word."""
    file = REPOSITORY / "pytest_k8ssec" / "controls" / "kubelet" / "readonly.py"
    assert file.read_text(encoding="utf-8").rstrip() in read("CONTRIBUTING.md")
