"""Manifests of the pods that we probe from: bare ones, and twins of a workload."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_k8ssec.evidence import JSON

ENFORCE = "pod-security.kubernetes.io/enforce"


CANARY_PORT = 8980
"""Where a pod of ours listens, TCP and UDP; one in its node's network at a port of its own."""

OBJECT_LABEL = "k8ssec.dev/run"
"""Label of every object of ours; its value is the run's id."""

CANARY = (Path(__file__).parents[1] / "agent" / "remote" / "pod_listener.py").read_text()
"""The program of a listener of ours; its arguments are a nonce and ports."""
ROOM: Mapping[str, Mapping[str, str]] = {
    "requests": {"cpu": "5m", "memory": "16Mi"},
    "limits": {"cpu": "500m", "memory": "96Mi"},
}
"""What a pod of ours asks for, and is limited to, where its namespace says nothing else."""
_UID = 65532
_FIRST_OF_ANYBODY = 1024
"""Below, a port is root's, unless its network namespace says otherwise."""
_CONTAINER = "probe"
_KEPT_OF_A_WORKLOAD = (
    "serviceAccountName", "automountServiceAccountToken", "volumes", "securityContext", "hostNetwork", "hostPID", "hostIPC",
    "hostUsers", "shareProcessNamespace", "nodeSelector", "nodeName", "tolerations", "runtimeClassName", "dnsPolicy",
    "dnsConfig", "priorityClassName",
)  # fmt: skip


ContainerPort = tuple[int, str, str]
"""Number, protocol and name; "" for a port that has none."""


@dataclass(frozen=True)
class PodSpec:
    """One pod to probe from.

    By default it meets Pod Security ``restricted`` and mounts no token, so that it can be placed in any namespace.
    """

    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    service_account: str = "default"
    automount: bool | None = False
    """None leaves it to the service account, as a pod that does not mention it does."""
    node: str = ""
    """Place it on this node, past the scheduler; "" lets the scheduler choose."""
    seccomp: str = "RuntimeDefault"
    """Type of the seccomp profile that it asks for; "" asks for none."""
    template: Mapping[str, JSON] | None = None
    """Pod template of the workload whose twin it is; its labels, account and placement win over those above."""
    labels_matter: bool = True
    """Of a twin: False where only its container is looked at, so that it may do without a label that draws traffic to it."""
    live_network: bool = False
    """Of a twin that only sends: where its labels would draw traffic to it, it does without one of them, and what goes over
    the network is sent from that of a live pod of its workload."""
    ports: tuple[ContainerPort, ...] = ()
    """Of a bare pod: where its listener listens besides, TCP and UDP; those with a name are declared by it."""
    purpose: str = "probe"
    """Part of the pod's name, for a reader of ``kubectl get pods``."""

    def key(self) -> str:
        """Equal for equal pods."""
        return repr((self.namespace, sorted(self.labels.items()), self.service_account, self.automount, self.node,
                     self.seccomp, self.template, self.labels_matter, self.live_network, self.ports, self.purpose))  # fmt: skip


def by_container(template: Mapping[str, JSON]) -> dict[str, Mapping[str, JSON]]:
    """A pod template for each container of a workload, init containers too, in which that one is the main container."""
    spec = template["spec"]
    main, *others = spec["containers"]
    found = {main["name"]: template}
    for container in (*others, *spec.get("initContainers", ())):
        found[container["name"]] = {**template, "spec": {**spec, "containers": [container]}}
    return found


def container_security(seccomp: str = "RuntimeDefault") -> dict[str, JSON]:
    """A container security context that meets Pod Security ``restricted``, with that profile ("" asks for none)."""
    profile = {"seccompProfile": {"type": seccomp}} if seccomp else {}
    return {
        **profile,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": _UID,
        "capabilities": {"drop": ["ALL"]},
    }


def probe_pod(
    spec: PodSpec,
    name: str,
    image: str,
    nonce: str,
    run_id: str,
    owner: Mapping[str, JSON] | None,
    *,
    port: int = CANARY_PORT,
    resources: Mapping[str, JSON] = ROOM,
) -> dict[str, JSON]:
    """The manifest of a pod that runs our canary.

    Args:
        nonce: what its listeners answer with.
        owner: a controller reference to an object of ours, for a twin.
        port: where it listens.
        resources: its requests and limits.
    """
    body = _bare(spec) if spec.template is None else _twin(spec.template)
    (container,) = body["containers"]
    container |= {
        "name": _CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        # Last the one that is waited for: when that one answers, all of them do.
        "command": ["python3", "-c", CANARY, nonce, *(str(each) for each, *_ in spec.ports if each != port), str(port)],
        "resources": copy.deepcopy(dict(resources)),
    }
    body |= {"restartPolicy": "Always", "terminationGracePeriodSeconds": 0, "enableServiceLinks": False}
    metadata: dict[str, JSON] = {
        "name": name,
        "namespace": spec.namespace,
        "labels": {**_labels(spec), OBJECT_LABEL: run_id},
        "annotations": {"k8ssec.dev/purpose": spec.purpose},
    }
    if owner is not None:
        metadata["ownerReferences"] = [owner]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": body}


def _labels(spec: PodSpec) -> dict[str, str]:
    if spec.template is None:
        return dict(spec.labels)
    labels = dict(spec.template.get("metadata", {}).get("labels", {}))
    # With its hash a ReplicaSet would count the twin as one of its own and delete a real replica.
    labels.pop("pod-template-hash", None)
    return labels


def _bare(spec: PodSpec) -> dict[str, JSON]:
    body: dict[str, JSON] = {
        "serviceAccountName": spec.service_account,
        "securityContext": {"runAsNonRoot": True},
        "containers": [{"securityContext": container_security(spec.seccomp)}],
    }
    if any(number < _FIRST_OF_ANYBODY for number, *_ in spec.ports):
        # One that Pod Security restricted allows: https://kubernetes.io/docs/concepts/security/pod-security-standards/
        body["securityContext"]["sysctls"] = [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    if declared := [each for each in spec.ports if each[2]]:
        body["containers"][0]["ports"] = [
            {"containerPort": number, "protocol": protocol, "name": name} for number, protocol, name in declared
        ]
    if spec.automount is not None:
        body["automountServiceAccountToken"] = spec.automount
    if spec.node:
        body["nodeName"] = spec.node
        body["tolerations"] = [{"operator": "Exists"}]
    return body


def _twin(template: Mapping[str, JSON]) -> dict[str, JSON]:
    """All of a workload's template that decides what its process may do; nothing of what it runs."""
    original = template["spec"]
    body = {key: copy.deepcopy(original[key]) for key in _KEPT_OF_A_WORKLOAD if key in original}
    main = original["containers"][0]
    container = {
        key: copy.deepcopy(main[key]) for key in ("securityContext", "volumeMounts", "volumeDevices") if key in main
    }
    container |= variables_of_paths(main)
    known = {volume["name"] for volume in body.get("volumes", [])}
    for mount in container.get("volumeMounts", []):
        if mount["name"] not in known:  # a StatefulSet's claim: the twin gets an empty volume in its place
            body.setdefault("volumes", []).append({"name": mount["name"], "emptyDir": {}})
            known.add(mount["name"])
    _of_its_own_container(body, container)
    _user(body, container)
    body["containers"] = [container]
    _place(body, original.get("affinity") or {})
    # A gate that nobody ever sets: the twin is never ready, so no Service sends it traffic.
    body["readinessGates"] = [{"conditionType": "k8ssec.dev/never-ready"}]
    return body


def variables_of_paths(container: Mapping[str, JSON]) -> dict[str, JSON]:
    """The variables by which a container's mounts are named (``subPathExpr``), and no other ones: they may be secrets."""
    env = {each["name"]: each for each in container.get("env") or ()}
    wanted = {name for mount in container.get("volumeMounts") or () for name in _named(mount.get("subPathExpr", ""))}
    while further := {name for one in wanted & env.keys() for name in _named(env[one].get("value") or "")} - wanted:
        wanted |= further
    # In their order: a variable knows those before it.
    found: dict[str, JSON] = {"env": [copy.deepcopy(each) for each in env.values() if each["name"] in wanted]}
    if wanted - env.keys() and container.get("envFrom"):
        found["envFrom"] = copy.deepcopy(container["envFrom"])
    return {key: value for key, value in found.items() if value}


def _named(text: str) -> list[str]:
    """Names of the variables that are put into a text."""
    return re.findall(r"\$\(([^()]+)\)", text)


def _of_its_own_container(body: Mapping[str, JSON], container: Mapping[str, JSON]) -> None:
    """Have what names a container, to tell of its resources, name the only one that a twin has."""
    for volume in body.get("volumes") or ():
        sources = [volume.get("downwardAPI") or {}]
        sources += [each.get("downwardAPI") or {} for each in (volume.get("projected") or {}).get("sources") or ()]
        for item in (one for each in sources for one in each.get("items") or ()):
            if item.get("resourceFieldRef"):
                item["resourceFieldRef"]["containerName"] = _CONTAINER
    for variable in container.get("env") or ():
        if told := (variable.get("valueFrom") or {}).get("resourceFieldRef"):
            told["containerName"] = _CONTAINER


def _user(body: Mapping[str, JSON], container: dict[str, JSON]) -> None:
    """Where root is forbidden and nobody knows who else it is, somebody: the image of the probe would be root.

    The kubelet starts no such container as root, so no answer of the twin's is a root's that the workload would not give.
    """
    security = {**(body.get("securityContext") or {}), **(container.get("securityContext") or {})}
    if security.get("runAsNonRoot") and security.get("runAsUser") is None:
        container["securityContext"] = {**(container.get("securityContext") or {}), "runAsUser": _UID}


def user_is_guessed(template: Mapping[str, JSON]) -> bool:
    """Whether the twin of a template runs as somebody who may be another one than the workload's user."""
    spec = template["spec"]
    contexts = (each.get("securityContext") or {} for each in (spec, spec["containers"][0]))
    return all(each.get("runAsUser") is None for each in contexts)


def _place(body: dict[str, JSON], affinity: Mapping[str, JSON]) -> None:
    """Have it stand on the node that is named, whatever else would choose it; else on any where such a pod may stand.

    What keeps pods of a workload apart would keep its twin away from them.
    """
    if body.get("nodeName"):
        body.pop("nodeSelector", None)
        body["tolerations"] = [{"operator": "Exists"}]
    elif affinity.get("nodeAffinity"):
        body["affinity"] = {"nodeAffinity": copy.deepcopy(affinity["nodeAffinity"])}
