"""A search for secrets that has nothing to look for says why."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from pytest_k8ssec.controls.secrets.canary_leak import test_secrets_canary_leak as canary_leak
from pytest_k8ssec.stack import Secret, Stack
from pytest_k8ssec.verdict import Judge, Verdict

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.api import KubeApi
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.pods.pool import Pool


@pytest.mark.parametrize(
    ("secrets", "allowed", "expected"),
    [
        ({}, {}, "the stack was given no secret to look for"),
        ({"a:pin": "1234"}, {}, "no secret that the stack was given has 8 characters"),
        ({"a:key": "a-long-secret-value"}, {"a:key": "public"}, "each secret that the stack was given is declared"),
        (
            {"a:pin": "1234", "a:key": "a-long-secret-value"},
            {"a:key": "public"},
            "given and that is not declared has 8 characters",
        ),
    ],
)
def test_why_nothing_is_looked_for(secrets: dict[str, str], allowed: dict[str, str], expected: str) -> None:
    """One that is too short is a secret all the same."""
    given = {key: Secret(value) for key, value in secrets.items()}
    stack = Stack("dev", "shop", {}, (), True, 1.0, cast("KubeApi", None), given)
    judge = Judge()
    canary_leak(judge, cast("Cluster", None), stack, cast("Pool", None), allowed)
    verdict, why = judge.verdict()
    assert Verdict.NOT_APPLICABLE is verdict
    assert expected in why
