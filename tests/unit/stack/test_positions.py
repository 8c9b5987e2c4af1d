"""In which line of the user's own files a resource is declared: the first frame within the project, else the parent's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_k8ssec.stack.positions import first_line, lines_of_yaml, places

_URN = "urn:pulumi:dev::p::"
_STACK = {"urn": f"{_URN}pulumi:pulumi:Stack::p-dev", "type": "pulumi:pulumi:Stack"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A program in a few files, one of them installed beside it."""
    for name in ("__main__.py", "net/policies.py", ".venv/lib/site-packages/kit.py", "index.ts", "a b.py"):
        path = tmp_path / "infra" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "kit.py").write_text("")
    return tmp_path / "infra"


@pytest.mark.parametrize(
    ("frames", "found"),
    [
        (["project:///../infra/__main__.py#12"], "__main__.py:12"),
        (["project:///../infra/index.ts#4,7"], "index.ts:4"),
        (["project:///../kit.py#3", None, "project:///../infra/__main__.py#12"], "__main__.py:12"),
        (
            ["project:///../infra/.venv/lib/site-packages/kit.py#9", "project:///../infra/net/policies.py#2"],
            "net/policies.py:2",
        ),
        (["project:///../infra/a%20b.py#5"], "a b.py:5"),
        (["project:///../infra/gone.py#5"], ""),
        (["project:///../../infra/__main__.py#5", "file:///etc/passwd#1", "project:///../infra/__main__.py#x", ""], ""),
        ([], ""),
    ],
)
def test_the_first_frame_within_the_project_counts(frames: list[str | None], found: str, project: Path) -> None:
    """Not a library's, and not one that is no line of a file that is there."""
    resource: dict[str, Any] = {"stackTrace": [{"sourcePosition": each} if each else {} for each in frames]}
    expected = f"{project}/{found}" if found else ""
    assert first_line(resource, project.parent / "work", project) == expected


def _one(name: str, parent: str = "", at: str = "", type_: str = "k8ssec:x:Y") -> dict[str, Any]:
    return {"urn": f"{_URN}{type_}::{name}", "type": type_, "parent": parent or _STACK["urn"], "at": at}


def test_what_has_no_line_has_its_parents() -> None:
    """And where that has none either, the project's file; the stack itself is no parent with a line."""
    component, child = _one("team", at="/infra/team.py:3"), _one("child", f"{_URN}k8ssec:x:Y::team")
    alone, own = _one("alone"), _one("own", at="/infra/__main__.py:9")
    found = places([_STACK, component, child, alone, own], {}, Path("/infra/Pulumi.yaml"))
    assert {urn.rpartition("::")[2]: place for urn, place in found.items()} == {
        "team": "/infra/team.py:3",
        "child": "/infra/team.py:3",
        "alone": "/infra/Pulumi.yaml",
        "own": "/infra/__main__.py:9",
    }


def test_a_program_in_yaml_is_asked_by_name(tmp_path: Path) -> None:
    """A child of a component may be called as a resource of the program is: it has its parent's line."""
    (tmp_path / "Pulumi.yaml").write_text(
        "name: p\nruntime: yaml\nresources:\n  one:\n    type: x\n  two:\n    type: y\n"
    )
    names = lines_of_yaml(tmp_path)
    child = _one("one", f"{_URN}k8ssec:x:Y::two", type_="k8ssec:x:Z")
    found = places([_STACK, _one("one"), _one("two"), child], names, tmp_path / "Pulumi.yaml")
    assert [f"{tmp_path}/Pulumi.yaml:{line}" for line in (4, 6, 6)] == list(found.values())
