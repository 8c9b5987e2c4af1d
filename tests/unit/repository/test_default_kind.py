"""docs/explanation/default-kind.md: what is measured is told as it was measured, and a page of other runs is never written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from docs import default_kind
from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.clusters.kindconfig import KindConfig

PLAIN = Path(__file__).parents[3] / "stacks" / "plain"
CONTROLS = packaged_controls()
IDS = {each.id for each in CONTROLS}


def report(stack: str, verdicts: dict[str, str]) -> dict[str, Any]:
    """A report of all controls; those that are not named are held."""
    return {
        "run": {
            "started": "2030-01-02T03:04:05Z",
            "seconds": 98.6,
            "stack": {"project": stack} if stack else {},
            "versions": {"kubernetes-server": "v1.36.3", "pytest-k8ssec": "0.1.0"},
            "host": {"system": "Linux", "release": "6.18.1-vendor", "machine": "x86_64"},
        },
        "results": [{"control": ident, "verdict": verdicts.get(ident, "held")} for ident in sorted(IDS)],
    }


BARE = {each.id: "inconclusive" for each in CONTROLS if each.subject == "stack"} | {"aud-events": "breached"}
SHOP = {"aud-events": "breached", "etcd-plaintext": "breached", "secrets-canary-leak": "not-applicable"}


def rows(lines: list[str]) -> dict[str, list[str]]:
    """The cells of each control's row."""
    split = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| [")]
    return {cells[0].partition("]")[0].removeprefix("["): cells[1:] for cells in split}


def test_each_control_has_its_row() -> None:
    """What was reasoned, what was measured without and with a stack, and why where that is not the same."""
    lines = list(default_kind.page(report("", BARE), report("plain", SHOP)))
    found = rows(lines)
    assert IDS == set(found)
    assert ["breached", "breached", "**breached**", ""] == found["aud-events"]
    assert ["held", "held", "**breached**", "differs from what was reasoned"] == found["etcd-plaintext"]
    assert ["held", "no stack", "held", ""] == found["rbac-escalation"]
    assert ["", "no stack", "not-applicable", default_kind.WHY["secrets-canary-leak"]] == found["secrets-canary-leak"]
    text = " ".join(lines)
    assert f"{len(IDS) - 3} held, 2 breached, 0 inconclusive, 1 not-applicable" in text
    assert "Linux 6.18.1, x86_64" in text


def test_of_each_control_something_is_said() -> None:
    """Reasoned beforehand, or told why not."""
    assert IDS <= {*default_kind.REASONED, *default_kind.WHY}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda bare, _: bare["results"].pop(),
        lambda _, shop: shop["results"].append({"control": "made-up", "verdict": "held"}),
        lambda bare, _: bare["run"].update(stack={"project": "plain"}),
        lambda _, shop: shop["run"].update(stack={"project": "platform"}),
        lambda bare, _: bare["run"]["versions"].update({"kubernetes-server": "v1.35.0"}),
    ],
)
def test_reports_of_something_else_are_refused(spoil: Callable[[dict[str, Any], dict[str, Any]], object]) -> None:
    """Controls left out, another stack, another version."""
    bare, shop = report("", BARE), report("plain", SHOP)
    spoil(bare, shop)
    with pytest.raises(ValueError, match="report: "):
        list(default_kind.page(bare, shop))


def test_the_page_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From two files."""
    monkeypatch.setattr(default_kind, "PAGE", tmp_path / "page.md")
    for name, made in (("bare", report("", BARE)), ("shop", report("plain", SHOP))):
        (tmp_path / name).write_text(json.dumps(made))
    assert 0 == default_kind.main([str(tmp_path / "bare"), str(tmp_path / "shop")])
    assert IDS == set(rows((tmp_path / "page.md").read_text().splitlines()))


def test_the_page_that_is_there_is_of_controls_that_are_there() -> None:
    """It tells of none that is gone; one that is new waits for the next measurement."""
    found = rows(default_kind.PAGE.read_text(encoding="utf-8").splitlines())
    assert found
    assert set(found) <= IDS


def test_the_plain_cluster_is_what_kind_makes_by_default() -> None:
    """Its configuration says how many nodes, and nothing else."""
    found = KindConfig.load(PLAIN / "kind.yaml")
    assert {"kind", "apiVersion", "nodes", "kubeadmConfigPatches"} == set(found.document)
    assert [{"role": "control-plane"}, {"role": "worker"}] == found.document["nodes"]
    assert [] == found.document["kubeadmConfigPatches"] == found.after
