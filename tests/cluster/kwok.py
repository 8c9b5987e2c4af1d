"""Nodes and pods that only pretend to run, by kwok (https://kwok.sigs.k8s.io), beside the real nodes of a kind cluster."""

from __future__ import annotations

import ipaddress
import itertools
import json
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pytest_k8ssec.clusters.api import Body, KubeApi
from pytest_k8ssec.clusters.headers import MERGE_PATCH
from pytest_k8ssec.machine import docker
from pytest_k8ssec.pods.manifests import CANARY, CANARY_PORT, container_security
from toolchain import golang
from toolchain.binaries import kwok

MARK = "kwok.x-k8s.io/node"
"""Annotation by which kwok knows its nodes, and taint that keeps all else away from them."""
NAMESPACES = tuple(f"fake-{number}" for number in range(10))
APPS = tuple(f"app-{number}" for number in range(5))
PORT = 8080
_PODS = ipaddress.ip_network("198.19.0.0/16")
"""Addresses of fake pods: reserved for measuring (RFC 2544), so nobody's."""
_THREADS = 8
_SECONDS = 240
_END_SECONDS = 10
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Crowd:
    """How many of each."""

    nodes: int
    pods: int

    def node(self, number: int) -> str:
        """The name of a fake node."""
        return f"fake-{number % self.nodes}"


@contextmanager
def running(kubeconfig: Path, log: Path, environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """kwok itself, as a process of this machine; ended in every ending, by its own id."""
    kwok().build()
    stages = log.with_suffix(".stages.yaml")
    stages.write_text("---\n".join(each.read_text() for each in _stages()))
    command = [
        str(kwok().binary()),
        f"--kubeconfig={kubeconfig}",
        f"--config={stages}",
        f"--manage-nodes-with-annotation-selector={MARK}=fake",
        f"--cidr={_PODS}",
        # Four renewals in that time; a node counts as gone after 40 s without one.
        "--node-lease-duration-seconds=120",
        "--server-address=127.0.0.1:0",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=dict(environ), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_END_SECONDS)


def _stages() -> list[Path]:
    """What kwok does with its nodes and pods: they are ready at once, and beat."""
    folder = golang.module_folder("kwok", "sigs.k8s.io/kwok") / "kustomize" / "stage"
    return [
        path
        for part in ("node/fast", "node/heartbeat-with-lease", "pod/fast")
        for path in sorted((folder / part).glob("*.yaml"))
        if path.name != "kustomization.yaml"
    ]


def unanswering(nodes: Iterable[str]) -> ipaddress.IPv4Network:
    """The addresses of fake nodes, at the upper end of docker's network; what real nodes and pods send there is lost.

    That is the hardest silence: neither a refusal nor an unreachable host comes back before a deadline. None of it leaves
    the machine.
    """
    told = json.loads(docker.docker("network", "inspect", "kind", "--format", "{{json .IPAM.Config}}").text)
    whole = next(each for one in told if (each := ipaddress.ip_network(one["Subnet"])).version == 4)
    assert isinstance(whole, ipaddress.IPv4Network)
    *_, last = whole.subnets(new_prefix=22)
    for node, network, chain in itertools.product(nodes, (last, _PODS), ("PREROUTING", "OUTPUT")):
        docker.docker("exec", node, "iptables", "-t", "raw", "-I", chain, "-d", str(network), "-j", "DROP")
    return last


def placed(api: KubeApi, process: subprocess.Popen[bytes], crowd: Crowd, addresses: ipaddress.IPv4Network) -> None:
    """Create the nodes, Deployments, policies and pods, many side by side, and wait until all pods are told to run.

    The Deployments' own number of replicas is 0: a controller makes 20 pods a second, and we make hundreds.
    """
    _keep_daemons_away(api)
    hosts = list(itertools.islice(addresses.hosts(), crowd.nodes))
    networks = [str(each) for each in itertools.islice(_PODS.subnets(new_prefix=27), crowd.nodes)]
    _at_once(range(crowd.nodes), lambda at: api.create(_node(crowd.node(at), str(hosts[at]), networks[at])))
    for name in NAMESPACES:
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for name in NAMESPACES:
        account = f"/api/v1/namespaces/{name}/serviceaccounts"
        api.wait(account, "default", lambda found: found is not None, deadline=60, what=f"namespace {name}: no account")
        for manifest in _policies(name):
            api.create(manifest)
        for app in APPS:
            api.create(_deployment(name, app))
    _at_once(range(crowd.pods), lambda at: api.create(_pod(at, crowd.node(at))))
    _await(api, process)


def real(api: KubeApi, image: str) -> None:
    """The Deployment ``real/web``: one pod that listens, on a real node, and that nobody is let in to.

    Args:
        image: the probe image, as the nodes have it.
    """
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "real"}})
    listener = {
        "name": "web",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", CANARY, "nonce", str(CANARY_PORT)],
        "securityContext": container_security(),
    }
    labels = {"app": "web"}
    body = {"automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0, "containers": [listener]}
    api.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "real"},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": body}},
        }
    )
    api.create(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "deny", "namespace": "real"},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        }
    )


def _await(api: KubeApi, process: subprocess.Popen[bytes]) -> None:
    """Until no fake pod is left that does not run: one of them is asked for at a time, which costs the API server least."""
    end, path = time.monotonic() + _SECONDS, "/api/v1/pods"
    late = {"labelSelector": "crowd=fake", "fieldSelector": "status.phase!=Running", "limit": "1"}
    while api.get(path, **late)["items"]:
        assert process.poll() is None, f"kwok has ended with code {process.returncode}"
        assert time.monotonic() < end, f"fake pods do not run within {_SECONDS} s"
        time.sleep(1)  # a watch of 5,000 pods would cost the API server more


def _at_once(items: Iterable[_Item], do: Callable[[_Item], object]) -> None:
    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(do, items))


def _keep_daemons_away(api: KubeApi) -> None:
    """The network's own pods tolerate every taint: on fake nodes they would only take a controller's time."""
    patch = {"spec": {"template": {"spec": {"nodeSelector": {"kubernetes.io/os": "linux"}}}}}
    for each in api.list("/apis/apps/v1/namespaces/kube-system/daemonsets"):
        path = f"/apis/apps/v1/namespaces/kube-system/daemonsets/{each['metadata']['name']}"
        if not each["spec"]["template"]["spec"].get("nodeSelector"):
            api.call("PATCH", path, body=patch, headers=MERGE_PATCH)
            api.wait(path.rpartition("/")[0], each["metadata"]["name"], _rolled_out, deadline=90, what=f"{path}: waits")


def _rolled_out(found: Body | None) -> bool:
    status = (found or {}).get("status", {})
    generation = (found or {}).get("metadata", {}).get("generation")
    wanted = status.get("desiredNumberScheduled")
    fresh = status.get("observedGeneration") == generation and status.get("updatedNumberScheduled") == wanted
    return bool(fresh and status.get("numberReady") == wanted)


def _node(name: str, address: str, network: str) -> Body:
    much = {"cpu": "64", "memory": "256Gi", "pods": "200"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {MARK: "fake", "node.alpha.kubernetes.io/ttl": "0"},
            "labels": {"type": "kwok", "kubernetes.io/hostname": name},
        },
        "spec": {
            "podCIDR": network,
            "podCIDRs": [network],
            "taints": [{"key": MARK, "value": "fake", "effect": "NoSchedule"}],
        },
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
            "capacity": much,
            "allocatable": much,
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        },
    }


def _policies(namespace: str) -> list[Body]:
    """Nobody gets in, but each app from the one before it, and the first from everywhere."""
    rules: list[tuple[str, Any, Any]] = [("deny", {}, [])]
    for before, app in itertools.pairwise(APPS):
        peers = [{"podSelector": {"matchLabels": {"app": before}}}]
        rules.append((app, {"matchLabels": {"app": app}}, [{"from": peers, "ports": [{"port": PORT}]}]))
    rules.append((APPS[0], {"matchLabels": {"app": APPS[0]}}, [{}]))
    return [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"podSelector": selector, "policyTypes": ["Ingress"], "ingress": ingress},
        }
        for name, selector, ingress in rules
    ]


def _spec() -> Body:
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "nodeSelector": {"type": "kwok"},
        "tolerations": [{"operator": "Exists"}],
        "containers": [{"name": "app", "image": "nowhere.invalid/app:1", "ports": [{"containerPort": PORT}]}],
    }


def _deployment(namespace: str, app: str) -> Body:
    labels = {"app": app, "crowd": "fake"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": app, "namespace": namespace},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": _spec()},
        },
    }


def _pod(number: int, node: str) -> Body:
    """One that is a Deployment's by its labels, and bound to a node."""
    namespace, app = NAMESPACES[number % len(NAMESPACES)], APPS[number // len(NAMESPACES) % len(APPS)]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{app}-{number}", "namespace": namespace, "labels": {"app": app, "crowd": "fake"}},
        "spec": {**_spec(), "nodeName": node},
    }
