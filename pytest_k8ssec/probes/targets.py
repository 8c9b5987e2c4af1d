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
  nsenter -t "$pid" -n ss -H -l -t -n | while read -r _ _ _ local _; do echo "$uid $local"; done
done
"""
"""Each pod's listening TCP sockets, seen from its node: a process of the pod is found by its cgroup, and its network
namespace entered to look."""


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
    for workload in stack.workloads():
        pods = [
            pod
            for pod in _pods(cluster, workload)
            if pod["status"].get("podIP") and pod["status"]["phase"] == "Running"
        ]
        ports = _ports(cluster, pods)
        for pod in pods:
            found += [
                Target(
                    workload,
                    pod["metadata"]["name"],
                    pod["status"]["podIP"],
                    port,
                    pod["spec"]["nodeName"],
                    f"{workload.namespace}/{workload.name}:{port}",
                )
                for port in ports[pod["metadata"]["uid"]]
            ]
    return found


def _pods(cluster: Cluster, workload: Workload) -> list[Body]:
    path = f"/api/v1/namespaces/{workload.namespace}/pods"
    if not workload.selector:
        return [cluster.api.get(f"{path}/{workload.name}")]
    wanted = ",".join(f"{key}={value}" for key, value in workload.selector.get("matchLabels", {}).items())
    # A twin of ours has the same labels; a pod that a controller of the stack made has its hash or index.
    return [pod for pod in cluster.api.list(path, labelSelector=wanted) if not _ours(pod)]


def _ours(pod: Body) -> bool:
    return "k8ssec.dev/purpose" in pod["metadata"].get("annotations", {})


def _ports(cluster: Cluster, pods: Sequence[Body]) -> dict[str, list[int]]:
    """Ports by pod uid: what listens where the node can be entered, else what the pod declares."""
    nodes = {node.name: node for node in cluster.nodes}
    found: dict[str, list[int]] = {}
    by_node: dict[str, list[Body]] = {}
    for pod in pods:
        by_node.setdefault(pod["spec"]["nodeName"], []).append(pod)
    for name, here in by_node.items():
        if nodes[name].container:
            found |= _listening(cluster, nodes[name], [pod["metadata"]["uid"] for pod in here])
        else:
            found |= {pod["metadata"]["uid"]: _declared(pod) for pod in here}
    return found


def _listening(cluster: Cluster, node: Node, uids: list[str]) -> dict[str, list[int]]:
    found: dict[str, set[int]] = {}
    done = cluster.on_node(node, ["sh", "-c", _SOCKETS, "sockets", *uids])
    for line in done.text.splitlines():
        uid, local = line.split()
        ports = found.setdefault(uid, set())
        host, colon, port = local.rpartition(":")
        if colon and not host.startswith(("127.", "[::1]")):
            ports.add(int(port))
    if missing := [uid for uid in uids if uid not in found]:
        raise ProbeError(f"node {node.name}: no process of pod {missing[0]} was found, so its ports are unknown")
    return {uid: sorted(ports) for uid, ports in found.items()}


def _declared(pod: Body) -> list[int]:
    containers = pod["spec"]["containers"]
    ports = [p["containerPort"] for c in containers for p in c.get("ports", []) if p.get("protocol", "TCP") == "TCP"]
    if not ports:
        raise ProbeError(f"pod {pod['metadata']['name']}: declares no port, and its node can't be entered to look")
    return sorted(set(ports))
