"""The bench itself: both programs in turn on the same stored objects, and what is written down of them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from bench.engine.arm import places
from bench.engine.classes import policy_classes
from bench.engine.compare import compared
from bench.engine.scene import Scene, shared, single
from bench.fetch import binary
from bench.reachability.measured import environment, measured

OURS, THEIRS = "k8ssec", "cyclonus"
MATCHER = "cyclonus-matcher"
"""The program around cyclonus' policy engine."""
_SECONDS = 600
_RATIOS = {"shared": "engine_ratio", "single": "engine_ratio_single"}
"""What the ratio of each scene is called in the results."""


def results(folder: Path, repeats: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Both scenes, each program ``repeats`` times in turn.

    Returns:
        ``scenes``, and for each of them a ratio: our answers a second by cyclonus', by the medians of the same run.
    """
    told: dict[str, Any] = {"scenes": [_measured(scene, folder / scene.name, repeats, tell) for scene in scenes()]}
    for each in told["scenes"]:
        told[_RATIOS[each["name"]]] = ratio(each)
    return told


def scenes() -> list[Scene]:
    """Those that are measured."""
    return [shared(), single()]


def ratio(scene: Mapping[str, Any], what: str = "seconds") -> float:
    """How many times as many answers a second are ours, by the median of the runs.

    Args:
        what: ``cpu_seconds`` for those of the processor, which other work on the machine changes less.
    """
    return round(middle(scene, THEIRS, what) / middle(scene, OURS, what), 1)


def middle(scene: Mapping[str, Any], tool: str, what: str) -> float:
    """The median of a figure, over a tool's runs."""
    return float(median(each[what] for each in scene["runs"] if each["tool"] == tool))


def _measured(scene: Scene, folder: Path, repeats: int, tell: Callable[[str], None]) -> dict[str, Any]:
    scene.store(folder)
    answers = {tool: folder / f"{tool}.answers" for tool in (OURS, THEIRS)}
    commands = {
        OURS: [sys.executable, "-m", "bench.engine.arm", str(folder), str(answers[OURS])],
        THEIRS: [str(binary(MATCHER)), str(folder), str(answers[THEIRS])],
    }
    sources, targets = places(scene.namespaces, scene.pods)
    runs, found = [], None
    for _ in range(repeats):
        for tool, command in commands.items():
            cost = measured(command, env=environment(), stdin="", deadline=_SECONDS)
            said = json.loads(cost.said)
            runs.append({
                "tool": tool, **{each: round(said[each], 4) for each in ("seconds", "read_seconds", "cpu_seconds")},
                "load": round(os.getloadavg()[0], 1),
            })  # fmt: skip
            tell(
                f"{scene.name}: {tool} {said['seconds']:.2f} s, {said['cells'] / said['seconds']:,.0f} answers a second"
            )
        again = compared(answers[OURS].read_bytes(), answers[THEIRS].read_bytes(), sources, targets)
        assert found in (None, again), "the same objects gave other answers"
        found = again
    assert found is not None
    return {
        "name": scene.name, "namespaces": len(scene.namespaces), "pods": len(scene.pods), "ports": len(targets),
        "policies": len(scene.policies), "classes": len(set(policy_classes(scene.policies, sources))),
        "cells": found.cells, "unmodelled": found.unmodelled, "different": found.different, "runs": runs,
    }  # fmt: skip
