"""``k8ssec report``: other forms of a report.json, and what it says of a file that is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_k8ssec.cli import main
from pytest_k8ssec.reports.forms.every import FORM_NAMES
from pytest_k8ssec.reports.json import write_report
from tests.unit.reports.forms.test_forms import attack, report, result

FILES = {"report.html", "report.sarif", "summary.md", "gl-code-quality.json"}


@pytest.fixture
def says(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """``says(*arguments, code=0)``: both outputs of the command, which ends with that exit code."""

    def run(*arguments: str | Path, code: int = 0) -> str:
        ended = main([*map(str, arguments)])
        output = "".join(capsys.readouterr())
        assert code == ended, output
        assert "Traceback" not in output
        return output

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a report.json."""
    write_report(tmp_path / "made", report(result(attacks=[attack("front")])))
    return tmp_path / "made"


def test_all_forms_are_made_beside_it(says: Callable[..., str], folder: Path) -> None:
    """From the folder as from the file, and the same each time."""
    says("report", folder)
    assert {path.name for path in folder.iterdir()} == {"report.json", *FILES}
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    says("report", folder / "report.json")
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_one_form_elsewhere(says: Callable[..., str], folder: Path, tmp_path: Path) -> None:
    """``--form`` and ``--out``; every form can be asked for."""
    says("report", folder, "--form", "sarif", "--out", tmp_path / "out")
    assert ["report.sarif"] == [path.name for path in (tmp_path / "out").iterdir()]
    for name in FORM_NAMES:
        says("report", folder, "--form", name, "--out", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES


def test_the_schema_is_printed(says: Callable[..., str]) -> None:
    """It is one."""
    jsonschema.Draft202012Validator.check_schema(json.loads(says("report", "--schema")))


BAD: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "is not valid JSON"),
    "no text": (b"\xff\xfe", "is not valid JSON"),
    "deep": ("[" * 100_000, "is not valid JSON"),
    "a list": ("[]", "is no report of pytest-k8ssec"),
    "no schema": ("{}", "is no report of pytest-k8ssec"),
    "a later one": ('{"schema": 2}', "is of schema 2"),
    "true is no 1": ('{"schema": true}', "is of schema True"),
    "no results": ('{"schema": 1, "run": {}}', "is not as k8ssec writes it"),
    "results of another kind": (
        '{"schema": 1, "run": {"cluster": {}}, "results": ["x"]}',
        "is not as k8ssec writes it",
    ),
    "null": ('{"schema": 1, "run": null, "results": [{"phase": null}]}', "is not as k8ssec writes it"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_report_is_told_with_a_fix(says: Callable[..., str], tmp_path: Path, name: str) -> None:
    """Wrong usage, not a fault; nothing is written."""
    text, said = BAD[name]
    file = tmp_path / "report.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    output = says("report", file, code=2)
    assert said in output
    assert "fix: " in output
    assert ["report.json"] == [path.name for path in tmp_path.iterdir()]


def test_none_is_told_too(says: Callable[..., str], tmp_path: Path) -> None:
    """No file, and none named."""
    assert "can't be read" in says("report", tmp_path, code=2)
    assert "none was named" in says("report", code=2)


def test_what_somebody_wrote_into_it_is_made_safe(says: Callable[..., str], tmp_path: Path) -> None:
    """A report.json may have passed through other hands."""
    document = report(result(attacks=[attack("front")]))
    document["results"][0]["attacks"][0]["case"] = "\x1b[31m\n::error::x"
    (tmp_path / "report.json").write_text(json.dumps(document), encoding="utf-8")
    says("report", tmp_path)
    for file in FILES:
        assert "\x1b" not in (tmp_path / file).read_text(encoding="utf-8")


def test_earlier_runs_stand_on_the_page(says: Callable[..., str], folder: Path, tmp_path: Path) -> None:
    """By their files or folders; what is no report, or is of another stack, is told with its name."""
    for name, id_, project in (("old", "run-0", None), ("other", "run-9", "bank")):
        document = report(result(verdict="held"))
        document["run"] |= {"id": id_, "started": "2020-01-01T00:00:00Z"}
        if project:
            document["run"]["stack"] = {"project": project}
        write_report(tmp_path / name, document)
    says("report", folder, "--form", "html", "--history", tmp_path / "old", tmp_path / "old" / "report.json")
    page = (folder / "report.html").read_text()
    assert "The last 2 runs" in page
    assert "run-0" in page
    assert "is of stack bank" in says("report", folder, "--history", tmp_path / "other", code=2)
    (tmp_path / "other" / "report.json").write_text('{"schema": 1, "run": {}, "results": [{}]}')
    assert f"report {tmp_path / 'other' / 'report.json'}: is not as k8ssec writes it" in says(
        "report", folder, "--history", tmp_path / "other", code=2
    )
