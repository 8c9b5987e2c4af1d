"""The table of many connections gives what the specification gives for each of them."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache
from typing import Any

import pytest

from pytest_k8ssec.facts.admin_policies import AdminPolicy, unread
from pytest_k8ssec.facts.policies import End, Peer
from pytest_k8ssec.facts.policy_table import ANSWERS, EndPort, PolicyTable
from tests.unit.facts import policy_scenes, policy_semantics
from tests.unit.facts.policy_scenes import NODE_LABELS

SEEDS = range(60)
Scene = tuple[list[dict[str, Any]], list[dict[str, Any]], list[End], list[EndPort]]


@cache
def scene(seed: int) -> Scene:
    """Policies, policies for the whole cluster in two scenes of three, ends, and ports of theirs."""
    chance = random.Random(seed)
    ends = policy_scenes.ends(chance, 14)
    policies = policy_scenes.policies(chance, chance.randint(1, 12))
    admin = policy_scenes.admin(chance, chance.randint(1, 4) if seed % 3 else 0)
    return policies, admin, ends, policy_scenes.entrances(chance, ends)


def table_of(seed: int) -> PolicyTable:
    """What is computed for a scene."""
    policies, admin, ends, targets = scene(seed)
    read = [AdminPolicy(each["kind"], each) for each in admin]
    assert not any(map(unread, read))
    return PolicyTable(policies, ends, targets, read, NODE_LABELS)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_cell_is_as_the_specification_says(seed: int) -> None:
    """Rows, single answers, and who is isolated: no difference, and nothing that was left open is answered."""
    policies, admin, ends, targets = scene(seed)
    table = table_of(seed)
    for number, source in enumerate(ends):
        wanted = [policy_semantics.admits(policies, source, *target, admin, NODE_LABELS) for target in targets]
        assert wanted == [ANSWERS[answer] for answer in table.row(number)]
        assert wanted == [table.answer(number, at) for at in range(len(targets))]
        assert policy_semantics.isolated(policies, source, "Egress", admin) is table.isolates_source(number)
    wanted = [policy_semantics.isolated(policies, end, "Ingress", admin) for end, _, _ in targets]
    assert wanted == [table.isolates_target(at) for at in range(len(targets))]


def test_the_scenes_have_answers_of_each_kind() -> None:
    """Else the comparison would be about nothing."""
    count: Counter[bool | None] = Counter()
    for seed in SEEDS:
        table = table_of(seed)
        count.update(ANSWERS[answer] for number in range(len(scene(seed)[2])) for answer in table.row(number))
    assert all(count[answer] > 300 for answer in ANSWERS), count


def test_sources_that_the_same_rules_are_about_are_one_class() -> None:
    """Labels that no selector mentions, and addresses that no block tells apart, make no class."""
    policies: list[dict[str, Any]] = [
        {
            "metadata": {"namespace": "a"},
            "spec": {"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]},
        }
    ]
    sources = [
        End(f"10.0.0.{number}", "one", Peer("a", {"team": "t"}, {"app": app, "pod": f"{app}-{number}"}))
        for number, app in enumerate(("web", "web", "db", "api"))
    ]
    assert [0, 0, 1, 1] == PolicyTable(policies, sources, [(end, 80, "TCP") for end in sources]).classes


def test_nothing_to_reach_and_nobody_to_send_are_no_error() -> None:
    """Empty rows, and no rows."""
    end = End("10.0.0.1", "one", Peer("a", {}, {}))
    assert b"" == PolicyTable([], [end], []).row(0)
    assert [] == PolicyTable([], [], [(end, 80, "TCP")]).classes
