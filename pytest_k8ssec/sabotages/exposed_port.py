"""A port of ours that is opened to the outside, shown to answer, and closed again."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pytest_k8ssec.agent.tasks import Tcp
from pytest_k8ssec.agent.vantage import NetworkVantage, probe
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.pods import manifests
from pytest_k8ssec.pods.manifests import CANARY_PORT, PodSpec
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.sabotages.proofs import changing, object_of

_SECONDS = 60
_PAUSE = 0.5
"""Each look is a process on the node."""


@contextmanager
def exposed(cluster: Cluster, pool: Pool, *, host_port: bool) -> Iterator[Evidence]:
    """Open a small web server of ours, which greets everybody, on the last node's address; closed again at the end.

    Args:
        host_port: by a host port of its pod, instead of a Service of type NodePort.

    Yields:
        evidence that it answers at that node's address.

    Raises:
        ClusterError: it could not be made.
        ProbeError: it does not answer.
    """
    namespace, name, nonce = pool.namespace("exposed"), f"k8ssec-exposed-{secrets.token_hex(3)}", secrets.token_hex(8)
    node = cluster.nodes[-1]
    spec = PodSpec(namespace, labels={"k8ssec.dev/exposed": name}, node=node.name, purpose="exposed")
    pod = manifests.probe_pod(spec, name, cluster.probe_image, nonce, pool.run_id, None)
    if host_port:
        pod["spec"]["containers"][0]["ports"] = [{"containerPort": CANARY_PORT, "hostPort": CANARY_PORT}]
    others = [] if host_port else [_service(namespace, name)]
    with cluster.api.applied(pod, *others) as made:
        port = CANARY_PORT if host_port else made[1]["spec"]["ports"][0]["nodePort"]
        answer = await_open(cluster, node, Tcp(node.address, port, expect=nonce), "what was exposed")
        yield changing(answer, object_of(others[0] if others else pod))


def _service(namespace: str, name: str) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"type": "NodePort", "selector": {"k8ssec.dev/exposed": name}, "ports": [{"port": CANARY_PORT}]},
    }


def await_open(cluster: Cluster, node: Node, task: Tcp, what: str) -> Evidence:
    """Try from the node itself: nobody announces when a pod listens and a node has learnt of a Service.

    Raises:
        ProbeError: it does not open in time.
    """
    end = time.monotonic() + _SECONDS
    while True:
        (answer,) = probe(NetworkVantage(cluster, node), [task])
        if answer.outcome is Outcome.OPEN:
            return answer
        if time.monotonic() > end:
            raise ProbeError(f"{what} on {node.name} does not answer: {answer}")
        time.sleep(_PAUSE)
