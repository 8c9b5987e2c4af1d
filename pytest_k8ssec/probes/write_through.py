"""Objects of ours that are written through one chosen API server, from its own node."""

from __future__ import annotations

import base64
import json
import time

from pytest_k8ssec.agent.tasks import host_and_port
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.clusters.ports import API_SERVER_PORT
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.facts.node import node_source

_KUBECTL = ("kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "--request-timeout", "10s")


def write_secret(cluster: Cluster, node: Node, namespace: str, name: str, value: str) -> Evidence:
    """Write a Secret through the API server of one control-plane node, and read it back through the same.

    Returns:
        evidence with status 200 if the value read back equals the value written. The evidence never holds the value.

    Raises:
        ProbeError: the node could not be asked, or the API server refused.
    """
    server = f"https://{host_and_port(node.address, API_SERVER_PORT)}"
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": {"canary": value},
    }
    started = time.monotonic()
    cluster.on_node(node, [*_KUBECTL, "--server", server, "create", "-f", "-"], stdin=json.dumps(manifest).encode())
    read = cluster.on_node(
        node, [*_KUBECTL, "--server", server, "get", "secret", name, "-n", namespace, "-o", "jsonpath={.data.canary}"]
    )
    same = read.stdout == base64.b64encode(value.encode())
    return Evidence(
        node_source(node),
        f"create and get Secret {namespace}/{name} through {server}",
        Outcome.HTTP if same else Outcome.ABSENT,
        "read back as written" if same else "what came back is not what was written",
        status=200 if same else None,
        latency_ms=round((time.monotonic() - started) * 1000, 1),
    )
