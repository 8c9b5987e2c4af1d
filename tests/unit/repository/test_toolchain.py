"""The parts of the toolchain that decide: what has to be built, and what is put beside a main package."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pytest_k8ssec.errors import ToolMissing
from pytest_k8ssec.machine import tools
from pytest_k8ssec.machine.tools import Image, Tool
from toolchain import golang
from toolchain.binaries import PROVIDER, binaries
from toolchain.embed import Embedded
from toolchain.wanted import has_to_be_built


def test_what_a_main_embeds_is_put_beside_it(tmp_path: Path) -> None:
    """One file as it is, the other with the program's version: without it a language host can't tell what it has."""
    module, into = tmp_path / "module", tmp_path / "into"
    (module / "cmd").mkdir(parents=True)
    into.mkdir()
    (module / "cmd" / "mapping.json").write_text('{"a":1}\n')
    (module / "cmd" / "schema.json").write_text('{"name": "shop", "version": "0.0.0"}')
    Embedded("example.org/provider", "cmd", ("mapping.json",), ("schema.json",)).put(module, into, "4.25.0")
    assert (into / "mapping.json").read_text() == '{"a":1}\n'
    assert json.loads((into / "schema.json").read_text()) == {"name": "shop", "version": "4.25.0"}


def test_one_program_is_not_called_as_its_commit_is() -> None:
    """Where go.mod names a commit, the release that was made from it counts: its number is the commit's time."""
    release = binaries().provider.version
    moment = datetime.fromtimestamp(int(release.rpartition(".")[2]), UTC)
    assert f"-{moment:%Y%m%d%H%M%S}-" in golang.required("pulumi-resource-kubernetes", PROVIDER)


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
