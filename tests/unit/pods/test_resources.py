"""Requests and limits that a namespace lets in."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from pytest_k8ssec.pods.manifests import ROOM
from pytest_k8ssec.pods.resources import quantity, shaped

Mi = 1024**2


def ranged(type_: str = "Container", **limits: Any) -> dict[str, Any]:
    """A LimitRange."""
    return {"spec": {"limits": [{"type": type_, **limits}]}}


def quota(scopes: tuple[str, ...] = (), used: dict[str, str] | None = None, **hard: str) -> dict[str, Any]:
    """A ResourceQuota; ``__`` stands for a dot."""
    named = {key.replace("__", "."): text for key, text in hard.items()}
    return {"spec": {"hard": named, "scopes": list(scopes)}, "status": {"used": used or {}}}


def numbers(resources: dict[str, dict[str, str]], name: str) -> tuple[float, float]:
    """Request and limit."""
    return float(quantity(resources["requests"][name])), float(quantity(resources["limits"][name]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500m", Fraction(1, 2)),
        ("2", 2),
        ("96Mi", 96 * Mi),
        ("1e3", 1000),
        ("1.5Gi", 1536 * Mi),
        ("1k", 1000),
        ("2E", 2 * 10**18),
    ],
)
def test_quantities(text: str, expected: Fraction) -> None:
    """As the API server reads them."""
    assert expected == quantity(text)


def test_what_nothing_speaks_against_stays() -> None:
    """Word for word, also beside bounds that leave it room."""
    wide = ranged(max={"cpu": "4", "memory": "8Gi"}, min={"cpu": "1m", "memory": "1Mi"})
    assert ROOM == shaped(ROOM, []) == shaped(ROOM, [wide], [quota(limits__cpu="100")])


def test_it_fits_between_the_bounds_of_a_container_and_of_a_pod() -> None:
    """The narrowest of them."""
    made = shaped(ROOM, [ranged(max={"cpu": "200m"}, min={"memory": "128Mi"}), ranged("Pod", max={"cpu": "150m"})])
    assert (0.005, 0.15) == numbers(made, "cpu")
    assert (128 * Mi, 128 * Mi) == numbers(made, "memory")


def test_a_limit_is_no_more_than_so_many_times_the_request() -> None:
    """The request follows, as with less an agent does not start."""
    made = shaped(ROOM, [ranged(maxLimitRequestRatio={"cpu": "4", "memory": "1"})])
    assert (0.125, 0.5) == numbers(made, "cpu")
    assert (96 * Mi, 96 * Mi) == numbers(made, "memory")


def test_it_takes_a_part_of_what_a_quota_leaves() -> None:
    """Others come after it."""
    made = shaped(ROOM, [], [quota(limits__cpu="1", used={"limits.cpu": "200m"})])
    assert 0.2 == numbers(made, "cpu")[1]
    tight = shaped(ROOM, [], [quota(limits__cpu="400m", used={"limits.cpu": "320m"}, limits__memory="70Mi")])
    assert 0.08 == numbers(tight, "cpu")[1]
    assert 64 * Mi == numbers(tight, "memory")[1]


def test_quotas_for_other_pods_count_for_nothing() -> None:
    """Those of pods that ask for nothing, or that have a deadline."""
    assert ROOM == shaped(
        ROOM, [], [quota(("Terminating",), limits__cpu="1m"), quota(("BestEffort",), limits__cpu="1m")]
    )


def test_a_request_fits_a_quota_and_the_limit_follows_it() -> None:
    """Where the two are bound together."""
    made = shaped(ROOM, [ranged(maxLimitRequestRatio={"cpu": "2"})], [quota(requests__cpu="50m")])
    assert (0.05, 0.1) == numbers(made, "cpu")


def test_what_a_range_for_pods_bounds_is_said() -> None:
    """It has no defaults."""
    made = shaped(ROOM, [ranged("Pod", min={"ephemeral-storage": "1Mi"}, max={"ephemeral-storage": "2Gi"})])
    assert (Mi, Mi) == numbers(made, "ephemeral-storage")


def test_what_has_no_limit_gets_none() -> None:
    """An offer that lacks one lacks it still."""
    assert {"requests": {"cpu": "10m"}} == shaped({"requests": {"cpu": "5m"}}, [ranged(min={"cpu": "10m"})])
