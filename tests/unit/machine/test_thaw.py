"""What was frozen as its node was killed is thawed, so that it can die; nothing else is touched."""

from __future__ import annotations

from pathlib import Path

from pytest_k8ssec.machine.thaw import thaw


def state(root: Path, place: str, text: str) -> Path:
    """A cgroup's state."""
    file = root / place / "freezer.state"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file


def test_only_what_is_frozen_below_the_container_is_thawed(tmp_path: Path) -> None:
    """However deep it is; another container's stays as it is."""
    own = state(tmp_path, "a", "THAWED\n")
    pod = state(tmp_path, "a/kubelet/pods/x", "FROZEN\n")
    half = state(tmp_path, "a/kubelet/pods/y", "FREEZING\n")
    others = state(tmp_path, "b/kubelet/pods/x", "FROZEN\n")
    assert {pod, half} == set(thaw(["a", "gone"], tmp_path))
    assert ["THAWED\n", "THAWED", "THAWED", "FROZEN\n"] == [file.read_text() for file in (own, pod, half, others)]


def test_where_there_is_no_such_place_nothing_happens(tmp_path: Path) -> None:
    """With cgroup v2, or without docker."""
    assert [] == thaw(["a"], tmp_path / "nowhere")
