"""What the sources of a survey connect to: every port that listens, by each way that leads to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.clusters.ports import KUBELET_PORT
from pytest_k8ssec.errors import K8ssecError, ProbeError
from pytest_k8ssec.facts.listening_ports import Port, declared_ports, lasting, named_ports, node_ports
from pytest_k8ssec.facts.policies import End, Peer
from pytest_k8ssec.reach.measure import Dial
from pytest_k8ssec.reach.places import NODE, Destination, Local
from pytest_k8ssec.stack import Stack


def pods_to_reach(
    cluster: Cluster,
    pods: Mapping[str, Sequence[Body]],
    ports: Mapping[str, Sequence[Port]],
    labels: Mapping[str, Mapping[str, str]],
    notes: list[str],
) -> Iterator[Destination]:
    """Each port that a pod listens on, or declares, at each of its addresses, and through its node."""
    nodes = {node.name: node.address for node in cluster.nodes}
    for name, found in pods.items():
        for pod in found:
            uid, words = pod["metadata"]["uid"], f"pod {pod['metadata']['name']}"
            heard = ports[uid]
            # Who declares a port may come to listen on it: it is tried, stays unknown, and so is told to who asks.
            declared = sorted(declared_ports(pod) - set(heard))
            for address in addresses_of(pod):
                ends = (end_of(pod, labels, address),)
                for port, protocol in heard:
                    yield Destination(name, "pod", dialled(address, port, protocol), port, words, ends, pod=uid)
                for port, protocol in declared:
                    silent = f"{words}, which declares it and does not listen"
                    yield Destination(name, "pod", dialled(address, port, protocol), port, silent, ends, pod=uid)
            yield from _host_ports(pod, name, nodes[pod["spec"]["nodeName"]], end_of(pod, labels), notes)


def addresses_of(pod: Body) -> list[str]:
    """All addresses of a pod: two, if the network has both address families."""
    status = pod["status"]
    return list(dict.fromkeys([status["podIP"], *(each["ip"] for each in status.get("podIPs") or ())]))


def _host_ports(pod: Body, name: str, node: str, end: End, notes: list[str]) -> Iterator[Destination]:
    """The ports of its node that lead to a pod: no socket shows them there."""
    if pod["spec"].get("hostNetwork"):
        return
    words = f"pod {pod['metadata']['name']}"
    for container in lasting(pod):
        for port in container.get("ports") or ():
            if not (number := port.get("hostPort")):
                continue
            protocol, bound = port.get("protocol", "TCP"), port.get("hostIP") or node
            if bound in ("0.0.0.0", "::"):  # noqa: S104 - what a pod asks for, compared
                bound = node
            if bound != node:
                notes.append(f"to {name} nothing is sent at {bound}:{number}: only nodes' own addresses are tried")
                continue
            inner = dialled(end.address, port["containerPort"], protocol)
            through = f"{words} through port {number} of {end.node}"
            yield Destination(name, "node", dialled(node, number, protocol), inner.port, through, (end,), (inner,))


def dialled(host: str, port: int, protocol: str) -> Dial:
    """One port of an address, as an API object names it."""
    assert protocol in ("TCP", "UDP", "SCTP"), protocol
    return Dial(host, port, protocol)  # type: ignore[arg-type]  # asserted above


def end_of(pod: Body, labels: Mapping[str, Mapping[str, str]], address: str = "") -> End:
    """A pod as policies see it.

    Args:
        labels: of its namespace, by name.
        address: another of its addresses than the first.
    """
    spec, meta = pod["spec"], pod["metadata"]
    peer = Peer(meta["namespace"], labels[meta["namespace"]], meta.get("labels") or {})
    at = address or pod["status"]["podIP"]
    return End.of(at, spec["nodeName"], peer, named_ports(pod), hosted=bool(spec.get("hostNetwork")))


def services(
    cluster: Cluster,
    stack: Stack,
    pods: Mapping[str, Sequence[Body]],
    ports: Mapping[str, Sequence[Port]],
    labels: Mapping[str, Mapping[str, str]],
    notes: list[str],
) -> Iterator[Destination]:
    """Each Service of the stack's namespaces that leads to pods of the stack: by address, by name, by nodes' ports."""
    owners: dict[str, list[tuple[str, Body]]] = {}
    for owner, found in pods.items():
        for pod in found:
            for address in addresses_of(pod):
                owners.setdefault(address, []).append((owner, pod))
    for namespace in stack.namespaces:
        slices = cluster.api.list(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices")
        for service in cluster.api.list(f"/api/v1/namespaces/{namespace}/services"):
            backends = _backends(service["metadata"]["name"], slices)
            for port in service["spec"].get("ports", ()):
                here = backends.get(port.get("name") or "", ())
                nodes = frozenset(node for _, _, node in here)
                behind = [
                    (owner, pod, address, number)
                    for address, number, _ in here
                    for owner, pod in owners.get(address, ())
                ]
                protocol = port.get("protocol", "TCP")
                behind = [one for one in behind if (one[3], protocol) in ports[one[1]["metadata"]["uid"]]]
                if behind:
                    notes += _not_ours(service, port["port"])
                for name in dict.fromkeys(one[0] for one in behind):
                    mine = [one for one in behind if one[0] == name]
                    for each in _service(cluster, service, port, name, mine, labels):
                        yield replace(each, local=_local(service, each, nodes))


def _local(service: Body, destination: Destination, nodes: frozenset[str]) -> Local | None:
    """Whether a way into a Service leads to what runs on one node only. A headless Service leads nowhere by itself.

    Source: https://kubernetes.io/docs/reference/networking/virtual-ips/#traffic-policies
    """
    spec = service["spec"]
    field = "externalTrafficPolicy" if destination.way == "node" else "internalTrafficPolicy"
    if spec.get(field) != "Local" or (destination.way != "node" and spec.get("clusterIP", "None") == "None"):
        return None
    return Local(field, nodes)


def _not_ours(service: Body, port: int) -> list[str]:
    """Ways in at addresses that may be outside the cluster under test: nobody sends there."""
    balancers = service.get("status", {}).get("loadBalancer", {}).get("ingress") or ()
    addresses = [
        *(service["spec"].get("externalIPs") or ()),
        *(each.get("ip") or each["hostname"] for each in balancers),
    ]
    name = f"{service['metadata']['namespace']}/{service['metadata']['name']}"
    return [f"Service {name} can be reached at {address}:{port} too: nothing is sent there" for address in addresses]


def _service(
    cluster: Cluster,
    service: Body,
    port: Mapping[str, Any],
    name: str,
    behind: Sequence[tuple[str, Body, str, int]],
    labels: Mapping[str, Mapping[str, str]],
) -> Iterator[Destination]:
    meta, spec, protocol = service["metadata"], service["spec"], port.get("protocol", "TCP")
    number = behind[0][3]
    ends = tuple(end_of(pod, labels, address) for _, pod, address, _ in behind)
    listeners = tuple(dialled(end.address, number, protocol) for end in ends)
    words = f"Service {meta['namespace']}/{meta['name']}"
    first = spec.get("clusterIP") or "None"
    # A headless Service's name leads to the pods themselves, at their own port.
    by_name = port["port"] if first != "None" else number
    for address in dict.fromkeys([first, *(spec.get("clusterIPs") or ())]) if first != "None" else ():
        # An address leads to those of its own family.
        like = [at for at, end in enumerate(ends) if (":" in end.address) is (":" in address)]
        if like:
            yield Destination(
                name,
                "service",
                dialled(address, port["port"], protocol),
                number,
                words,
                tuple(ends[at] for at in like),
                tuple(listeners[at] for at in like),
            )
    host = f"{meta['name']}.{meta['namespace']}.svc"
    yield Destination(name, "name", dialled(host, by_name, protocol), number, f"{words} by its name", ends, listeners)
    if "nodePort" in port:
        for node in cluster.nodes:
            dial = dialled(node.address, port["nodePort"], protocol)
            through = f"{words} through {node.name}"
            yield Destination(name, "node", dial, number, through, ends, listeners, node=node.name)


def _backends(service: str, slices: Sequence[Body]) -> dict[str, list[tuple[str, int, str]]]:
    """Ready addresses, ports and nodes behind a Service, by the port's name."""
    found: dict[str, list[tuple[str, int, str]]] = {}
    for each in slices:
        if each["metadata"].get("labels", {}).get("kubernetes.io/service-name") != service:
            continue
        for port in each.get("ports") or ():
            found.setdefault(port.get("name") or "", []).extend(
                (address, int(port["port"]), endpoint.get("nodeName") or "")
                for endpoint in each.get("endpoints") or ()
                if endpoint.get("conditions", {}).get("ready") is not False
                for address in endpoint["addresses"]
                if port.get("port")
            )
    return found


def nodes_to_reach(cluster: Cluster) -> Iterator[Destination]:
    """What listens on nodes. Raises ProbeError."""
    for node in cluster.nodes:
        for port, protocol in _known_ports(cluster, node):
            dial = dialled(node.address, port, protocol)
            yield Destination(f"{NODE}/{node.name}", "node", dial, port, "the node", (End(node.address, node.name),))


def _known_ports(cluster: Cluster, node: Node) -> Sequence[Port]:
    """What listens on a node; the kubelet alone where it can't be entered to look."""
    if not node.container:
        return ((KUBELET_PORT, "TCP"),)
    try:
        return node_ports(cluster, node)
    except K8ssecError as error:
        raise ProbeError(f"node {node.name}: what listens there can't be found out: {error.message}") from error
