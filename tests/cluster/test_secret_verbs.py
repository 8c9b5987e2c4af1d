"""Which verbs answer with a Secret's data: what rbac-secrets-read takes for a way to read one, and what it does not."""

from __future__ import annotations

import secrets
from base64 import b64encode

import pytest

from pytest_k8ssec.clusters.headers import MERGE_PATCH
from pytest_k8ssec.clusters.kind import KindCluster
from pytest_k8ssec.pods.pool import Pool

_DRY_RUN = {"dryRun": "All"}


@pytest.mark.parametrize(
    ("method", "of_one", "answers"),
    [
        ("GET", True, True),
        ("GET", False, True),
        ("PATCH", True, True),
        ("DELETE", False, True),
        ("PUT", True, False),
        ("DELETE", True, False),
    ],
    ids=["get", "list", "patch", "deletecollection", "update", "delete"],
)
def test_what_a_verb_answers_with(
    cluster: KindCluster, pool: Pool, method: str, *, of_one: bool, answers: bool
) -> None:
    """A value that only the stored Secret has comes back, or does not; it is there afterwards."""
    name, value = f"k8ssec-{secrets.token_hex(3)}", b64encode(secrets.token_bytes(12)).decode()
    meta = {"name": name, "namespace": pool.namespace("verbs")}
    path = f"/api/v1/namespaces/{meta['namespace']}/secrets"
    itself = {"apiVersion": "v1", "kind": "Secret", "metadata": meta}
    with cluster.api.applied({**itself, "data": {"it": value}}):
        answer = cluster.api.request(
            method,
            f"{path}/{name}" if of_one else path,
            params={} if method == "GET" else _DRY_RUN,
            headers=MERGE_PATCH if method == "PATCH" else {},
            body={"PATCH": {}, "PUT": itself}.get(method),
        )
        assert answer.ok
        assert (value in str(answer.body)) is answers
        assert value == cluster.api.call("GET", f"{path}/{name}")["data"]["it"]
