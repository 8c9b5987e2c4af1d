"""Tests of a team that has many plugins."""

import asyncio
from importlib import import_module
from pathlib import Path

import pytest

from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.verdict import Judge

THEIRS = {"pytest-kind", "pytest-kubernetes", "pytest-randomly", "pytest-rerunfailures", "pytest-timeout"}


@pytest.mark.asyncio
async def test_shop_waits(cluster: Cluster) -> None:
    """A coroutine that asks for a cluster of ours."""
    await asyncio.sleep(0)
    assert cluster.nodes


def test_shop_has_its_plugins(request: pytest.FixtureRequest) -> None:
    """And what they measure."""
    there = {dist.project_name for _, dist in request.config.pluginmanager.list_plugin_distinfo()}
    assert there >= THEIRS
    assert import_module("shop").price() == 3


def test_shop_door(judge: Judge) -> None:
    """Open at first, closed when it is tried again."""
    seen = Path("seen")
    opened = not seen.exists()
    seen.touch()
    case = judge.case("door")
    outcome = Outcome.OPEN if opened else Outcome.REFUSED
    case.attack("knock", Evidence(Source("client", "this test"), "TCP 10.0.0.9:80", outcome), through=opened)
    case.positive("it is there", Evidence(Source("client", "us"), "TCP 10.0.0.9:81", Outcome.OPEN), succeeded=True)
