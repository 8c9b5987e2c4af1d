"""What an answer of admission counts for: let in, refused by a policy, or neither."""

from __future__ import annotations

from typing import cast

import pytest

from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.controls.adm import psa
from pytest_k8ssec.controls.adm.limits import _lacking, _unbound
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.probes.admission import admitted
from pytest_k8ssec.probes.pool import Pool
from pytest_k8ssec.stack import Resource, Stack
from pytest_k8ssec.verdict import Judge, Verdict
from tests.unit.fakes import evidence


@pytest.mark.parametrize(
    ("status", "words", "expected"),
    [
        (201, "", True),
        (200, "", True),
        (403, "ValidatingAdmissionPolicy 'x' with binding 'x' denied request: no", False),
        (422, 'admission webhook "x" denied the request: no', False),
        (403, "Use of external IPs is denied by admission control", False),
        (403, 'User "x" cannot create resource "pods"', None),
        (422, "spec.containers[0].image: Required value", None),
        (500, "denied", None),
        (429, "", None),
    ],
)
def test_only_a_policy_refuses(status: int, words: str, expected: bool | None) -> None:
    """A 403 of RBAC and a 422 of validation are no denials."""
    assert expected is admitted(evidence(Outcome.HTTP, status=status, detail=words))


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, ["cpu", "memory"]),
        ({"limits": {"cpu": "1"}}, ["memory"]),
        ({"requests": {"cpu": "1", "memory": "1Gi"}}, ["cpu", "memory"]),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, []),
    ],
)
def test_limits_are_looked_for_in_what_comes_back(resources: dict[str, dict[str, str]], expected: list[str]) -> None:
    """Requests bound nothing."""
    bounded = {"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}
    assert expected == _lacking({"spec": {"containers": [bounded, {"resources": resources}]}})


def test_a_quota_that_asks_for_limits_is_a_bound() -> None:
    """Its refusal names what is missing; one for too many pods says nothing of limits."""
    asks = evidence(Outcome.HTTP, status=403, detail="failed quota: team: must specify limits.cpu for: probe")
    full = evidence(Outcome.HTTP, status=403, detail="exceeded quota: team, requested: pods=1, used: pods=24")
    assert (False, None) == (_unbound(asks, []), _unbound(full, []))


def test_labels_alone_say_nothing_of_pods() -> None:
    """A stack that has nowhere to run a pod is not held because its accounts can't relabel other people's namespaces."""
    account = Resource("urn", "kubernetes:core/v1:ServiceAccount", "shop", "default")
    stack = Stack("dev", "shop", {}, (account,), True, 1.0, cast("KubeApi", None))
    judge = Judge()
    psa.test_adm_psa(judge, cast("Cluster", None), stack, cast("Pool", None))
    assert Verdict.NOT_APPLICABLE is judge.verdict()[0]
