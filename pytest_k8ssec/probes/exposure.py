"""What a cluster opens to the outside at this moment, and how to open something of ours."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import NoAccess, ProbeError
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.probes import manifests
from pytest_k8ssec.probes.manifests import CANARY_PORT, PodSpec
from pytest_k8ssec.probes.pool import Pool
from pytest_k8ssec.probes.targets import lasting
from pytest_k8ssec.probes.tasks import Tcp
from pytest_k8ssec.probes.vantage import NetworkVantage, probe

API_SERVER = 6443
KUBELET = 10250
_START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Opened:
    """A TCP port that something in the cluster asks its nodes to open."""

    port: int
    by: str
    """``Service web/shop`` or ``Pod web/shop``."""
    node: str = ""
    """"" for every node."""


def opened_ports(cluster: Cluster) -> list[Opened]:
    """The node ports of all Services, and the host ports of all pods.

    Raises:
        ClusterError: the API server did not list them.
    """
    found = [
        Opened(port["nodePort"], f"Service {_name(service)}")
        for service in cluster.api.list("/api/v1/services")
        for port in service["spec"].get("ports", [])
        if port.get("nodePort") and port.get("protocol", "TCP") == "TCP"
    ]
    found += [
        Opened(port["hostPort"], f"Pod {_name(pod)}", pod["spec"].get("nodeName", ""))
        for pod in cluster.api.list("/api/v1/pods")
        for container in lasting(pod)
        for port in container.get("ports", [])
        if port.get("hostPort") and port.get("protocol", "TCP") == "TCP" and pod["spec"].get("nodeName")
    ]
    return found


def on_node(opened: list[Opened], node: Node) -> dict[int, str]:
    """By whom which ports of one node were asked for."""
    return {each.port: each.by for each in opened if each.node in ("", node.name)}


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
    pod = manifests.pod(spec, name, cluster.probe_image, nonce, pool.run_id, None)
    if host_port:
        pod["spec"]["containers"][0]["ports"] = [{"containerPort": CANARY_PORT, "hostPort": CANARY_PORT}]
    others = [] if host_port else [_service(namespace, name)]
    with cluster.api.applied(pod, *others) as made:
        port = CANARY_PORT if host_port else made[1]["spec"]["ports"][0]["nodePort"]
        yield _await_answer(cluster, node, Tcp(node.address, port, expect=nonce))


def _service(namespace: str, name: str) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"type": "NodePort", "selector": {"k8ssec.dev/exposed": name}, "ports": [{"port": CANARY_PORT}]},
    }


def _await_answer(cluster: Cluster, node: Node, task: Tcp) -> Evidence:
    """Try from the node itself: nobody announces when a pod listens and a node has learnt of a Service."""
    end = time.monotonic() + _START_SECONDS
    while True:
        (answer,) = probe(NetworkVantage(cluster, node), [task])
        if answer.outcome is Outcome.OPEN:
            return answer
        if time.monotonic() > end:
            raise ProbeError(f"what was exposed on {node.name} does not answer: {answer}")
        time.sleep(0.5)


@contextmanager
def listening(address: str) -> Iterator[Tcp]:
    """A listener of ours on one address of this machine, to prove that it can be reached; it sends a nonce and hangs up.

    Yields:
        the task that reaches it.

    Raises:
        NoAccess: this machine has no such address, as where docker runs on another one.
    """
    nonce = secrets.token_hex(8)
    try:
        server = socket.create_server((address, 0))
    except OSError as error:
        raise NoAccess(f"address {address}: can't be listened on here: {error.strerror}") from error
    greeter = threading.Thread(target=_greet, args=(server, nonce.encode()), daemon=True)
    greeter.start()
    with server:
        try:
            yield Tcp(address, server.getsockname()[1], expect=nonce)
        finally:
            server.shutdown(socket.SHUT_RDWR)  # wakes the greeter: while that waits, the kernel would keep on listening
            greeter.join()


def _greet(server: socket.socket, greeting: bytes) -> None:
    while True:
        try:
            connection, _ = server.accept()
            with connection:
                connection.sendall(greeting)
        except OSError:
            return  # closed: nobody is to be greeted any more


def _name(item: Body) -> str:
    return f"{item['metadata'].get('namespace')}/{item['metadata']['name']}"
