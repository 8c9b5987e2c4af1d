"""Small stand-ins for what only a real cluster, probe or test run would give."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pytest_k8ssec.catalogue.annotated import control_of
from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.verdict import Judge

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.interface import Cluster

POD = Source("pod", "k8ssec-1/attacker", "10.244.0.7", "worker")
WHEN = "2030-01-02T03:04:05.678Z"


def evidence(outcome: Outcome = Outcome.REFUSED, request: str = "TCP 10.244.0.9:80", **more: Any) -> Evidence:
    """Evidence with a fixed source and time."""
    return Evidence(POD, request, outcome, at=WHEN, **more)


def without(attack: Callable[..., None], words: str) -> Callable[..., None]:
    """``Case.attack`` that records none whose words, or whose place in a control's dimensions, hold these."""

    def some(case: object, what: str, evidence: Evidence, *, at: object = (), **more: Any) -> None:
        if words not in f"{what} {at}":
            attack(case, what, evidence, at=at, **more)

    return some


@dataclass
class FakeCluster:
    """As much of a cluster as sabotage needs."""

    name: str = "k8ssec-1"
    ours: bool = True

    def as_cluster(self) -> Cluster:
        """Itself, as the type checker wants it."""
        return cast("Cluster", self)


@dataclass
class FakeVantage:
    """A place whose agent answers each task as told."""

    answer: Callable[[dict[str, Any]], dict[str, Any]]
    source: Source = POD

    def execute(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Completed:
        """One line a task, and the closing one."""
        stream = io.BytesIO(stdin)
        stream.read(int(stream.readline()))
        told = json.loads(stream.read(int(stream.readline())))
        lines = [{"id": task["id"], **self.answer(task)} for task in told["tasks"]]
        lines.append({"end": told["nonce"]})
        return Completed(tuple(argv), 0, "\n".join(json.dumps(each) for each in lines).encode(), b"")


def judge_of(control: Callable[..., None]) -> Judge:
    """A judge that knows the dimensions of a packaged control, as the plugin makes it."""
    known = control_of(control)
    assert known is not None
    assert known.dimensions
    return Judge(known.dimensions)
