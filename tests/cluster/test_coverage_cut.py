"""What a control stops trying, it misses: on a real cluster that holds, of each packaged control."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pytest_k8ssec.catalogue.control import Control
from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.clusters.kind import KindCluster
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import Judge, Verdict
from tests.cluster.world import World, lone_world

ELSEWHERE = {"sup-pull-auth"}
"""Held on a cluster of its own only: see test_pull_auth."""


@pytest.fixture(scope="module")
def world(cluster: KindCluster, stack: Stack, pool: Pool) -> Iterator[World]:
    """The cluster that holds, with the hardened stack on it, and no pods of other tests' there."""
    with lone_world(cluster, stack, pool) as made:
        yield made


@pytest.mark.parametrize(
    "control", [each for each in packaged_controls() if each.id not in ELSEWHERE], ids=lambda each: each.id
)
def test_what_is_not_tried_is_missed(world: World, control: Control) -> None:
    """All but what the first attack tries is cut; where that leaves nothing untried, that too. What is missing is named."""
    judge = Judge(control.dimensions)
    world.recorded(control, judge)
    assert (Verdict.HELD, "") == judge.verdict()
    assert control.dimensions
    assert judge.coverage.to_json(judge.tried) is not None
    if not _cut(judge, keep=1):
        assert _cut(judge, keep=0)
    verdict, why = judge.verdict()
    assert Verdict.INCONCLUSIVE is verdict
    named = why.partition("not tried: ")[2]
    assert named
    assert all(f"{dimension} " in named for dimension in control.dimensions)


def _cut(judge: Judge, *, keep: int) -> bool:
    """Forget what attacks tried, but for the first ones that tried something. Returns whether anything is untried then."""
    kept = 0
    for case in judge.cases:
        for number, attack in enumerate(case.attacks):
            if attack.tries:
                kept += 1
                case.attacks[number] = attack if kept <= keep else replace(attack, tries=())
    return bool(judge.coverage.untried(judge.tried))
