"""Doors of the network: one address of two is enough, and the furthest answer is what counts."""

from __future__ import annotations

from typing import Any, cast

import pytest

from pytest_k8ssec.agent.tasks import Tcp
from pytest_k8ssec.agent.vantage import Answer
from pytest_k8ssec.attack.container import Container
from pytest_k8ssec.attack.graph import Edge, Status, Vertex
from pytest_k8ssec.attack.network import _door
from pytest_k8ssec.evidence import Evidence, Outcome
from tests.unit.fakes import evidence

FOUR, SIX = Tcp("10.0.0.2", 10250), Tcp("fd00::2", 10250)


class Here:
    """A container that only makes edges."""

    def edge(self, _kind: str, _target: Vertex, status: Status, shown: Evidence) -> Any:
        """As told."""
        return type("Made", (), {"status": status, "evidence": shown})


def said(**outcomes: Outcome) -> dict[str, Answer]:
    """Answers by the address that was tried."""
    tasks = {"four": FOUR, "six": SIX}
    return {str(tasks[name]): Answer(evidence(each, str(tasks[name])), {}) for name, each in outcomes.items()}


OPEN, SHUT, BROKEN = Outcome.OPEN, Outcome.NO_ANSWER, Outcome.ERROR


@pytest.mark.parametrize(
    ("found", "shown", "expected"),
    [
        ((SHUT, OPEN), (OPEN, OPEN), [Status.PROVEN]),
        ((OPEN, SHUT), (OPEN, OPEN), [Status.PROVEN]),
        ((SHUT, SHUT), (OPEN, OPEN), [Status.REFUTED]),
        ((SHUT, BROKEN), (OPEN, OPEN), [Status.UNKNOWN]),
        ((SHUT, SHUT), (SHUT, OPEN), [Status.REFUTED]),
        ((SHUT, SHUT), (SHUT, SHUT), []),
    ],
)
def test_a_door_is_open_if_it_is_so_at_one_address(
    found: tuple[Outcome, Outcome], shown: tuple[Outcome, Outcome], expected: list[Status]
) -> None:
    """A policy may let out by IPv6 only; what can't be told at one of them is not refuted."""
    answers, known = (said(four=four, six=six) for four, six in (found, shown))
    edges: list[Edge] = [*_door(cast("Container", Here()), (FOUR, SIX), "kubelet on worker", answers, known)]
    assert expected == [edge.status for edge in edges]
