"""Whom a container was started as, where its spec leaves that to its image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import ProbeError

CONTAINER_STATUSES = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
"""Where a pod's status tells of its containers, whatever their kind."""
_ASK = """
for id in "$@"; do
  told=$(crictl inspect --output go-template --template \
    '{{.info.runtimeSpec.process.user.uid}} {{.info.runtimeSpec.process.user.gid}}' "$id" 2>/dev/null) && echo "$id $told"
done
true
"""
"""What the runtime started each container as. Not what its processes are by now: one that was root and has become
somebody else can be entered as root all the same."""


@dataclass(frozen=True, slots=True)
class ContainerUser:
    """The user and group ids that the first process of a container began with."""

    uid: int
    gid: int


def user_in_spec(spec: Mapping[str, Any], container: Mapping[str, Any]) -> bool:
    """Whether a pod's spec says itself which user id one of its containers has."""
    return any("runAsUser" in (each.get("securityContext") or {}) for each in (container, spec))


def group_in_spec(spec: Mapping[str, Any], container: Mapping[str, Any]) -> bool:
    """Whether a pod's spec says itself which group id one of its containers has; else its image does, also for a user in the spec."""
    return any("runAsGroup" in (each.get("securityContext") or {}) for each in (container, spec))


def users_of(cluster: Cluster, pods: Iterable[Body]) -> dict[tuple[str, str], ContainerUser]:
    """The users of the pods' containers, by pod uid and container name; those that nobody can tell are left out.

    The API server tells it since Kubernetes 1.33 (``status.containerStatuses[].user.linux``); before, the node's runtime
    does. A container that has ended counts as well.

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
    """
    found: dict[tuple[str, str], ContainerUser] = {}
    asked: dict[str, dict[str, tuple[str, str]]] = {}
    for pod in pods:
        untold = _untold(pod)
        for status in (one for kind in CONTAINER_STATUSES for one in pod.get("status", {}).get(kind) or ()):
            key = (pod["metadata"].get("uid", ""), status["name"])
            linux = (status.get("user") or {}).get("linux") or {}
            if "uid" in linux:
                found[key] = ContainerUser(int(linux["uid"]), int(linux.get("gid", 0)))
            elif status["name"] in untold and (name := str(status.get("containerID", "")).partition("://")[2]):
                asked.setdefault(pod["spec"].get("nodeName", ""), {})[name] = key
    for node, names in asked.items():
        for name, user in _by_runtime(cluster, node, list(names)).items():
            found[names[name]] = user
    return found


def _untold(pod: Body) -> set[str]:
    """The containers whose user or group the spec leaves to their image."""
    spec = pod["spec"]
    kinds = ("containers", "initContainers", "ephemeralContainers")
    all_ = (one for kind in kinds for one in spec.get(kind) or ())
    return {one["name"] for one in all_ if not (user_in_spec(spec, one) and group_in_spec(spec, one))}


def _by_runtime(cluster: Cluster, name: str, containers: list[str]) -> dict[str, ContainerUser]:
    """What a node's container runtime tells, by container id; nothing where the node can't be entered."""
    node = next((node for node in cluster.nodes if node.name == name and node.container), None)
    if node is None:
        return {}
    try:
        told = cluster.on_node(node, ["sh", "-c", _ASK, "ask", *containers]).text
    except ProbeError:
        return {}
    words = [line.split() for line in told.splitlines()]
    # A runtime that leaves 0 out of its words has told nothing that could be told from a mistake.
    return {one[0]: ContainerUser(int(one[1]), int(one[2])) for one in words if len(one) == 3 and _numbers(one[1:])}


def _numbers(words: list[str]) -> bool:
    return all(word.isdigit() for word in words)
