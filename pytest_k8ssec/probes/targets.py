"""The stack's running pods and the ports that each really listens on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.probes.tasks import authority
from pytest_k8ssec.stack import Stack, Workload

_SOCKETS = r"""
for uid in "$@"; do
  pid=$(grep -lE "pod($uid|$(echo "$uid" | tr - _))" /proc/[0-9]*/cgroup 2>/dev/null | head -n 1 | cut -d/ -f3)
  [ -n "$pid" ] || continue
  echo "$uid -"
  for kind in t u S; do
    nsenter -t "$pid" -n ss -H -l -$kind -n 2>/dev/null | while read -r _ _ _ local _; do echo "$uid $kind $local"; done
  done
done
"""
"""Each pod's listening sockets, seen from its node: a process of the pod is found by its cgroup, and its network
namespace entered to look."""
_NODE_SOCKETS = r"""
for kind in t u S; do ss -H -l -$kind -n 2>/dev/null | while read -r _ _ _ local _; do echo "node $kind $local"; done; done
"""
_PROTOCOLS = {"t": "TCP", "u": "UDP", "S": "SCTP"}
_LOOPBACK = ("127.", "[::1]", "[::ffff:127.")
_EPHEMERAL = 32768
"""From here on the kernel gives UDP ports to clients, which look like listeners while they wait for their answer."""

Port = tuple[int, str]
"""Number and protocol."""


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One port that one pod of the stack listens on; each is itself and nothing else, so that it can be a key."""

    workload: Workload
    pod: str
    address: str
    port: int
    node: str
    subject: str
    """``namespace/workload:port``, as a declaration of what is allowed names it."""

    def __str__(self) -> str:
        return f"{self.workload.namespace}/{self.pod} at {authority(self.address, self.port)}"


def targets(cluster: Cluster, stack: Stack) -> list[Target]:
    """Every TCP port on which a running pod of the stack listens for others (loopback is left out).

    Raises:
        ProbeError: a pod's ports can't be found out.
    """
    found: list[Target] = []
    pods = [(workload, pod) for workload in stack.workloads() for pod in running(cluster, workload)]
    ports = listening(cluster, [pod for _, pod in pods])
    for workload, pod in pods:
        found += [
            Target(
                workload,
                pod["metadata"]["name"],
                pod["status"]["podIP"],
                port,
                pod["spec"]["nodeName"],
                f"{workload.namespace}/{workload.name}:{port}",
            )
            for port, protocol in ports[pod["metadata"]["uid"]]
            if protocol == "TCP"
        ]
    return found


def running(cluster: Cluster, workload: Workload) -> list[Body]:
    """The workload's own pods that run and have an address; a twin of ours is none of them."""
    return [
        pod for pod in _pods(cluster, workload) if pod["status"].get("podIP") and pod["status"]["phase"] == "Running"
    ]


def _pods(cluster: Cluster, workload: Workload) -> list[Body]:
    path = f"/api/v1/namespaces/{workload.namespace}/pods"
    if not workload.selector:
        return [cluster.api.get(f"{path}/{workload.name}")]
    wanted = ",".join(f"{key}={value}" for key, value in workload.selector.get("matchLabels", {}).items())
    # A twin of ours has the same labels; a pod that a controller of the stack made has its hash or index.
    return [pod for pod in cluster.api.list(path, labelSelector=wanted) if not _ours(pod)]


def _ours(pod: Body) -> bool:
    return "k8ssec.dev/purpose" in pod["metadata"].get("annotations", {})


def listening(cluster: Cluster, pods: Sequence[Body]) -> dict[str, list[Port]]:
    """Ports by pod uid: what listens where the node can be entered, else what the pod declares.

    Raises:
        ProbeError: a pod's ports can't be found out.
    """
    nodes = {node.name: node for node in cluster.nodes}
    found: dict[str, list[Port]] = {}
    by_node: dict[str, list[Body]] = {}
    for pod in pods:
        by_node.setdefault(pod["spec"]["nodeName"], []).append(pod)
    for name, here in by_node.items():
        if nodes[name].container:
            seen = _listening(cluster, nodes[name], [pod["metadata"]["uid"] for pod in here])
            for pod in here:
                declared = _containers_ports(pod)
                found[pod["metadata"]["uid"]] = sorted(
                    port for port in seen[pod["metadata"]["uid"]] if _serves(port) or port in declared
                )
        else:
            found |= {pod["metadata"]["uid"]: _declared(pod) for pod in here}
    return found


def node_ports(cluster: Cluster, node: Node) -> list[Port]:
    """What listens on a node itself, loopback left out. Raises ProbeError."""
    done = cluster.on_node(node, ["sh", "-c", _NODE_SOCKETS])
    return sorted(port for port in _sockets(done.text).get("node", ()) if _serves(port))


def _serves(port: Port) -> bool:
    number, protocol = port
    return protocol != "UDP" or number < _EPHEMERAL


def _listening(cluster: Cluster, node: Node, uids: list[str]) -> dict[str, set[Port]]:
    found = _sockets(cluster.on_node(node, ["sh", "-c", _SOCKETS, "sockets", *uids], deadline=60).text)
    if missing := [uid for uid in uids if uid not in found]:
        raise ProbeError(f"node {node.name}: no process of pod {missing[0]} was found, so its ports are unknown")
    return found


def _sockets(told: str) -> dict[str, set[Port]]:
    """Ports by whose they are, from lines of ``whose - `` and ``whose kind local-address``."""
    found: dict[str, set[Port]] = {}
    for line in told.splitlines():
        whose, kind, *local = line.split()
        ports = found.setdefault(whose, set())
        host, colon, port = "".join(local).rpartition(":")
        if colon and port.isdigit() and not host.startswith(_LOOPBACK):
            ports.add((int(port), _PROTOCOLS[kind]))
    return found


def _containers_ports(pod: Body) -> set[Port]:
    return {
        (port["containerPort"], port.get("protocol", "TCP"))
        for container in pod["spec"]["containers"]
        for port in container.get("ports", [])
    }


def _declared(pod: Body) -> list[Port]:
    ports = _containers_ports(pod)
    if not any(protocol == "TCP" for _, protocol in ports):
        raise ProbeError(f"pod {pod['metadata']['name']}: declares no TCP port, and its node can't be entered to look")
    return sorted(ports)
