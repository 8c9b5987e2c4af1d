"""Offers objects to the API server as dry runs, to see what admission makes of them."""

from __future__ import annotations

import time
from typing import Any

from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import ProbeError, as_probe_error
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.probes.identities import api_evidence

_POLICY_SECONDS = 15
_PAUSE = 0.3


def offered(
    cluster: Cluster, path: str, manifest: dict[str, Any], *, method: str = "POST", **options: Any
) -> tuple[Evidence, Body]:
    """Offer an object as a dry run: 201 (for a change, 200) means that it would be stored.

    Returns:
        the evidence, and the object as it would be stored (or the Status that refuses it).

    Raises:
        ProbeError: no HTTP answer came.
    """
    with as_probe_error():
        answer = cluster.api.request(method, path, body=manifest, params={"dryRun": "All"}, **options)
    return api_evidence("our administrator", f"{method} {path} (dry run)", answer), answer.body


def admitted(answer: Evidence) -> bool | None:
    """Whether an offered object was let in; None where the answer says neither.

    Policies, webhooks and plugins refuse with 403 or 422 and say "denied"; RBAC and validation use other words.
    """
    if answer.status in {200, 201}:
        return True
    return False if answer.status in {403, 422} and "denied" in answer.detail.lower() else None


def await_admission(cluster: Cluster, path: str, manifest: dict[str, Any], *, let_in: bool) -> Evidence:
    """Offer an object until admission decides as expected: a new policy takes a moment, and nothing announces it.

    Raises:
        ProbeError: that did not happen in time, or no HTTP answer came.
    """
    end = time.monotonic() + _POLICY_SECONDS
    while True:
        answer, _ = offered(cluster, path, manifest)
        if admitted(answer) is let_in:
            return answer
        if time.monotonic() > end:
            raise ProbeError(
                f"POST {path}: is not {'let in' if let_in else 'denied'} within {_POLICY_SECONDS} s: {answer}"
            )
        time.sleep(_PAUSE)
