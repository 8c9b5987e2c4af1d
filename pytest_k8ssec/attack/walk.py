"""The walk: breadth-first from a twin of one workload, position by position, within bounds.

A *position* is a place or an identity from which an attacker goes on. The edges that leave from a position do not
depend on who got there, so they are found out once and shared between the workloads of a run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_k8ssec.attack import inferred
from pytest_k8ssec.attack.container import Container, Look, StackListener
from pytest_k8ssec.attack.further import NODE_USER, edges_by_table, edges_of_kubelet, of_role
from pytest_k8ssec.attack.graph import Edge, Graph, Kind, Status, Vertex
from pytest_k8ssec.attack.host import KEYS
from pytest_k8ssec.attack.inside import look, look_as_canary, of_look
from pytest_k8ssec.attack.kinds import KINDS
from pytest_k8ssec.attack.meter import BoundReached, Bounds, Meter
from pytest_k8ssec.attack.placement import Scene
from pytest_k8ssec.attack.rights import ANY_NODE, IdentitySuspect, edges_by_rights
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.facts.containers import OF_POD, container_templates
from pytest_k8ssec.facts.listening_ports import targets
from pytest_k8ssec.pods.manifests import PodSpec, by_container
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.cloud_metadata import served
from pytest_k8ssec.probes.identities import Identity, service_account
from pytest_k8ssec.probes.planted_files import planted
from pytest_k8ssec.probes.policy_enforcement import settle
from pytest_k8ssec.stack import Stack, Workload

POSITIONS = frozenset({Kind.POD, Kind.IDENTITY, Kind.NAMESPACE, Kind.NODE, Kind.KUBELET, Kind.ETCD, Kind.API_SERVER})

_FOLLOWS: Mapping[Kind, Callable[[Scene, Vertex], Iterator[Edge]]] = {
    Kind.POD: inferred.inferred_from_pod,
    Kind.NAMESPACE: inferred.of_namespace,
    Kind.SECRET: inferred.of_secret,
    Kind.ROLE: of_role,
    Kind.NODE: inferred.of_node,
    Kind.KUBELET: inferred.of_kubelet,
    Kind.ETCD: inferred.of_etcd,
    Kind.API_SERVER: inferred.of_api_server,
}
"""What follows from having something of a kind, without a request."""

_TOGETHER = 16
"""Containers that are looked round in at the same time."""

Free = Callable[[str], Pod]
"""By a node's name, a pod of ours there that may do everything."""


def start_of(workload: Workload) -> Vertex:
    """Where the walk from a workload begins."""
    return Vertex(Kind.POD, f"{workload.namespace}/{workload.name}")


@dataclass(slots=True)
class Walker:
    """Walks from workloads of one stack, and remembers the edges that leave from each position."""

    cluster: Cluster
    pool: Pool
    scene: Scene
    workloads: Mapping[Vertex, Sequence[Workload]]
    """By the start of their walk: a Deployment and a CronJob may have the same name, and are walked as one."""
    free: Free
    namespaces: frozenset[str] = frozenset()
    """Namespaces for whose accounts our administrator requests tokens, once these accounts are within reach."""
    bounds: Bounds = field(default_factory=Bounds)
    listening: Sequence[StackListener] = ()
    thorough: bool = False
    """Whether to go on behind an identity that is cluster-admin already."""
    _identities: dict[str, Identity] = field(default_factory=dict)
    _known: dict[tuple[Vertex, bool], tuple[Edge, ...]] = field(default_factory=dict)
    """By the position, and whether a token of it is held: with one, more can be told of an identity."""
    _looks: dict[Vertex, list[Look]] = field(default_factory=dict)

    @classmethod
    def of(cls, cluster: Cluster, stack: Stack, pool: Pool, scene: Scene, free: Free, bounds: Bounds) -> Walker:
        """A walker for a stack, with all listeners of the stack.

        Raises:
            ProbeError: what listens can't be found out.
        """
        listening = [
            StackListener(Vertex(Kind.ENDPOINT, each.subject), each.address, each.port, each.protocol)
            for each in targets(cluster, stack, protocols=("TCP", "UDP"))
        ]
        workloads: dict[Vertex, list[Workload]] = {}
        for workload in stack.workloads():
            workloads.setdefault(start_of(workload), []).append(workload)
        return cls(cluster, pool, scene, workloads, free, frozenset(stack.namespaces), bounds, listening)

    def walk(self, start: Vertex) -> Graph:
        """Everything within reach of whoever has a workload's pod.

        Raises:
            NoAccess: no pod of ours may be placed there.
            ProbeError: a twin did not start, or a probe broke.
        """
        graph, meter = Graph(start), Meter(self.bounds)
        waiting: deque[tuple[Vertex, int]] = deque([(start, 0)])
        seen = {start}
        try:
            while waiting:
                meter.check()  # what is inferred sends no request that would be counted
                here, depth = waiting.popleft()
                for edge in self._leaving(here, meter):
                    graph.add(edge)
                    there = edge.target
                    if not edge.open or there in seen:
                        continue
                    deeper = depth + (there.kind in POSITIONS)
                    if deeper > self.bounds.depth:
                        _note(graph, f"depth {self.bounds.depth}")
                        continue
                    seen.add(there)
                    waiting.append((there, deeper))
        except BoundReached as bound:
            _note(graph, str(bound))
        graph.requests, graph.seconds = meter.requests, meter.seconds
        if len(self.listening) > self.bounds.endpoints:
            _note(graph, f"{self.bounds.endpoints} endpoints")
        if self.scene.reach.silent:
            _note(graph, self.scene.reach.words)  # what leads there was not tried
        return graph

    def prepare(self, starts: Sequence[Vertex]) -> None:
        """Start the twins of workloads, and look round in all of their containers at the same time.

        Raises:
            NoAccess: no pod of ours may be placed there.
            ProbeError: a twin did not start, or an exec broke.
        """
        fresh = [start for start in dict.fromkeys(starts) if start not in self._looks]
        specs = [(start, name, spec) for start in fresh for name, spec in self._specs(start)]
        twins = self._twins([spec for _, _, spec in specs])
        looks: dict[Vertex, list[Look]] = {start: [] for start in fresh}
        for name in sorted({twin.source.node for twin in twins}):
            here = [(*each, twin) for each, twin in zip(specs, twins, strict=True) if twin.source.node == name]
            node = next(node for node in self.cluster.nodes if node.name == name)
            for start, looked in self._look_round(node, here):
                looks[start].append(looked)
        self._looks |= looks  # all or none: a workload of which one container is missing would seem safer than it is

    def _look_round(self, node: Node, here: Sequence[tuple[Vertex, str, PodSpec, Pod]]) -> list[tuple[Vertex, Look]]:
        """Look round in the twins on one node, and from the canary there."""
        mounts = [self.scene.mounts(spec.namespace, spec.template or {}) for _, _, spec, _ in here]
        mounted = sorted({path for each in mounts for path in each.values()})
        free = self.free(node.name)
        with (
            planted(self.cluster, node, (*mounted, *KEYS)) as traces,
            served(self.cluster, node, free),
            ThreadPoolExecutor(_TOGETHER) as threads,
        ):
            shown = threads.submit(look_as_canary, free, self.scene, traces)
            containers = [
                Container(f"{start.name}/{name}", spec.template or {}, twin, traces, self.scene, self._others(start))
                for start, name, spec, twin in here
            ]
            answers = list(threads.map(lambda one: look(one, {}), containers))
            canary = shown.result()
            return [(start, replace(answer, shown=canary)) for (start, *_), answer in zip(here, answers, strict=True)]

    def _others(self, start: Vertex) -> list[StackListener]:
        """What listens besides the workload itself, as far as the bound goes."""
        found = [each for each in self.listening if not each.vertex.name.startswith(f"{start.name}:")]
        return found[: self.bounds.endpoints]

    def nodes_of(self, start: Vertex) -> tuple[str, ...]:
        """The nodes that a workload's twins stand on. Raises as :meth:`prepare` does."""
        return tuple(sorted({twin.source.node for twin in self._twins([spec for _, spec in self._specs(start)])}))

    def places(self, start: Vertex) -> set[tuple[str, str]]:
        """What there is to look round in for a workload: node and container, "" for the node where any of its will do.

        It is told from what runs, and not from what was looked round in; see :meth:`looked_round`.

        Raises:
            ProbeError: the API server did not list the pods.
        """
        found: set[tuple[str, str]] = set()
        for workload in self.workloads.get(start, ()):
            nodes = self._stands_on(start, workload)
            if not nodes:
                found |= {("", name) for name in by_container(workload.template)}
            for pod in self.scene.pods(workload.namespace) if nodes else ():
                if pod.vertex == start and pod.node in nodes:
                    found |= {(pod.node, name) for name in pod.containers}
        return found

    def looked_round(self, start: Vertex) -> set[tuple[str, str]]:
        """What of :meth:`places` was looked round in."""
        pairs = {(each.container.pod.source.node, each.container.short) for each in self._looks.get(start, ())}
        return pairs | {("", name) for _, name in pairs}

    def _leaving(self, here: Vertex, meter: Meter) -> Iterator[Edge]:
        """What leaves from a vertex; remembered once it was found out to the end."""
        known = self._known.get((here, here.name in self._identities))
        if known is not None:
            yield from known
            return
        found = []
        for edge in self._find(here, meter):
            found.append(edge)
            yield edge
        self._known[here, here.name in self._identities] = tuple(found)

    def _find(self, here: Vertex, meter: Meter) -> Iterator[Edge]:
        if here in self.workloads:
            yield from self._of_workload(here, meter)
            return
        if here.kind is Kind.IDENTITY:
            yield from self._of_identity(here, meter)
        elif here.kind in _FOLLOWS:
            yield from _FOLLOWS[here.kind](self.scene, here)

    def _specs(self, start: Vertex) -> list[tuple[str, PodSpec]]:
        """The pods that stand for a workload, one for each distinct container of its, by that one's name.

        Where its own pods stand on several nodes, or by their kind on each, such pods stand on each of those: what leads out
        of a container may differ between nodes. Containers of one name are one place, whatever pods they are in.
        """
        return [
            (
                name.partition(OF_POD)[0],
                PodSpec(workload.namespace, template=template, live_network=True, purpose="twin"),
            )
            for workload in self.workloads[start]
            for nodes in [self._stands_on(start, workload)]
            for name, template in self._templates(workload, nodes).items()
        ]

    def _templates(self, workload: Workload, nodes: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """By the container's name; a canary of ours is no workload that the cluster knows, and is what its template says."""
        if self.scene.ours:
            return by_container(workload.template)
        return container_templates(self.cluster, workload, nodes=nodes)

    def _stands_on(self, start: Vertex, workload: Workload) -> list[str]:
        """The nodes that its twins are to stand on, by name; none for that of any of its pods."""
        pods = self.scene.pods(workload.namespace)
        asked = {node.name for node in self.scene.reach.answering}
        nodes = {pod.node for pod in pods if pod.vertex == start}
        spread = len(nodes) > 1 or workload.kind == "DaemonSet"
        return sorted(nodes & asked) if spread and nodes & asked else []

    def _of_workload(self, start: Vertex, meter: Meter) -> Iterator[Edge]:
        meter.check()
        self.prepare([start])
        for looked in self._looks[start]:
            told = self.scene.told(f"a twin of {start.name} runs")
            yield Edge(KINDS["enter"], start, looked.container.vertex, Status.PROVEN, told)
            yield from of_look(looked, meter, self._identities)

    def _of_identity(self, here: Vertex, meter: Meter) -> Iterator[Edge]:
        identity = self._identities.get(here.name)
        if here.name.startswith("system:bootstrap:") and identity is not None:
            yield _join(here, identity, meter)
            return
        if identity is None and here.namespace in self.namespaces:
            # Proven to be within reach; the token that shows what it may do is our administrator's to ask for.
            identity = service_account(self.cluster, here.namespace, here.name.rpartition(":")[2])
            self._identities[here.name] = identity
        if identity is None:
            yield from inferred.inferred_from_identity(self.scene, here)
            return
        suspect, found = IdentitySuspect(identity, self.scene, meter, self.thorough), []
        if here.name.startswith(NODE_USER):
            yield from edges_of_kubelet(suspect)
        for edge in edges_by_rights(suspect):
            found.append(edge)
            yield edge
        yield from edges_by_table(suspect, found)

    def _twins(self, specs: Sequence[PodSpec]) -> list[Pod]:
        """Their pods, which the policy engine was given the time to take up."""
        twins = self.pool.lease(*specs)
        settled: set[str] = self.pool.remember("blast radius: twins that policies were given time for", set)
        fresh = [twin for twin in twins if twin.uid not in settled]
        if fresh:
            free = self.free(fresh[0].source.node)
            settle([twin for twin in fresh if twin.uid != free.uid], free)  # no policy ever holds a canary of ours
            settled |= {twin.uid for twin in fresh}
        return twins


def _join(here: Vertex, identity: Identity, meter: Meter) -> Edge:
    """Whether it may ask for a node's certificate; it is not asked for."""
    meter.request()
    answer = identity.may("create", "certificatesigningrequests", group="certificates.k8s.io")
    status = Status.PROVEN if answer.outcome is Outcome.DONE else Status.REFUTED
    return Edge(KINDS["bootstrap-join"], here, ANY_NODE, status, answer)


def _note(graph: Graph, bound: str) -> None:
    if bound not in graph.bounds:
        graph.bounds.append(bound)
