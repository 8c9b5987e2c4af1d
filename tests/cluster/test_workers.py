"""Several workers of pytest-xdist on one cluster: none of them gets into another's way."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest

from tests.cluster.harness import PLATFORM, Place

STACK = Path(__file__).parents[2] / "stacks" / "hardened"


def test_two_workers_share_cluster_and_stack(place: Place) -> None:
    """Both deploy the same stack, and each gives its pods, containers and cluster-wide objects names of its own."""
    place.thaws = True
    done = place.pytest(
        "-n2",
        "--k8ssec-controls",
        "-m",
        "api or blast or kubelet or net or node or rbac",
        f"--k8ssec-stack={STACK}",
        *PLATFORM,
        "--k8ssec-report=report",
        environ={"BANK_KEY": secrets.token_hex(16)},
    )
    assert pytest.ExitCode.OK == done.end(400), done.output
    results = json.loads((place.project / "report" / "report.json").read_text())["results"]
    assert {"held"} == {result["verdict"] for result in results}, done.output
    assert 15 < len(results)
    assert [] == place.containers()
