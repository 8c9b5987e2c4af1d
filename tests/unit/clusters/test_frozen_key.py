"""Two clusters have the same key only if they would be the same, but for what differs in each anyway."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_k8ssec.clusters.frozen import key
from pytest_k8ssec.clusters.frozen.key import key_of, why_not
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.machine.tools import Image, Tool
from tests.unit.machine.dockers import FakeDocker

NODE, PROBE, KIND = Image("node", "v1", "PATH"), Image("probe", "3", "PATH"), Tool(Path("kind"), "v0.30", "PATH")
CONFIG = """\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
  - role: control-plane
    extraMounts:
      - {hostPath: files, containerPath: /files}
  - role: worker
"""


@pytest.fixture
def source(tmp_path: Path, fake_docker: FakeDocker) -> Path:
    """A configuration with a mounted folder, and the images."""
    fake_docker.image("node", "sha256:n")
    fake_docker.image("probe", "sha256:p")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "one.yaml").write_text("key: ${random:32}\n")
    path = tmp_path / "kind.yaml"
    path.write_text(CONFIG)
    return path


def told(source: Path, *, tool: Tool = KIND, node: Image = NODE, probe: Image = PROBE) -> str:
    """The key of the configuration as it is now."""
    return key_of(KindConfig.load(source), tool=tool, node_image=node, probe_image=probe)


def test_the_same_is_the_same(source: Path, tmp_path: Path) -> None:
    """Also from another folder: what is mounted counts by its content."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "files").mkdir(parents=True)
    for file in ("kind.yaml", "files/one.yaml"):
        (elsewhere / file).write_text((tmp_path / file).read_text())
    assert told(source) == told(source) == told(elsewhere / "kind.yaml")


CHANGES: dict[str, Callable[[Path, FakeDocker, pytest.MonkeyPatch], object]] = {
    "configuration": lambda path, _, __: path.write_text(CONFIG + "  - role: worker\n"),
    "mounted file": lambda path, _, __: (path.parent / "files" / "one.yaml").write_text("other"),
    "mode of a mounted file": lambda path, _, __: (path.parent / "files" / "one.yaml").chmod(0o604),
    "further mounted file": lambda path, _, __: (path.parent / "files" / "two.yaml").touch(),
    "after-steps": lambda path, _, __: (path.parent / "kind-after.yaml").write_text(
        "steps: [remove-bootstrap-tokens]\n"
    ),
    "docker": lambda _, docker, __: setattr(docker, "info", {"ID": "another"}),
    "proxy": lambda _, __, patch: patch.setenv("HTTPS_PROXY", "http://127.0.0.1:3128"),
    "sources": lambda _, __, patch: patch.setattr(key, "_sources", lambda: [("thaw.py", "another")]),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_changes_it(source: Path, fake_docker: FakeDocker, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Whatever a cluster is made of."""
    before = told(source)
    CHANGES[what](source, fake_docker, monkeypatch)
    assert before != told(source)


def test_images_count_by_their_ids(source: Path, fake_docker: FakeDocker) -> None:
    """A tag may stand for another image tomorrow."""
    fake_docker.image("node2", "sha256:n")
    fake_docker.image("node3", "sha256:other")
    assert told(source) == told(source, node=Image("node2", "", "chosen"))
    assert told(source) != told(source, node=Image("node3", "", "chosen"))
    assert told(source) != told(source, probe=Image("node3", "", "chosen"))
    assert told(source) != told(source, tool=Tool(Path("kind"), "v0.31", "PATH"))


def test_a_sabotage_counts(source: Path) -> None:
    """It changes the configuration, or the text of a mounted file."""
    config = KindConfig.load(source)
    before = key_of(config, tool=KIND, node_image=NODE, probe_image=PROBE)
    config.replace("files/one.yaml", "weak")
    assert before != key_of(config, tool=KIND, node_image=NODE, probe_image=PROBE)


def test_the_sources_are_those_that_make_freeze_and_thaw() -> None:
    """What runs on the nodes is among them."""
    assert {"kind.py", "kindconfig.py", "after.py", "freeze.py", "thaw.py", "freeze.sh", "thaw.sh"} == {
        name for name, _ in key._sources()
    }


def test_several_control_planes_are_not_frozen(source: Path) -> None:
    """A node without a role is one too."""
    assert "" == why_not(KindConfig.load(source))
    source.write_text(CONFIG + "  - {}\n")
    assert "2 control planes" in why_not(KindConfig.load(source))


def test_another_snapshotter_is_not_frozen(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where layers are used as they stand, they are overlayfs's."""
    monkeypatch.setenv("KIND_EXPERIMENTAL_CONTAINERD_SNAPSHOTTER", "native")
    assert "another snapshotter" in why_not(KindConfig.load(source))


@pytest.mark.parametrize(("text", "differs"), [("key: ${random:32}", True), ("key: c2VjcmV0", False)])
def test_whether_a_mounted_key_differs_in_each_cluster(source: Path, text: str, differs: bool) -> None:
    """Then nothing that was encrypted with it may be frozen."""
    (source.parent / "files" / "one.yaml").write_text(text)
    assert differs == KindConfig.load(source).has_random
    config = KindConfig.load(source)
    config.replace("files", "plain")
    assert not config.has_random
