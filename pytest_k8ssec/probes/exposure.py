"""Which ports a cluster opens to the outside at this moment, and a listener that proves an address to be in reach."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pytest_k8ssec.agent.tasks import Tcp
from pytest_k8ssec.catalogue.declared import Declared, object_names
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import NoAccess
from pytest_k8ssec.evidence.causes import Known
from pytest_k8ssec.facts.listening_ports import lasting, protocol_suffix


@dataclass(frozen=True, slots=True)
class Opened:
    """A port that something in the cluster asks its nodes to open."""

    port: int
    by: str
    """``Service web/shop`` or ``Pod web/shop``."""
    node: str = ""
    """"" for every node."""
    names: tuple[str, ...] = ()
    """What it may be declared by, besides its number: the Service, or the pod and what made it."""


def opened_ports(cluster: Cluster, protocol: str = "TCP") -> list[Opened]:
    """The node ports of all Services, and the host ports of all pods, of one protocol.

    Raises:
        ClusterError: the API server did not list them.
    """
    found = [
        Opened(port["nodePort"], f"Service {_name(service)}", names=_of_service(service, port))
        for service in cluster.api.list("/api/v1/services")
        for port in service["spec"].get("ports", [])
        if port.get("nodePort") and port.get("protocol", "TCP") == protocol
    ]
    found += [
        Opened(port["hostPort"], f"Pod {_name(pod)}", pod["spec"].get("nodeName", ""), _of_pod(pod, port))
        for pod in cluster.api.list("/api/v1/pods")
        for container in lasting(pod)
        for port in container.get("ports", [])
        if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        and port.get("hostPort")
        and port.get("protocol", "TCP") == protocol
        and pod["spec"].get("nodeName")
    ]
    return found


@dataclass(frozen=True, slots=True)
class Opening:
    """One port of one node, and all that ask for it: a host port may be a node port too, on the address of another."""

    port: int
    askers: tuple[Opened, ...] = ()
    protocol: str = "TCP"

    @property
    def by(self) -> str:
        """All that ask for it, in words; "" where nobody does."""
        return " and ".join(dict.fromkeys(each.by for each in self.askers))

    def is_declared(self, declared: Declared) -> bool:
        """Whether it may be open: by its number, or because of who asks for it."""
        by_askers = self.has_declared_askers(declared)  # asked in any case, so that none is told to be unused
        return declared.covers(self.number) or by_askers

    @property
    def used(self) -> tuple[tuple[str, ...], ...]:
        """Each that asks for it, by the names that a waiver may have for it; its number stands for all of them."""
        return tuple((*one.names, self.number) for one in self.askers) or ((self.number,),)

    @property
    def number(self) -> str:
        """``30080``, ``30053/UDP``."""
        return f"{self.port}{protocol_suffix(self.protocol)}"

    def has_declared_askers(self, declared: Declared) -> bool:
        """Whether each that asks for it may."""
        each = [declared.covers(*one.names) for one in self.askers]
        return bool(each) and all(each)


def openers(by: str) -> list[Known]:
    """The objects that ask for a port, of the words that :attr:`Opening.by` has for them; a process is none."""
    found = ((kind, where.partition("/")) for kind, _, where in (each.partition(" ") for each in by.split(" and ")))
    return [
        Known(kind, "v1", namespace, name, how="asks nodes to open the port")
        for kind, (namespace, _, name) in found
        if kind in ("Service", "Pod") and name
    ]


def on_node(opened: list[Opened], node: Node, protocol: str = "TCP") -> dict[int, Opening]:
    """The ports of one node that were asked for, by those that are of this protocol."""
    found: dict[int, list[Opened]] = {}
    for each in opened:
        if each.node in ("", node.name):
            found.setdefault(each.port, []).append(each)
    return {port: Opening(port, tuple(askers), protocol) for port, askers in found.items()}


def _of_service(service: Body, port: Body) -> tuple[str, ...]:
    protocol = protocol_suffix(str(port.get("protocol", "TCP")))
    parts = [f":{part}{protocol}" for part in (port.get("port"), port.get("name")) if part]
    meta = service["metadata"]
    return object_names("Service", str(meta.get("namespace")), meta["name"], parts)


def _of_pod(pod: Body, port: Body) -> tuple[str, ...]:
    """The pod's own names, and those of what made it: a Deployment's stands in its ReplicaSet's, before the hash."""
    meta, parts = pod["metadata"], [f":{port['hostPort']}{protocol_suffix(str(port.get('protocol', 'TCP')))}"]
    namespace, found = (
        str(meta.get("namespace")),
        list(object_names("Pod", str(meta.get("namespace")), meta["name"], parts)),
    )
    for owner in meta.get("ownerReferences") or ():
        kind, name = str(owner["kind"]), str(owner["name"])
        made_by, dash, hashed = name.rpartition("-")
        if kind == "ReplicaSet" and dash and hashed == (meta.get("labels") or {}).get("pod-template-hash"):
            found += object_names("Deployment", namespace, made_by, parts)
        found += object_names(kind, namespace, name, parts)
    return tuple(found)


@contextmanager
def listener_here(address: str) -> Iterator[Tcp]:
    """A listener of ours on one address of this machine, to prove that it can be reached; it sends a nonce and hangs up.

    Yields:
        the task that reaches it.

    Raises:
        NoAccess: this machine has no such address, for example because docker runs on another one.
    """
    nonce = secrets.token_hex(8)
    try:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        server = socket.create_server((address, 0), family=family)
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
