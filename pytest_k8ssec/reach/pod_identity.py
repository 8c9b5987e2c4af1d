"""Whether pods are still the ones that they were, and how new the newest of them is."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterable, Mapping

from pytest_k8ssec.clusters.api import Body, KubeApi
from pytest_k8ssec.evidence import JSON


def life(pod: Body) -> str:
    """A fingerprint that changes when the pod is replaced, gets another address, or restarts a container."""
    status = pod["status"]
    addresses = [status.get("podIP"), *(each.get("ip") for each in status.get("podIPs") or ())]
    told = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    runs = sorted(
        (each["name"], each.get("restartCount", 0), (each.get("state", {}).get("running") or {}).get("startedAt") or "")
        for each in told
    )
    return json.dumps([pod["metadata"]["uid"], addresses, runs])


def lives(api: KubeApi, namespaces: Iterable[str]) -> frozenset[str]:
    """The fingerprints of all pods that are in some namespaces now. Raises ClusterError."""
    return frozenset(life(pod) for name in namespaces for pod in api.list(f"/api/v1/namespaces/{name}/pods"))


def newest(bodies: Iterable[Mapping[str, JSON]]) -> float:
    """When the newest of some objects was created, by this process's monotonic clock; long ago if there is none.

    The times are the API server's. If its clock is ahead of this machine's, nothing counts as newer than now.
    """
    texts = [text for body in bodies if (text := body["metadata"].get("creationTimestamp"))]
    made = [dt.datetime.fromisoformat(text).timestamp() for text in texts]
    now = time.monotonic()
    return min(now, now - time.time() + max(made)) if made else float("-inf")
