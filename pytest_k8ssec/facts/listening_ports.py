"""The stack's running pods and the ports that each really listens on."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_k8ssec.agent.tasks import Tcp, Udp, host_and_port
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.facts.policies.network import NamedPort
from pytest_k8ssec.stack import Stack, Workload, pods_of

_LOOK = r"""
look() {
  whose=$1; shift
  t=$("$@" ss -H -l -t -n) && u=$("$@" ss -H -l -u -n) && S=$("$@" ss -H -l -S -n) || return 1
  echo "$whose -"
  for kind in t u S; do
    eval "told=\$$kind"
    echo "$told" | while read -r _ _ _ local _; do [ -z "$local" ] || echo "$whose $kind $local"; done
  done
}
"""
"""Tells what listens where a command leads; of what could not be looked at it tells nothing at all."""
_SOCKETS = (
    _LOOK
    + r"""
for uid in "$@"; do
  files=$(grep -lE "pod($uid|$(echo "$uid" | tr - _))" /proc/[0-9]*/cgroup 2>/dev/null | sort -t / -k 3 -n)
  for file in $files; do
    pid=${file#/proc/}
    look "$uid" nsenter -t "${pid%/cgroup}" -n && break
  done
done
exit 0
"""
)
"""Each pod's listening sockets, seen from its node: a process of the pod is found by its cgroup, and its network
namespace entered to look. The oldest comes first, which holds the namespace; one that ends meanwhile is passed over."""
_OWN_SOCKETS = r"""
for uid in "$@"; do
  pids=$(grep -lE "pod($uid|$(echo "$uid" | tr - _))" /proc/[0-9]*/cgroup 2>/dev/null | tr -dc '0-9\n')
  [ -n "$pids" ] || continue
  own="pid=($(echo $pids | tr ' ' '|')),"
  t=$(ss -H -l -t -n -p) && u=$(ss -H -l -u -n -p) && S=$(ss -H -l -S -n -p) || continue
  echo "$uid -"
  for kind in t u S; do
    eval "told=\$$kind"
    echo "$told" | grep -E "$own" | while read -r _ _ _ local _; do echo "$uid $kind $local"; done
  done
done
exit 0
"""
"""The same for pods in their node's network, which they share: what their own processes listen on, and nobody else's."""
_NODE_SOCKETS = _LOOK + "look node\n"
_PROTOCOLS = {"t": "TCP", "u": "UDP", "S": "SCTP"}
_LOOPBACK = ("127.", "[::1]", "[::ffff:127.")
_EPHEMERAL = 32768
"""From here on the kernel gives UDP ports to clients, which look like listeners while they wait for their answer."""

ROLLOUT_SECONDS = 30
"""How long a pod may take to start before its ports are given up: a rollout may be under way."""

Port = tuple[int, str]
"""Number and protocol."""


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One port that one pod of the stack listens on; targets are compared by identity, so that one can be a key."""

    workload: Workload
    pod: str
    address: str
    port: int
    node: str
    subject: str
    """``namespace/workload:port``, or ``:port/UDP``, as a declaration of what is allowed names it."""
    protocol: str = "TCP"

    def __str__(self) -> str:
        where = f"{self.workload.namespace}/{self.pod} at {host_and_port(self.address, self.port)}"
        return f"{where}{protocol_suffix(self.protocol)}"

    @property
    def task(self) -> Tcp | Udp:
        """What connects to it, or asks it for any answer at all."""
        return Udp(self.address, self.port, any_answer=True) if self.protocol == "UDP" else Tcp(self.address, self.port)


def protocol_suffix(protocol: str) -> str:
    """What stands after a port's number, "" for TCP: who declares or waives one of them has not looked at the other."""
    return "" if protocol == "TCP" else f"/{protocol}"


def targets(
    cluster: Cluster,
    stack: Stack,
    missing: Callable[[Workload, ProbeError], None] | None = None,
    *,
    protocols: Collection[str] = ("TCP",),
) -> list[Target]:
    """Every port of these protocols on which a running pod of the stack listens for others (loopback is left out).

    Args:
        protocols: of TCP and UDP.
        missing: is told of each workload that has a pod which does not run, and why; else that is an error.

    Raises:
        ProbeError: a pod does not run, or its ports can't be found out.
    """
    found: list[Target] = []
    pods: list[tuple[Workload, Body]] = []
    for workload in stack.workloads():
        try:
            pods += [(workload, pod) for pod in running(cluster, workload)]
        except ProbeError as error:
            if missing is None:
                raise
            missing(workload, error)
    ports = listening_ports(cluster, [pod for _, pod in pods])
    for workload, pod in pods:
        found += [
            Target(
                workload,
                pod["metadata"]["name"],
                address,
                port,
                pod["spec"]["nodeName"],
                f"{workload.namespace}/{workload.name}:{port}{protocol_suffix(protocol)}",
                protocol,
            )
            for port, protocol in ports[pod["metadata"]["uid"]]
            if protocol in protocols
            for address in pod_addresses(pod)
        ]
    return found


def pod_addresses(pod: Body) -> tuple[str, ...]:
    """The addresses of a pod that runs, one of each family that it has: a policy may hold for one of them only."""
    return tuple(dict.fromkeys((pod["status"]["podIP"], *(each["ip"] for each in pod["status"].get("podIPs") or ()))))


def running(cluster: Cluster, workload: Workload, *, ready: bool = False) -> list[Body]:
    """The workload's own pods that run and have an address, without our twins.

    A pod that has ended, or is being removed, is left out. One that is yet to start is waited for.

    Args:
        ready: wait for its containers to be ready too: what starts may listen later.

    Raises:
        ProbeError: a pod did not start, or a container of it does not run: nobody knows what it would listen on.
    """
    end = time.monotonic() + ROLLOUT_SECONDS
    while True:
        pods = [pod for pod in pods_of(cluster.api, workload) if not is_over(pod)]
        late = [words for pod in pods if (words := _absent(pod, ready=ready))]
        if not late:
            return pods
        if time.monotonic() > end:
            raise ProbeError(
                f"{workload}: {late[0]}, so nobody knows what it would listen on",
                fix="see why with `kubectl describe pod`; or scale it down",
            )
        time.sleep(1)  # several pods, some of which may be replaced meanwhile: asked anew, which is rare


def is_over(pod: Body) -> bool:
    """Whether a pod has ended, or is being removed and does not run whole any more."""
    if pod["status"].get("phase") in ("Succeeded", "Failed"):
        return True
    # One that is being removed still counts for as long as all of it runs.
    return bool(pod["metadata"].get("deletionTimestamp") and _absent(pod, ready=True))


def _absent(pod: Body, *, ready: bool) -> str:
    """What of a pod does not run, in words; "" where all of it does."""
    name, status = pod["metadata"]["name"], pod["status"]
    if status.get("phase") != "Running" or not status.get("podIP"):
        return f"pod {name} is {status.get('phase', 'Pending')}"
    told = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    states = {each["name"]: each for each in told}
    for container in lasting(pod):
        state = states.get(container["name"], {})
        if _done(pod, state):
            continue
        if "running" not in state.get("state", {}):
            reasons = [each["reason"] for each in state.get("state", {}).values() if each.get("reason")]
            why = "".join(reasons) or "not started"
            return f"container {container['name']} of pod {name} does not run ({why})"
        if ready and not state.get("ready"):
            return f"container {container['name']} of pod {name} is not ready"
    return ""


def lasting(pod: Mapping[str, Any]) -> list[Body]:
    """The containers that run as long as the pod does: sidecars are among them, other init containers are not."""
    beside = [each for each in pod["spec"].get("initContainers") or () if each.get("restartPolicy") == "Always"]
    return [*pod["spec"]["containers"], *beside]


def _done(pod: Body, state: Body) -> bool:
    """Whether a container has ended and is not started again."""
    ended, policy = state.get("state", {}).get("terminated"), pod["spec"].get("restartPolicy", "Always")
    return bool(ended) and (policy == "Never" or (policy == "OnFailure" and ended.get("exitCode") == 0))


def listening_ports(cluster: Cluster, pods: Sequence[Body]) -> dict[str, list[Port]]:
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
            seen = _listening(cluster, nodes[name], here)
            for pod in here:
                declared = declared_ports(pod)
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


def _listening(cluster: Cluster, node: Node, pods: Sequence[Body]) -> dict[str, set[Port]]:
    found: dict[str, set[Port]] = {}
    for script, sharing in ((_SOCKETS, False), (_OWN_SOCKETS, True)):
        if uids := [pod["metadata"]["uid"] for pod in pods if bool(pod["spec"].get("hostNetwork")) is sharing]:
            found |= _sockets(cluster.on_node(node, ["sh", "-c", script, "sockets", *uids], deadline=60).text)
    if missing := [uid for pod in pods if (uid := pod["metadata"]["uid"]) not in found]:
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


def declared_ports(pod: Body) -> set[Port]:
    """What a pod says that it listens on, whether it does or not."""
    return {
        (port["containerPort"], port.get("protocol", "TCP"))
        for container in lasting(pod)
        for port in container.get("ports") or ()
    }


def named_ports(pod: Mapping[str, Any]) -> frozenset[NamedPort]:
    """The ports of a pod, or of a pod template, that have a name: what a policy's named port stands for.

    Names are unique in a container and not in a pod, so two containers may give one name to two numbers. A rule that names it
    lets in both: kube-router takes every container's port of that name and protocol (grabNamedPortFromPod).

    Source: https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/
    """
    return frozenset(
        (port["name"], port.get("protocol", "TCP"), int(port["containerPort"]))
        for container in lasting(pod)
        for port in container.get("ports") or ()
        if port.get("name")
    )


def _declared(pod: Body) -> list[Port]:
    ports = declared_ports(pod)
    if not any(protocol == "TCP" for _, protocol in ports):
        raise ProbeError(f"pod {pod['metadata']['name']}: declares no TCP port, and its node can't be entered to look")
    return sorted(ports)
