"""Small stand-ins for what only a real cluster, probe or test run would give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pytest_k8ssec.evidence import Evidence, Outcome, Source

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.interface import Cluster

POD = Source("pod", "k8ssec-1/attacker", "10.244.0.7", "worker")
WHEN = "2030-01-02T03:04:05.678Z"


def evidence(outcome: Outcome = Outcome.REFUSED, request: str = "TCP 10.244.0.9:80", **more: Any) -> Evidence:
    """Evidence with a fixed source and time."""
    return Evidence(POD, request, outcome, at=WHEN, **more)


@dataclass
class FakeCluster:
    """As much of a cluster as sabotage needs."""

    name: str = "k8ssec-1"
    ours: bool = True

    def as_cluster(self) -> Cluster:
        """Itself, as the type checker wants it."""
        return cast("Cluster", self)
