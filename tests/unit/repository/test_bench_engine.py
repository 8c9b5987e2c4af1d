"""The engine's bench: its scenes are what they are said to be, ours answers as the specification, and nothing is hidden."""

from __future__ import annotations

import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from bench.engine import arm
from bench.engine.classes import policy_classes
from bench.engine.compare import compared
from bench.engine.page import engine_page
from bench.engine.run import ratio, scenes
from bench.engine.scene import Scene, shared, single
from pytest_k8ssec.facts.policies.network import End, Peer
from pytest_k8ssec.facts.policies.table import PolicyTable
from tests.unit.facts import policy_semantics


def count(scene: Scene, word: str) -> int:
    """How often a word stands in a scene's policies."""
    return json.dumps(scene.policies).count(f'"{word}"')


def test_a_scene_is_always_the_same() -> None:
    """By its seed."""
    assert [shared(), single()] == scenes()


def test_the_scenes_are_as_large_as_they_are_said_to_be() -> None:
    """A hundred namespaces and policies, a thousand pods, some hundred classes; in the other each pod its own."""
    for scene, least in ((shared(), 300), (single(), 1000)):
        ends, _ = arm.places(scene.namespaces, scene.pods)
        assert (100, 1000, 100) == (len(scene.namespaces), len(scene.pods), len(scene.policies))
        assert least <= len(set(policy_classes(scene.policies, ends)))
    mixed = shared()
    labels = json.dumps([pod["metadata"]["labels"] for pod in mixed.pods])
    assert "statefulset.kubernetes.io/pod-name" in labels
    assert all(count(mixed, word) > 10 for word in ("ipBlock", "except", "http", "endPort", "NotIn", "to", "from"))
    assert any(pod["spec"].get("hostNetwork") for pod in mixed.pods)


@pytest.mark.parametrize("scene", scenes(), ids=lambda scene: scene.name)
def test_what_is_measured_is_right(scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a process it reads the stored objects and answers for each connection; some hundred are held to the specification."""
    scene.store(tmp_path)
    arm.main(tmp_path, tmp_path / "answers")
    answers = (tmp_path / "answers").read_text()
    sources, targets = arm.places(scene.namespaces, scene.pods)
    assert json.loads(capsys.readouterr().out)["cells"] == len(answers) == len(sources) * len(targets)
    chance = random.Random(scene.name)
    for _ in range(300):
        source, target = chance.randrange(len(sources)), chance.randrange(len(targets))
        wanted = policy_semantics.admits(scene.policies, sources[source], *targets[target])
        assert {True: "1", False: "0", None: "?"}[wanted] == answers[source * len(targets) + target]


def test_a_table_keeps_bits_and_no_object_for_each_connection() -> None:
    """With each pod a class of its own, which is the most: two million answers in less than two megabytes."""
    scene = single()
    sources, targets = arm.places(scene.namespaces, scene.pods)
    tracemalloc.start()
    try:
        table = PolicyTable(scene.policies, sources, targets)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(set(table.classes)) == len(sources)
    assert kept < len(sources) * len(targets)


def pod(number: int, node: str = "one", *, hosted: bool = False) -> End:
    """A pod."""
    return End(f"10.0.0.{number}", node, None if hosted else Peer("a", {}, {}))


def test_an_answer_that_differs_is_counted() -> None:
    """But where cyclonus has no rule: it knows no nodes, and a pod may be kept from itself."""
    ends = [pod(1), pod(2), pod(3, hosted=True), pod(4, "two")]
    targets = [(end, 80, "TCP") for end in ends]
    same = b"1" * 16
    found = compared(same, same, ends, targets)
    assert (16, 0) == (found.cells, found.different)
    skipped = {0, 5, 10, 15} | {2, 6, 8, 9}
    assert len(skipped) == found.unmodelled
    for at in range(16):
        other = same[:at] + b"0" + same[at + 1 :]
        assert (at not in skipped) == compared(same, other, ends, targets).different


def test_an_answer_that_is_missing_is_an_error() -> None:
    """Of either."""
    ends = [pod(1), pod(2)]
    with pytest.raises(ValueError, match="3 and 4 answers for 4"):
        compared(b"111", b"1111", ends, [(end, 80, "TCP") for end in ends])


def run(tool: str, seconds: float) -> dict[str, Any]:
    """One of a tool."""
    return {"tool": tool, "seconds": seconds, "read_seconds": 0.1, "cpu_seconds": seconds**2, "load": 3.0}


def test_the_page_tells_the_medians_and_what_differed() -> None:
    """And how much was not compared."""
    scene = {
        "name": "shared", "namespaces": 1, "pods": 10, "ports": 20, "policies": 5, "classes": 4, "cells": 200,
        "unmodelled": 20, "different": 3,
        "runs": [run("k8ssec", 0.1), run("cyclonus", 1.0), run("k8ssec", 0.2), run("cyclonus", 3.0),
                 run("k8ssec", 0.9), run("cyclonus", 9.0)],
    }  # fmt: skip
    assert ratio(scene) == pytest.approx(15.0)
    text = engine_page({"date": "2026-01-01", "processors": 2, "versions": {"cyclonus": "v1"}, "scenes": [scene]})
    assert "| shared | 10 | 4 | 5 | 200 | k8ssec | 0.20 (0.10 to 0.90) | 1,000 | 0.04 | 3 |" in text
    assert "15.0 times as many answers a second as cyclonus; 225.0 times, by CPU seconds." in text
    assert "180 answers compared, 3 different; 20 not compared." in text
