"""How many pods nodes still take, and how pods that are too many for them come one lot after the other.

A kubelet runs 110 pods if nobody says otherwise. One more waits for the scheduler, or is refused by the kubelet where its node
is named: see https://kubernetes.io/docs/setup/best-practices/cluster-large/.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.pods.manifests import PodSpec

SPARE = 10
"""Places on each node that stay free: for the stack's own pods, and for others of ours."""


def free_places(api: KubeApi) -> dict[str, int]:
    """By node, how many more pods of one lot fit beside what is there, :data:`SPARE` left free.

    Raises:
        ClusterError: the API server did not list nodes or pods.
    """
    there = Counter(
        pod["spec"].get("nodeName", "")
        for pod in api.list("/api/v1/pods")
        if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
    )
    found = {}
    for node in api.list("/api/v1/nodes"):
        name, most = node["metadata"]["name"], (node.get("status", {}).get("allocatable") or {}).get("pods")
        if most is not None and not node.get("spec", {}).get("unschedulable"):
            found[name] = max(0, int(most) - there[name] - SPARE)
    return found


def lots(specs: Sequence[PodSpec], free: Mapping[str, int]) -> list[list[int]]:
    """The specs by their indices, in lots that fit one after the other; each has at least one, whatever fits.

    Args:
        free: places by node. One that chooses no node takes a place of whichever node has most left.
    """
    found: list[list[int]] = []
    left: dict[str, int] = {}
    for number, spec in enumerate(specs):
        node = node_of(spec)
        for fresh in (False, True):
            if fresh or not found:
                found.append([])
                left = dict(free)
            place = node or max(left, key=lambda name: left[name], default="")
            if left.get(place, 0) > 0 or not found[-1]:
                break
        found[-1].append(number)
        left[place] = left.get(place, 0) - 1
    return found


def node_of(spec: PodSpec) -> str:
    """The node that a pod has to stand on, "" where the scheduler chooses."""
    return str((spec.template or {}).get("spec", {}).get("nodeName") or spec.node)
