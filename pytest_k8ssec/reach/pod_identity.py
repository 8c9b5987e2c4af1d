"""Whether pods are still the ones that they were, and how new the newest of them is."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterable

from pytest_k8ssec.clusters.api import Body, KubeApi


def life(pod: Body) -> str:
    """What is another one as soon as the pod, its address, or the run of one of its containers is."""
    status = pod["status"]
    addresses = [status.get("podIP"), *(each.get("ip") for each in status.get("podIPs") or ())]
    told = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    runs = sorted(
        (each["name"], each.get("restartCount", 0), (each.get("state", {}).get("running") or {}).get("startedAt") or "")
        for each in told
    )
    return json.dumps([pod["metadata"]["uid"], addresses, runs])


def lives(api: KubeApi, namespaces: Iterable[str]) -> frozenset[str]:
    """Those of all pods that are in some namespaces now. Raises ClusterError."""
    return frozenset(life(pod) for name in namespaces for pod in api.list(f"/api/v1/namespaces/{name}/pods"))


def newest(bodies: Iterable[Body]) -> float:
    """When the newest of some objects came to be, on this process's monotonic clock; long ago where there is none.

    By the API server's clock: one that is ahead of this machine's makes nothing newer than now.
    """
    texts = [text for body in bodies if (text := body["metadata"].get("creationTimestamp"))]
    made = [dt.datetime.fromisoformat(text).timestamp() for text in texts]
    now = time.monotonic()
    return min(now, now - time.time() + max(made)) if made else float("-inf")
