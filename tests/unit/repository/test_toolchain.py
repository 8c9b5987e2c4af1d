"""The parts of the toolchain that decide: what has to be built, and what a changed module must look like."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_k8ssec.errors import ToolMissing
from pytest_k8ssec.machine import tools
from pytest_k8ssec.machine.tools import Image, Tool
from toolchain.errors import ToolchainError
from toolchain.patch import Patch
from toolchain.wanted import has_to_be_built

FASTER = Patch("example.org/client", "rest/config.go", (("QPS = 5", "QPS = 50"),))


@pytest.mark.parametrize(
    ("before", "after"),
    [("const QPS = 5\n", "const QPS = 50\n"), ("a\nQPS = 5 // five\nb\n", "a\nQPS = 50 // five\nb\n")],
)
def test_patch_changes_its_text_and_nothing_else(tmp_path: Path, before: str, after: str) -> None:
    """Wherever the text stands."""
    file = tmp_path / "rest" / "config.go"
    file.parent.mkdir()
    file.write_text(before)
    FASTER.apply(tmp_path)
    assert after == file.read_text()


@pytest.mark.parametrize(("text", "times"), [("const QPS = 7\n", "0"), ("QPS = 5\nQPS = 5\n", "2")])
def test_module_that_is_not_what_was_expected_is_not_built(tmp_path: Path, text: str, times: str) -> None:
    """A text that is not there once is an error that names the file, and the file stays as it was."""
    file = tmp_path / "rest" / "config.go"
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(ToolchainError, match=f"example.org/client/rest/config.go: has {times} times 'QPS = 5'"):
        FASTER.apply(tmp_path)
    assert text == file.read_text()


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        ({}, False),
        ({"pulumi": "toolchain"}, True),
        ({"kind": "missing"}, True),
        ({"kind": "release", "pulumi": "PATH"}, False),
    ],
    ids=["all-on-path", "one-built-here", "one-missing", "releases"],
)
def test_what_was_built_here_is_built_anew_when_it_changes(
    monkeypatch: pytest.MonkeyPatch, origins: dict[str, str], expected: bool
) -> None:
    """Only what comes from PATH or as a release is left as it is."""

    def find(name: str) -> Tool:
        origin = origins.get(name, "PATH")
        if origin == "missing":
            raise ToolMissing(f"{name}: not found")
        return Tool(Path("/bin/true"), "1", origin)

    monkeypatch.setattr(tools, "find_tool", find)
    for image in ("node_image", "probe_image"):
        monkeypatch.setattr(tools, image, lambda: Image("image", "1", "release"))
    said: list[str] = []
    assert expected is has_to_be_built(said.append)
    assert said
