"""A new control begins as a file that is a control, and that says what is still to be done."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import scaffold.__main__ as scaffold

FAULTS = 'A = 1\n\nWITH_PODS = {\n    "etcd-x",\n    "kubelet-a",\n}\nB = {\n    "z",\n}\n'


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of the test's own."""
    (tmp_path / "faults.py").write_text(FAULTS)
    monkeypatch.setattr(scaffold, "CONTROLS_FOLDER", tmp_path)
    monkeypatch.setattr(scaffold, "_FAULTS", tmp_path / "faults.py")
    return tmp_path


def test_a_control_is_begun(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its functions are named as its id is; it is entered in the fault tests, in its place; the next steps are told."""
    assert 0 == scaffold.main(["etcd-snapshot-mode"])
    text = (checkout / "etcd" / "snapshot_mode.py").read_text()
    names = {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    assert "test_etcd_snapshot_mode" in names
    assert "@" not in text.replace("@control", "").replace("@sabotage", "")
    assert FAULTS.replace('"etcd-x"', '"etcd-snapshot-mode",\n    "etcd-x"') == (checkout / "faults.py").read_text()
    assert "-k etcd-snapshot-mode --k8ssec-sabotage" in capsys.readouterr().out


@pytest.mark.parametrize("ident", ["", "etcd", "etcd-", "Etcd-x", "etcd_x", "cloud-x", "../x-y"])
def test_an_id_that_is_none_is_a_usage_error(checkout: Path, ident: str) -> None:
    """And nothing is written."""
    with pytest.raises(SystemExit) as ended:
        scaffold.main([ident])
    assert 2 == ended.value.code
    assert [checkout / "faults.py"] == list(checkout.iterdir())


def test_a_control_that_is_there_stays(checkout: Path) -> None:
    """It is not written over."""
    scaffold.main(["etcd-snapshot-mode"])
    file = checkout / "etcd" / "snapshot_mode.py"
    file.write_text("mine")
    with pytest.raises(SystemExit):
        scaffold.main(["etcd-snapshot-mode"])
    assert "mine" == file.read_text()
