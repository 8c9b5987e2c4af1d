"""kind configurations: what is wrong is told before kind is asked, and what is written stays in its folder."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import yaml

from pytest_k8ssec.clusters.kindconfig import PACKAGED, KindConfig
from pytest_k8ssec.errors import ClusterError

HEAD = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n"


def config(folder: Path, text: str | bytes) -> Path:
    """A configuration in a folder of its own."""
    folder.mkdir(exist_ok=True)
    path = folder / "kind.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"\xff\xfe", "is not valid YAML"),
        ("\t", "is not valid YAML"),
        ("", "must be a mapping, is empty"),
        ("3", "must be a mapping, is int"),
        ("kind: Pod", "is not a kind cluster"),
        ("kind: !!python/object/apply:os.system ['true']", "is not valid YAML"),
        (f"{HEAD}nodes: 3", "`nodes` must be a list"),
        (f"{HEAD}nodes: [null]", "`nodes` must be a list"),
        (f"{HEAD}kubeadmConfigPatches: 3", "`kubeadmConfigPatches` must be a list"),
        (f"{HEAD}nodes: [{{extraMounts: 3}}]", "`extraMounts` must be a list"),
        (f"{HEAD}nodes: [{{extraMounts: [3]}}]", "`extraMounts` must be a list"),
        (f"{HEAD}nodes: [{{extraMounts: [{{containerPath: /x}}]}}]", "`extraMounts` must be a list"),
        (f"{HEAD}nodes: [{{extraMounts: [{{hostPath: 5}}]}}]", "`extraMounts` must be a list"),
        (f"{HEAD}nodes: [{{extraMounts: [{{hostPath: nowhere}}]}}]", "names 'nowhere', which does not exist"),
    ],
)
def test_wrong_configuration_is_told_with_its_fix(tmp_path: Path, text: str | bytes, expected: str) -> None:
    """Whatever YAML can hold, the answer is one error that names the file."""
    path = config(tmp_path / "user", text)
    with pytest.raises(ClusterError, match="kind config") as caught:
        KindConfig.load(path)
    assert str(path) in caught.value.message
    assert expected in caught.value.message
    assert caught.value.fix


@pytest.mark.parametrize("steps", ["3", "[dance]", "{a: b}"])
def test_unknown_step_after_creation(tmp_path: Path, steps: str) -> None:
    """A step that there is not names those that there are."""
    path = config(tmp_path / "user", HEAD)
    path.with_name("kind-after.yaml").write_text(f"steps: {steps}\n")
    with pytest.raises(ClusterError, match="unknown step") as caught:
        KindConfig.load(path)
    assert "remove-bootstrap-tokens" in caught.value.fix


@pytest.mark.parametrize("text", [HEAD, f"{HEAD}nodes: []\n", f"{HEAD}nodes: [{{extraMounts: null}}]\n"])
def test_what_is_left_out_is_a_node(tmp_path: Path, text: str) -> None:
    """As for kind, no nodes are one control plane; empty lists may be null."""
    made = KindConfig.load(config(tmp_path / "user", f"{text}kubeadmConfigPatches: null\n"))
    made.kubelet(failCgroupV1=False)
    written = yaml.safe_load(made.write(tmp_path, "k8ssec-x").read_text())
    assert 1 == made.node_count
    assert "k8ssec-x" == written["name"]
    assert {"kind": "KubeletConfiguration", "failCgroupV1": False} == yaml.safe_load(written["kubeadmConfigPatches"][0])


def test_mounts_are_copied_and_stay_in_the_run(tmp_path: Path) -> None:
    """What is mounted is a copy in the run's folder, also of a place beside the configuration; absolute paths stay."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "ca.pem").write_text("a certificate")
    mounts = "[{hostPath: ../shared, containerPath: /a}, {hostPath: /etc, containerPath: /b}]"
    path = config(tmp_path / "user", f"{HEAD}nodes: [{{role: control-plane, extraMounts: {mounts}}}]\n")
    run = tmp_path / "run"
    run.mkdir()
    document = yaml.safe_load(KindConfig.load(path).write(run, "k8ssec-x").read_text())
    copied, absolute = (Path(mount["hostPath"]) for mount in document["nodes"][0]["extraMounts"])
    assert copied.is_relative_to(run / "mounts")
    assert "a certificate" == (copied / "ca.pem").read_text()
    assert Path("/etc") == absolute
    assert {"mounts", "kind.yaml"} == {each.name for each in run.iterdir()}


def test_packaged_configuration_gets_keys_of_its_own_each_time(tmp_path: Path) -> None:
    """The encryption key of one cluster is fresh, readable for its owner alone, and not that of another cluster."""
    keys = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        KindConfig.load(PACKAGED).write(tmp_path / name, f"k8ssec-{name}")
        file = tmp_path / name / "mounts" / "control-plane" / "encryption.yaml"
        provider = yaml.safe_load(file.read_text())["resources"][0]["providers"][0]
        keys.append(provider["secretbox"]["keys"][0]["secret"])
        assert 0o600 == file.stat().st_mode & 0o777
    assert [32, 32] == [len(base64.b64decode(key)) for key in keys]
    assert keys[0] != keys[1]


def test_replaced_file_is_written_instead(tmp_path: Path) -> None:
    """A sabotage's text takes the place of a mounted file, in its own cluster only."""
    original = KindConfig.load(PACKAGED)
    changed = original.copy()
    changed.replace("control-plane/encryption.yaml", "nothing")
    changed.write(tmp_path, "k8ssec-x")
    assert "nothing" == (tmp_path / "mounts" / "control-plane" / "encryption.yaml").read_text()
    assert {} == original.replaced


def test_planted_file_is_mounted_on_control_planes_only(tmp_path: Path) -> None:
    """It is written into the cluster's folder, readable by nobody else, as it may be a key."""
    path = config(tmp_path / "user", f"{HEAD}nodes: [{{role: control-plane}}, {{role: worker}}]\n")
    changed = KindConfig.load(path)
    changed.plant("/etc/kubernetes/pki/ca.key", "a key")
    written = yaml.safe_load(changed.write(tmp_path, "dev").read_text())
    (mount,) = written["nodes"][0]["extraMounts"]
    assert "/etc/kubernetes/pki/ca.key" == mount["containerPath"]
    assert "a key" == Path(mount["hostPath"]).read_text()
    assert 0o600 == Path(mount["hostPath"]).stat().st_mode & 0o777
    assert tmp_path in Path(mount["hostPath"]).parents
    assert "extraMounts" not in written["nodes"][1]
