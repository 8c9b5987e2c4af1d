"""Small stand-ins for what only a real cluster, probe or test run would give."""

from __future__ import annotations

from typing import Any

from pytest_k8ssec.evidence import Evidence, Outcome, Source

POD = Source("pod", "k8ssec-1/attacker", "10.244.0.7", "worker")
WHEN = "2030-01-02T03:04:05.678Z"


def evidence(outcome: Outcome = Outcome.REFUSED, request: str = "TCP 10.244.0.9:80", **more: Any) -> Evidence:
    """Evidence with a fixed source and time."""
    return Evidence(POD, request, outcome, at=WHEN, **more)
