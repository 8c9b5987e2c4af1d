"""Pods of one class have the same answers, whatever the policies say; and what no policy asks makes no class."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations
from typing import Any

import pytest

from pytest_k8ssec.facts.policies.network import End, Peer
from pytest_k8ssec.facts.policies.pod_classes import NO_PORT, pod_classes
from tests.unit.facts import policy_scenes, policy_semantics

SEEDS = range(30)


def scene(seed: int) -> tuple[list[dict[str, Any]], list[End]]:
    """Policies, and pods on one node, with addresses of their own."""
    chance = random.Random(seed)
    found = [end for end in policy_scenes.ends(chance, 40) if end.pod is not None and end.address]
    return policy_scenes.policies(chance, chance.randint(1, 5)), [
        End(end.address, "one", end.pod, end.named) for end in found
    ]


def alike(classes: list[int]) -> list[tuple[int, int]]:
    """Pairs of one class."""
    return [(one, other) for one, other in combinations(range(len(classes)), 2) if classes[one] == classes[other]]


@pytest.mark.parametrize("seed", SEEDS)
def test_two_of_a_class_have_the_same_answers(seed: int) -> None:
    """As sources, to everybody else; and as targets, at a port of both, from everybody else."""
    policies, ends = scene(seed)
    ports = [(end, 80, "TCP") for end in ends]
    for one, other in alike(pod_classes(policies, [(end, *NO_PORT) for end in ends])):
        for at, target in enumerate(ports):
            if at not in (one, other):
                answers = [policy_semantics.admits(policies, ends[each], *target) for each in (one, other)]
                assert answers[0] is answers[1]
    for one, other in alike(pod_classes(policies, ports)):
        for at, source in enumerate(ends):
            if at not in (one, other):
                answers = [policy_semantics.admits(policies, source, *ports[each]) for each in (one, other)]
                assert answers[0] is answers[1]


def test_the_scenes_have_pairs_of_a_class_and_pairs_of_two() -> None:
    """Else the comparison would be about nothing."""
    counts: Counter[bool] = Counter()
    for seed in SEEDS:
        policies, ends = scene(seed)
        classes = pod_classes(policies, [(end, 80, "TCP") for end in ends])
        counts.update(one == other for one, other in combinations(classes, 2))
    assert min(counts[True], counts[False]) > 1000, counts


def policy(*rules: dict[str, Any]) -> dict[str, Any]:
    """For what enters the pods of namespace a."""
    return {"metadata": {"namespace": "a"}, "spec": {"podSelector": {}, "ingress": list(rules)}}


def pods(*labels: dict[str, str]) -> list[tuple[End, int, str]]:
    """One for each."""
    return [(End(f"10.0.0.{number}", "one", Peer("a", {}, each)), 80, "TCP") for number, each in enumerate(labels)]


def test_labels_that_no_selector_mentions_make_no_class() -> None:
    """Nor does an address that no block tells apart."""
    rule = {"from": [{"podSelector": {"matchLabels": {"app": "x"}}}]}
    assert [0, 0, 1] == pod_classes([policy(rule)], pods({"app": "x", "pod": "1"}, {"app": "x"}, {"pod": "3"}))
    assert [0, 0, 0] == pod_classes([], pods({"app": "x"}, {}, {"pod": "3"}))


def test_two_peers_of_one_rule_make_two_classes() -> None:
    """They are let in alike; but a network may have put one of them into force and not the other."""
    rule = {"from": [{"podSelector": {"matchLabels": {"app": each}}} for each in "xy"]}
    assert [0, 1, 2] == pod_classes([policy(rule)], pods({"app": "x"}, {"app": "y"}, {}))


def test_a_block_and_a_port_make_a_class() -> None:
    """Each by itself."""
    assert [0, 0, 1] == pod_classes([policy({"from": [{"ipBlock": {"cidr": "10.0.0.0/31"}}]})], pods({}, {}, {}))
    (end, _, _), *_ = pods({})
    assert [0, 1] == pod_classes([policy({"ports": [{"port": 80}]})], [(end, 80, "TCP"), (end, 81, "TCP")])
