"""Freeze a cluster that is ready: stop Kubernetes on its nodes, and make an image of each."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pytest_k8ssec.clusters.bootstrap_tokens import PUBLIC_BOOTSTRAP_TOKEN, TOKEN_SECRETS, TOKEN_TYPE
from pytest_k8ssec.clusters.frozen.shelf import FROZEN_LABEL, REPOSITORY, FrozenCluster, FrozenNode, Token
from pytest_k8ssec.clusters.frozen.strays import CACHE_LABEL, this_cache
from pytest_k8ssec.clusters.frozen.variant import KUBEADM_FILE, KUBELET_FILE
from pytest_k8ssec.clusters.headers import MERGE_PATCH
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.clusters.kind import KindCluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.clusters.ports import API_SERVER_PORT
from pytest_k8ssec.errors import ClusterError, CommandError
from pytest_k8ssec.machine import docker

ON_NODE = Path(__file__).parent / "on_node"
PLACE = "/kind/k8ssec"
"""Where a node has what it needs to be thawed."""
WORKDIR_PLACE, MARK_PLACE = "@workdir", "@mark"
"""Stand in a record for the folder of the cluster's files, and for the run's mark."""
_SECONDS = 180
_KEPT_FIELDS = ("description", "auth-extra-groups", "usage-bootstrap-authentication", "usage-bootstrap-signing")
_NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
_HOST_LABEL = "kubernetes.io/hostname"
_KEPT_OF_POD = ("namespace", "generateName", "labels", "annotations", "ownerReferences")
_STOP_CONTROLLERS = """
set -e
there=$(crictl ps --quiet --name '^kube-(controller-manager|scheduler)$')
[ -z "$there" ] || crictl --timeout 60s stop --timeout 5 $there
"""


def freeze_cluster(cluster: KindCluster, config: KindConfig, key: str) -> FrozenCluster:
    """Make an entry of a cluster; it is of no use any more then, and the caller removes it.

    Args:
        cluster: just made by kind, as ``config`` says, with nothing on it.
        key: of the entry.

    Returns:
        the entry, of which nothing is written down yet but the names of its images, in the run's ledger.

    Raises:
        ClusterError, CommandError, ProbeError: it can't be frozen, a command on a node failed, or docker refused.
    """
    tokens = tuple(_forget_tokens(cluster))
    machines = {
        item["metadata"]["name"]: str(item["status"]["nodeInfo"]["machineID"])
        for item in cluster.api.list("/api/v1/nodes")
    }
    described = {each["Name"].removeprefix("/"): each for each in _inspected(cluster)}
    fixed = _fixed_ports(config)
    texts = {
        (node.name, file): cluster.on_node(node, ["cat", file]).text
        for node in cluster.nodes
        for file in (KUBELET_FILE, KUBEADM_FILE)
        if node.control_plane or file == KUBELET_FILE
    }

    side_by_side(lambda node: cluster.on_node(node, ["systemctl", "stop", "kubelet"]), *((n,) for n in cluster.nodes))
    cluster.on_node(cluster.nodes[0], ["sh", "-c", _STOP_CONTROLLERS], deadline=_SECONDS)
    for node in cluster.nodes:
        _mark_unready(cluster, node)
    _renew_pods(cluster)

    def freeze(number: int, node: Node) -> FrozenNode:
        told = described[node.container]
        _prepare(cluster, node, random_keys=config.has_random)
        tag = f"{REPOSITORY}:{key[:12]}-{cluster.run.id}-{number}"
        cluster.run.will_create("image", tag)
        made = docker.docker(
            "commit", "--pause=false", "--change", f"LABEL {FROZEN_LABEL}={key} {CACHE_LABEL}={this_cache()}",
            node.container, tag, deadline=_SECONDS, mark=cluster.run.id,
        )  # fmt: skip
        return FrozenNode(
            node.name,
            told["Config"]["Labels"][docker.KIND_ROLE_LABEL],
            node.container.removeprefix(f"{cluster.name}-"),
            tag,
            made.text.strip(),
            machines[node.name],
            tuple(_options(told)),
            tuple(_binds(told, cluster)),
            tuple(_ports(told, fixed)),
            kubelet=texts[node.name, KUBELET_FILE],
            kubeadm=texts.get((node.name, KUBEADM_FILE), ""),
        )

    nodes = side_by_side(freeze, *enumerate(cluster.nodes))
    return FrozenCluster(key, time.time(), tuple(nodes), tokens, sum(_size(node) for node in nodes))


def side_by_side(work: Callable[..., Any], *arguments: tuple[Any, ...]) -> list[Any]:
    """Do the same work for several things at a time. Raises what the first of them raised, once all have ended."""
    with ThreadPoolExecutor(max_workers=max(1, len(arguments))) as pool:
        started = [pool.submit(work, *each) for each in arguments]
    return [each.result() for each in started]


def _mark_unready(cluster: KindCluster, node: Node) -> None:
    """Have the API say of a node what it says of one that just joined: it is not ready, and has no address yet.

    A copy then places pods that need the network once its kubelets say that there is one. Before kube-proxy is there a
    connection to a Service gets no answer, and whoever opened one, as CoreDNS does, waits half a minute for it. And a
    kubelet asks for its serving certificate with the addresses that it finds here: those of the frozen cluster, else.

    Raises:
        ClusterError: the API server refused.
    """
    path = f"/api/v1/nodes/{node.name}"
    ready = {"type": "Ready", "status": "False", "reason": "K8ssecFrozen", "message": "this cluster was frozen"}
    taints = [*(cluster.api.get(path)["spec"].get("taints") or []), _NOT_READY]
    for place, body in (
        (f"{path}/status", {"status": {"conditions": [ready], "addresses": []}}),
        (path, {"spec": {"taints": taints}}),
    ):
        cluster.api.call("PATCH", place, body=body, headers=MERGE_PATCH)


def _renew_pods(cluster: KindCluster) -> None:
    """Replace each pod by one that has not started yet, for the same node.

    A copy's nodes then need not wait for controllers: pods of DaemonSets start as soon as the API server answers, the
    network's among them. Others are placed once their node has a network: its kubelet would try too early, and then
    pause longer and longer. On another node CoreDNS would wait for kube-router to find the way to the API server: 5 s.
    Probes of readiness come each second in these pods, as a kubelet that has just started puts the first one off by up to
    one period: DNS would be ready after up to 10 s more.

    Raises:
        ClusterError: the API server does not answer.
    """
    hosts = {
        node["metadata"]["name"]: node["metadata"]["labels"][_HOST_LABEL] for node in cluster.api.list("/api/v1/nodes")
    }
    for pod in cluster.api.list("/api/v1/pods"):
        meta, spec = pod["metadata"], pod["spec"]
        cluster.api.delete(f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}", grace=0)
        owner = next((each["kind"] for each in meta.get("ownerReferences") or ()), "")
        if owner == "ReplicaSet":
            if node := spec.pop("nodeName", ""):  # none where it was not placed yet
                spec["nodeSelector"] = {**(spec.get("nodeSelector") or {}), _HOST_LABEL: hosts[node]}
        elif owner != "DaemonSet":
            continue
        for container in spec["containers"]:
            if "readinessProbe" in container:
                container["readinessProbe"]["periodSeconds"] = 1
        kept = {name: meta[name] for name in _KEPT_OF_POD if name in meta}
        cluster.api.create({"apiVersion": "v1", "kind": "Pod", "metadata": kept, "spec": spec})


def _forget_tokens(cluster: KindCluster) -> Iterator[Token]:
    """Delete bootstrap tokens, and say what there was: each copy gets its own."""
    for secret in cluster.api.list(TOKEN_SECRETS, fieldSelector=f"type={TOKEN_TYPE}"):
        said = {name: base64.b64decode(value).decode() for name, value in (secret.get("data") or {}).items()}
        cluster.api.delete(f"{TOKEN_SECRETS}/{secret['metadata']['name']}")
        yield Token(
            said.get("token-id") == PUBLIC_BOOTSTRAP_TOKEN.partition(".")[0],
            {name: said[name] for name in _KEPT_FIELDS if name in said},
        )


def _prepare(cluster: KindCluster, node: Node, *, random_keys: bool) -> None:
    """Stop Kubernetes on a node, and lay what is to be kept where an image takes it from.

    Raises:
        ClusterError: something of it can't be frozen.
    """
    names = {"control-plane": cluster.nodes[0].name, "workers": " ".join(each.name for each in cluster.nodes[1:])}
    try:
        for name, text in {"thaw.sh": (ON_NODE / "thaw.sh").read_text(), **names}.items():
            docker.docker(
                "exec", "-i", node.container, "sh", "-c", f"mkdir -p {PLACE} && cat >{PLACE}/{name}",
                stdin=text.encode(),
            )  # fmt: skip
        docker.docker(
            "exec", "-i", node.container, "bash", "-s", "random-keys" if random_keys else "no-random-keys",
            stdin=(ON_NODE / "freeze.sh").read_bytes(), deadline=_SECONDS,
        )  # fmt: skip
    except docker.DaemonGone:
        raise
    except CommandError as error:
        why = next((line for line in error.details.splitlines() if line.startswith("k8ssec: ")), error.message)
        raise ClusterError(f"node {node.name}: {why.removeprefix('k8ssec: ')}", details=error.details) from error


def _inspected(cluster: KindCluster) -> list[dict[str, Any]]:
    told = docker.docker("container", "inspect", *(node.container for node in cluster.nodes)).stdout
    found: list[dict[str, Any]] = json.loads(told)
    return found


def _options(told: dict[str, Any]) -> Iterator[str]:
    """How kind started the node, as far as a copy must be started so too."""
    host, config = told["HostConfig"], told["Config"]
    yield from ("--hostname", config["Hostname"], "--network", host["NetworkMode"])
    if config["Tty"]:
        yield "--tty"
    if host["Privileged"]:
        yield "--privileged"
    for option in host["SecurityOpt"] or ():
        yield from ("--security-opt", option)
    for place, options in (host["Tmpfs"] or {}).items():
        yield from ("--tmpfs", f"{place}:{options}" if options else place)
    for name, value in (host["Sysctls"] or {}).items() if "Sysctls" in host else ():
        yield from ("--sysctl", f"{name}={value}")
    for device in host["Devices"] or ():
        yield from ("--device", f"{device['PathOnHost']}:{device['PathInContainer']}:{device['CgroupPermissions']}")
    restart = host["RestartPolicy"]
    if restart["Name"] not in ("", "no"):
        count = restart["MaximumRetryCount"]
        yield from ("--restart", f"{restart['Name']}:{count}" if count else restart["Name"])
    if host["CgroupnsMode"]:
        yield from ("--cgroupns", host["CgroupnsMode"])
    if host["UsernsMode"]:
        yield from ("--userns", host["UsernsMode"])
    yield f"--init={'true' if host['Init'] else 'false'}"


def _binds(told: dict[str, Any], cluster: KindCluster) -> Iterator[str]:
    for bind in told["HostConfig"]["Binds"] or ():
        for place, name in ((cluster.workdir, WORKDIR_PLACE), (cluster.run.mark, MARK_PLACE)):
            if bind.startswith((f"{place}/", f"{place}:")):
                bind = name + bind.removeprefix(str(place))  # noqa: PLW2901 - at most one of them fits
        yield bind


def _fixed_ports(config: KindConfig) -> set[tuple[int, int]]:
    """Ports of this machine that the configuration names, with the node's port that each leads to."""
    networking = config.document.get("networking") or {}
    mapped = [
        (int(mapping.get("hostPort") or 0), int(mapping.get("containerPort") or 0))
        for node in config.document["nodes"]
        for mapping in node.get("extraPortMappings") or []
    ]
    return {each for each in [*mapped, (int(networking.get("apiServerPort") or 0), API_SERVER_PORT)] if each[0] > 0}


def _ports(told: dict[str, Any], fixed: set[tuple[int, int]]) -> Iterator[tuple[str, str, str]]:
    for target, bindings in (told["HostConfig"]["PortBindings"] or {}).items():
        port = int(target.partition("/")[0])
        for binding in bindings or ():
            named = (int(binding["HostPort"] or 0), port) in fixed
            yield binding["HostIp"], binding["HostPort"] if named else "", target


def _size(node: FrozenNode) -> int:
    """Bytes of the layer that the node's image has beside the node image."""
    told = docker.docker("history", "--human=false", "--format", "{{.Size}}", node.image).text.split()
    return int(told[0]) if told else 0
