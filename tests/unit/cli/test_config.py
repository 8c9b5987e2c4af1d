"""``k8ssec config check``: each file that a run would read, well or wrong, before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_k8ssec.cli import main

GOOD = {
    "pyproject.toml": '[tool.k8ssec]\nstack = "infra"\n[tool.k8ssec.secret]\n"infra:key" = "INFRA_KEY"\n',
    "infra/Pulumi.yaml": "name: infra\nruntime: yaml\nconfig:\n  infra:key: {type: string, secret: true}\n",
    "infra/kind.yaml": "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n",
    "infra/intent.yaml": "version: 1\nallow: []\n",
    "infra/blast-radius.yaml": "budget: {nodes: 1}\n",
}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One in which all is well, but for the variable of its secret, which is not set here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INFRA_KEY", raising=False)
    for name, text in GOOD.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.usefixtures("repository")
def test_all_is_told_to_be_well(capsys: pytest.CaptureFixture[str]) -> None:
    """Each file by its name; what only a run needs is a note."""
    assert main(["config", "check"]) == 0
    said = capsys.readouterr().out
    assert said.count(": well\n") == 7
    assert "WRONG" not in said
    assert all(f"{Path(name).name}: well" in said for name in GOOD if name.endswith(("t.yaml", "s.yaml", "d.yaml")))
    assert "note: variable INFRA_KEY is not set here" in said


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("infra/Pulumi.yaml", "name: infra\n", "names no runtime"),
        ("infra/Pulumi.yaml", GOOD["infra/Pulumi.yaml"] + "  infra:size: {type: string}\n", "infra:size is required"),
        ("infra/kind.yaml", "kind: Deployment\n", "is not a kind cluster"),
        ("infra/intent.yaml", "version: 1\nallow: [{to: x}]\n", "line 2"),
        ("infra/blast-radius.yaml", "budgets: {}\n", "'budgets' is not one of"),
        (
            "pyproject.toml",
            GOOD["pyproject.toml"] + '[tool.k8ssec.not-applicable]\netcd-expose = "x"\n',
            "did you mean",
        ),
        ("pyproject.toml", GOOD["pyproject.toml"] + '[tool.k8ssec.allow]\nwl-x = {a = "b"}\n', "control 'wl-x'"),
        ("k8ssec-waivers.yaml", "waivers:\n- control: wl-x\n", "waiver 1"),
        ("pyproject.toml", "[tool.k8ssec]\nbaseline = 'kind.yaml'\n", "baseline"),
        ("pyproject.toml", "[tool.k8ssec]\nstak = 'infra'\n", "did you mean 'stack'?"),
        ("pyproject.toml", "[tool.k8ssec]\nstack = 'nowhere'\n", "does not exist"),
        ("pyproject.toml", "[tool.k8ssec\n", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(
    repository: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, expected: str
) -> None:
    """The culprit, and the cause; without a traceback, and with the exit code of wrong usage."""
    (repository / name).write_text(text)
    assert main(["config", "check"]) == 2
    told = capsys.readouterr()
    said = told.out + told.err
    assert expected in said
    assert "Traceback" not in said


def test_all_that_is_wrong_is_told(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One mistake hides no other."""
    for name in ("kind", "intent", "blast-radius"):
        (repository / "infra" / f"{name}.yaml").write_text("[")
    assert main(["config", "check"]) == 2
    assert capsys.readouterr().out.count(": WRONG\n") == 3


def test_a_folder_without_any_of_it_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is set, so nothing is wrong."""
    monkeypatch.chdir(tmp_path)
    assert main(["config", "check"]) == 0
    assert "settings: well" in capsys.readouterr().out
