"""Many plain pods with ten ports each, for measuring at scale."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from pytest_k8ssec.agent.vantage import PodVantage
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.evidence import Source
from pytest_k8ssec.facts.policies.network import End, Peer
from pytest_k8ssec.pods.manifests import container_security
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.reach.measure import Dial
from pytest_k8ssec.stack import Resource, Stack

PORTS = tuple(range(8000, 8010))
PAIR = PORTS[:2]
START_SECONDS = 240
_SERVER = """
import socket, select, sys, signal
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
poll, listeners = select.poll(), {}
for port in map(int, sys.argv[1:]):
    listener = socket.create_server(("", port), backlog=1024)
    listeners[listener.fileno()] = listener
    poll.register(listener, select.POLLIN)
while True:
    for number, _ in poll.poll():
        listeners[number].accept()[0].close()
"""
GROUPS = ("front", "back", "vault")


@dataclass(frozen=True, slots=True)
class Member:
    """One pod of the crowd."""

    vantage: PodVantage
    end: End

    @property
    def dials(self) -> list[Dial]:
        """Two of its ports."""
        return [Dial(self.end.address, port) for port in PAIR]


@contextmanager
def crowd(pool: Pool, size: int) -> Iterator[list[Member]]:
    """So many running pods, in a namespace of ours, in three groups by label ``group``; spread over all nodes."""
    api, namespace = pool.cluster.api, pool.namespace("crowd")
    counts = [size // len(GROUPS) + (at < size % len(GROUPS)) for at in range(len(GROUPS))]
    made = [
        _deployment(namespace, group, count, pool.cluster.probe_image)
        for group, count in zip(GROUPS, counts, strict=True)
    ]
    with api.applied(*made):
        for manifest, count in zip(made, counts, strict=True):
            name = manifest["metadata"]["name"]
            path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
            what = f"deployment {name}: its pods are not running"
            api.wait(path, name, partial(_runs, count), deadline=START_SECONDS, what=what)
        pods = api.list(f"/api/v1/namespaces/{namespace}/pods", labelSelector="crowd=yes")
        labels = api.get(f"/api/v1/namespaces/{namespace}")["metadata"]["labels"]
        yield [_member(pool, pod, labels) for pod in pods]


def _runs(count: int, deployment: Body | None) -> bool:
    return deployment is not None and deployment.get("status", {}).get("readyReplicas", 0) == count


def _member(pool: Pool, pod: Body, labels: dict[str, str]) -> Member:
    meta, address, node = pod["metadata"], pod["status"]["podIP"], pod["spec"]["nodeName"]
    source = Source("pod", f"{meta['namespace']}/{meta['name']}", address, node)
    vantage = PodVantage(pool.cluster, meta["namespace"], meta["name"], "server", source)
    return Member(vantage, End(address, node, Peer(meta["namespace"], labels, meta["labels"])))


@contextmanager
def estate(pool: Pool, size: int, replicas: int) -> Iterator[Stack]:
    """A stack of so many running pods: Deployments of two ports in two namespaces of ours, in three groups by ``group``.

    Each Deployment has a label of its own, which nobody asks for.
    """
    api, spaces = pool.cluster.api, [pool.namespace(f"estate-{name}") for name in "ab"]
    names = [f"{GROUPS[at % len(GROUPS)]}-{at}" for at in range(size // replicas)]
    made = [
        _deployment(spaces[at % 2], name.partition("-")[0], replicas, pool.cluster.probe_image, name, PAIR)
        for at, name in enumerate(names)
    ]
    with api.applied(*made):
        for manifest in made:
            namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
            path, what = (
                f"/apis/apps/v1/namespaces/{namespace}/deployments",
                f"deployment {name}: its pods are not running",
            )
            api.wait(path, name, partial(_runs, replicas), deadline=2 * START_SECONDS, what=what)
        resources = tuple(
            Resource(f"urn:{each['metadata']['name']}", "kubernetes:apps/v1:Deployment", each["metadata"]["name"],
                     each["metadata"]["namespace"])
            for each in made
        )  # fmt: skip
        yield Stack("estate", "tests", {}, resources, deployed=True, seconds=0, api=api)


def _deployment(
    namespace: str, group: str, replicas: int, image: str, name: str = "", ports: tuple[int, ...] = PORTS
) -> Body:
    labels = {"crowd": "yes", "group": group, **({"member": name} if name else {})}
    container = {
        "name": "server",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-SEc", _SERVER, *map(str, ports)],
        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}},
        "securityContext": container_security(),
    }
    spread = {
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"crowd": "yes"}},
    }  # fmt: skip
    spec = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 0,
        "tolerations": [{"operator": "Exists"}],
        "topologySpreadConstraints": [spread],
        "containers": [container],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name or group, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
