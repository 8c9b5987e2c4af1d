"""A cluster of many pods whose network does what the policies say, but for the pods that a test makes deaf or dumb."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from pytest_k8ssec.agent.vantage import PodVantage
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.evidence import Source
from pytest_k8ssec.facts.policies import End, Peer
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.pods.manifests import CANARY_PORT, PodSpec
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.reach.find_places import census
from pytest_k8ssec.reach.matrix import Reachability
from pytest_k8ssec.reach.measure import MANNER
from pytest_k8ssec.reach.places import Places
from pytest_k8ssec.reach.sampling import Sampling
from pytest_k8ssec.reach.survey import Survey
from pytest_k8ssec.stack import Stack, Workload
from tests.unit.facts import policy_semantics
from tests.unit.facts.policy_scenes import NAMESPACES

NODES = (Node("one", "172.18.0.2", True, "c1"), Node("two", "172.18.0.3", False, "c2"))
PORT = 8080
NAME = "http"


@dataclass
class Town:
    """A cluster, its API server, its stack and our pool of pods in one.

    Pods have addresses below 60 in the network of their node, twins of ours from 64 on.
    """

    workloads_: Sequence[Workload]
    replicas: int
    policies: Sequence[dict[str, Any]] = ()
    kind: str = ""
    """Of policies that the API server serves besides, in a group of its own or in that of policies for the whole cluster."""
    group: str = "example.org"
    others: Sequence[dict[str, Any]] = ()
    """Objects of such a kind."""
    served: bool = False
    """Whether the first workload of each namespace has a Service."""
    nodes: Sequence[Node] = NODES
    pods: list[dict[str, Any]] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    """Pods that declare their port and do not listen."""
    deaf: set[str] = field(default_factory=set)
    """Addresses that nobody but nodes can reach, whatever policies say."""
    dumb: set[str] = field(default_factory=set)
    """Addresses from where nothing gets away, whatever policies say."""
    twins: int = 0
    first_twin: int = 64
    deployed = True
    namespaces = tuple(NAMESPACES)

    def __post_init__(self) -> None:
        """One pod after the other, on one node after the other."""
        for at, (each, number) in enumerate((each, n) for each in self.workloads_ for n in range(self.replicas)):
            name = f"{each.name}-{number}"
            node = self.nodes[at % len(self.nodes)]
            self.pods.append({
                "metadata": {"name": name, "namespace": each.namespace, "uid": name, "labels": dict(each.labels)},
                "spec": {"nodeName": node.name, "containers": [
                    {"name": "c", "ports": [{"name": NAME, "containerPort": PORT}]}
                ]},
                "status": {
                    "podIP": f"10.244.{at % len(self.nodes)}.{4 + at // len(self.nodes)}", "phase": "Running",
                    "containerStatuses": [{"name": "c", "ready": True, "state": {"running": {}}}],
                },
            })  # fmt: skip

    @property
    def api(self) -> Town:
        """Itself."""
        return self

    @property
    def cluster(self) -> Town:
        """Itself."""
        return self

    def workloads(self) -> Sequence[Workload]:
        """Of the stack."""
        return self.workloads_

    def get(self, path: str) -> dict[str, Any]:
        """A namespace; or which groups there are, and of which kinds."""
        if path == "/apis":
            return {
                "groups": [{"name": self.group, "versions": [{"groupVersion": f"{self.group}/v1"}]}]
                if self.kind
                else []
            }
        if path.startswith("/apis/"):
            return {"resources": [{"name": "strangers", "kind": self.kind}]}
        return {"metadata": {"labels": NAMESPACES.get(path.rsplit("/", 1)[-1], {})}}

    def list(self, path: str, labelSelector: str = "") -> Sequence[dict[str, Any]]:  # noqa: N803 - as the API calls it
        """Pods of one workload; policies, and what else there is."""
        last = path.rsplit("/", 1)[-1]
        if last == "pods":
            namespace = path.split("/")[4]
            wanted = labelSelector.removeprefix("own=")
            return [
                each
                for each in self.pods
                if each["metadata"]["namespace"] == namespace and each["metadata"]["labels"].get("own") == wanted
            ]
        if last in ("services", "endpointslices"):
            return self._served(path.split("/")[-2], last)
        found = {"networkpolicies": self.policies, "strangers": self.others}
        return found.get(last, ())

    def _served(self, namespace: str, what: str) -> Sequence[dict[str, Any]]:
        """A Service for the first workload of each namespace, or what stands behind it."""
        name = next((each.name for each in self.workloads_ if each.namespace == namespace), "")
        if not name or not self.served:
            return []
        if what == "services":
            ports = [{"name": "p", "port": 80}]
            return [
                {
                    "metadata": {"name": name, "namespace": namespace},
                    "spec": {"clusterIP": self._vip(namespace), "ports": ports},
                }
            ]
        ready = [{"addresses": [each]} for each in self._behind(name)]
        labels = {"kubernetes.io/service-name": name}
        return [{"metadata": {"labels": labels}, "ports": [{"name": "p", "port": PORT}], "endpoints": ready}]

    def _vip(self, namespace: str) -> str:
        return f"10.96.0.{self.namespaces.index(namespace) + 1}"

    def _behind(self, name: str) -> Sequence[str]:
        return [each["status"]["podIP"] for each in self.pods if each["metadata"]["labels"]["own"] == name]

    def _backend(self, host: str) -> str:
        """Where a Service leads to; of anything else, itself."""
        for each in reversed(self.workloads_):  # the first one of a namespace has it
            if host in (self._vip(each.namespace), f"{each.name}.{each.namespace}.svc"):
                name = next(one.name for one in self.workloads_ if one.namespace == each.namespace)
                return self._behind(name)[0]
        return host

    def on_node(self, _node: Node, argv: Sequence[str], **_: Any) -> Completed:
        """Each pod listens on one port; a node on none."""
        lines = [f"{uid} -" + ("" if uid in self.silent else f"\n{uid} t *:{PORT}") for uid in argv[4:]]
        return Completed(tuple(argv), 0, "\n".join(lines or ["node -"]).encode(), b"")

    def namespace(self, purpose: str) -> str:
        """One of ours."""
        return f"k8ssec-{purpose}"

    def lease(self, *specs: PodSpec) -> Sequence[Pod]:
        """Pods of ours, each on the node that its template names, or on the first."""
        made = []
        for spec in specs:
            node = (spec.template or {}).get("spec", {}).get("nodeName", self.nodes[0].name)
            at = [each.name for each in self.nodes].index(node)
            address = f"10.244.{at}.{self.first_twin + self.twins}"
            self.twins += 1
            source = Source("pod", f"{spec.namespace}/{spec.purpose}", address, node)
            vantage = PodVantage(cast("Cluster", self), spec.namespace, "x", "probe", source)
            made.append(Pod(vantage, "uid", "nonce", since=float("-inf")))  # long ago: nobody waits for policies
        return made

    def admits(self, source: End, host: str, port: int) -> bool:
        """Whether the network lets a connection through; what policies leave to it, it lets through."""
        if port == CANARY_PORT:
            return True  # a node's look at a pod of ours
        host, port = self._backend(host), PORT
        found = next((each for each in self.pods if each["status"]["podIP"] == host), None)
        if found is None or found["metadata"]["uid"] in self.silent:
            return False
        if source.pod is not None and (host in self.deaf or source.address in self.dumb):
            return False
        meta = found["metadata"]
        peer = Peer(meta["namespace"], NAMESPACES[meta["namespace"]], meta["labels"])
        target = End(host, found["spec"]["nodeName"], peer, frozenset({(NAME, "TCP", PORT)}))
        return policy_semantics.admits(self.policies, source, target, port) is not False


@dataclass
class Wire:
    """A place in the town: what is sent from there arrives, or is refused."""

    town: Town
    end: End
    source: Source

    def execute(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Completed:
        """Sweep."""
        told = json.loads(stdin.splitlines()[-1])
        lines: list[Any] = [
            [at, "open" if self.town.admits(self.end, host, port) else "refused", 1.0, ""]
            for at, (host, port, _) in enumerate(told["targets"])
        ]
        lines.append({"end": told["nonce"], "count": len(lines)})
        return Completed(tuple(argv), 0, "\n".join(map(json.dumps, lines)).encode(), b"")


def workload(name: str, namespace: str, labels: Mapping[str, str], **spec: Any) -> Workload:
    """A Deployment, whose pods also have a label of their own."""
    worn = {**labels, "own": name}
    template = {"metadata": {"labels": worn}, "spec": {"containers": [{"name": "c"}], **spec}}
    return Workload("Deployment", namespace, name, worn, {"matchLabels": {"own": name}}, template)


def town(chance: random.Random, workloads: int, replicas: int, **more: Any) -> Town:
    """Deployments with labels by chance, and Services."""
    made = [
        workload(
            f"w{number}",
            chance.choice("ab"),
            {
                key: chance.choice(values)
                for key, values in {"app": "xyz", "tier": "fb"}.items()
                if chance.random() < 0.6
            },
        )
        for number in range(workloads)
    ]
    return Town(made, replicas, served=True, **more)


def found_in(where: Town, sampling: Sampling) -> Places:
    """Its places, each of which is wired to the town's network."""
    places = census(cast("Cluster", where), cast("Stack", where), cast("Pool", where), sampling)
    origins = [
        replace(each, vantage=Wire(where, each.end, each.vantage.source)) if each.measured else each
        for each in places.origins
        if each.name != "outside"
    ]
    return replace(places, origins=tuple(origins))


def surveyed(places: Places) -> Reachability:
    """What is measured there."""
    return Survey(places, MANNER, lambda _origin, _row: None).take()
