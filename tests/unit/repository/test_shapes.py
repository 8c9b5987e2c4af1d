"""Shapes of clusters: each is the hardened cluster with its change, and each difference to *held* has a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.shapes import run
from bench.shapes.__main__ import main
from bench.shapes.run import judge
from bench.shapes.shape import ELSEWHERE, HARDENED, SHAPES, judged, read, shapes
from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.clusters.kindconfig import PACKAGED, KindConfig
from pytest_k8ssec.errors import SettingsError


def written(folder: Path, **text: Any) -> Path:
    """A shape in a file."""
    file = folder / "odd.yaml"
    file.write_text(yaml.safe_dump(text))
    return file


@pytest.mark.parametrize("name", sorted(shapes()))
def test_a_shape_is_the_hardened_cluster_but_for_its_change(tmp_path: Path, name: str) -> None:
    """Each control plane has the files that harden it, every patch is there, and so is what is done afterwards."""
    hardened, found = KindConfig.load(PACKAGED), KindConfig.load(shapes()[name].write(tmp_path / name))
    patches = hardened.document["kubeadmConfigPatches"]
    assert patches == found.document["kubeadmConfigPatches"][: len(patches)]
    planes = [node for node in found.document["nodes"] if node["role"] == "control-plane"]
    assert planes
    assert all(node["extraMounts"] == hardened.document["nodes"][0]["extraMounts"] for node in planes)
    assert hardened.after == found.after[: len(hardened.after)]
    assert found.document != hardened.document


def test_every_shape_of_the_list_is_there() -> None:
    """Those that the project promises to judge."""
    wanted = (
        "cluster-domain dual-stack five-nodes ipv6 nftables one-node other-networks tainted-nodes three-control-planes"
    )
    assert wanted.split() == sorted(file.stem for file in SHAPES.glob("*.yaml"))


def test_where_there_are_more_api_servers_more_is_agreed_to(tmp_path: Path) -> None:
    """By the same program, in a folder of its own; elsewhere it is the hardened stack itself."""
    stack = shapes()["three-control-planes"].stack(tmp_path)
    assert (HARDENED / "__main__.py").read_text() == (stack / "__main__.py").read_text()
    before, after = (yaml.safe_load((each / "blast-radius.yaml").read_text()) for each in (HARDENED, stack))
    edges = [each["workloads"]["batch/reporter"].pop("edges") for each in (before, after)]
    assert before == after
    assert {"API server on control-plane2", "API server on control-plane3"} == {
        edge.rpartition("endpoint:")[2] for edge in {*edges[1]} - {*edges[0]}
    }
    assert HARDENED == shapes()["one-node"].stack(tmp_path)


def test_all_controls_are_compared_but_those_with_clusters_of_their_own() -> None:
    """So that a new control is judged on each shape."""
    assert {each.id for each in packaged_controls()} == {*judged(), *ELSEWHERE}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ({}, "missing or unknown: about"),
        ({"about": "a", "surprise": 1}, "missing or unknown: surprise"),
        ({"about": "a", "expected": {"etcd": {"verdict": "held", "reason": "r"}}}, "etcd is no control"),
        ({"about": "a", "expected": {"etcd-exposed": {"verdict": "fine", "reason": "r"}}}, "a verdict and a reason"),
        ({"about": "a", "expected": {"etcd-exposed": {"verdict": "breached", "reason": ""}}}, "a verdict and a reason"),
    ],
)
def test_a_shape_that_says_too_little_is_refused(tmp_path: Path, text: dict[str, Any], words: str) -> None:
    """With its name."""
    with pytest.raises(SettingsError, match=words) as caught:
        read(written(tmp_path, **text))
    assert "odd.yaml" in str(caught.value)


def test_a_report_is_compared_control_by_control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another verdict is wrong, and so is none at all; what was written down before is right."""
    said = {"verdict": "breached", "reason": "each listens for the others"}
    shape = read(written(tmp_path, about="a", networking={"ipFamily": "dual"}, expected={"etcd-exposed": said}))
    verdicts = dict.fromkeys(judged(), "held") | {"etcd-exposed": "breached", "net-metadata": "inconclusive"}
    del verdicts["api-tls"]
    results = [{"control": each, "verdict": one, "reason": "first\nsecond"} for each, one in verdicts.items()]

    def pytest_ran(_command: object, folder: Path, _environ: object, **_: object) -> str:
        (folder / "report.json").write_text(json.dumps({"results": results}))
        return "pytest ended with 1"

    monkeypatch.setattr(run, "run_to_end", pytest_ran)
    rows, came = judge(shape, tmp_path / "odd")
    assert not came.again
    wrong = {row.control: row.got for row in rows if not row.right}
    assert {"api-tls", "net-metadata"} == wrong.keys()
    assert wrong["net-metadata"] == "inconclusive (first)"
    assert wrong["api-tls"].startswith("no verdict: pytest ended with 1; see ")
    results.append({"control": "api-tls", "verdict": "held", "reason": ""})
    assert [not judge(shape, tmp_path / "odd")[1].again, judge(shape, tmp_path / "odd")[1].again] == [True, True]


def test_a_shape_that_there_is_not_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is made."""
    with pytest.raises(SystemExit) as caught:
        main(["--only", "round"])
    assert 2 == caught.value.code
    assert "one-node" in capsys.readouterr().err
