"""Kubelets: where they listen, how they are asked, and what they run with."""

from __future__ import annotations

from typing import Any

from pytest_k8ssec.agent.tasks import Http
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.clusters.ports import KUBELET_PORT
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.probes.identities import Identity, api_evidence


def kubelet_request(address: str, path: str, identity: Identity, words: str) -> Http:
    """A request to a node's kubelet with somebody's token.

    Args:
        address: one of the node's.
        words: as whom, for the report: ``as our auditor``.
    """
    return Http(address, KUBELET_PORT, path, headers=identity.bearer, identity=words)


def configured(cluster: Cluster, node: Node, *keys: str) -> tuple[Any, Evidence]:
    """One field of a running kubelet's configuration, None where it is not set, as the API server's proxy gets it.

    Raises:
        ProbeError: the kubelet did not tell.
    """
    path = f"/api/v1/nodes/{node.name}/proxy/configz"
    answer = cluster.api.request("GET", path)
    value: Any = answer.body.get("kubeletconfig")
    if not isinstance(value, dict):
        raise ProbeError(f"kubelet on {node.name}: does not tell its configuration: HTTP {answer.status}")
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value, api_evidence("", f"GET {path}: {'.'.join(keys)} is {value!r}", answer)
