"""Who stands where: the places that can send, and what each of them can be pointed at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import K8ssecError, NoAccess, ProbeError
from pytest_k8ssec.evidence import Source
from pytest_k8ssec.probes.manifests import CANARY_PORT, PodSpec
from pytest_k8ssec.probes.policies import End, Peer, Policy, Rules
from pytest_k8ssec.probes.pool import Pod, Pool
from pytest_k8ssec.probes.targets import Port, declared_ports, lasting, listening, node_ports, running
from pytest_k8ssec.probes.vantage import NetworkVantage, Vantage
from pytest_k8ssec.process import Completed
from pytest_k8ssec.reach.life import life, newest
from pytest_k8ssec.reach.measure import Dial
from pytest_k8ssec.stack import Stack, Workload

ELSEWHERE = "elsewhere"
OUTSIDE = "outside"
NODE = "node"
PURPOSE = "reach"
"""Of our own namespace, which no policy of the stack is about, and of the pods in it."""

Way = Literal["pod", "service", "name", "node"]


@dataclass(frozen=True, slots=True)
class Origin:
    """A place that sends."""

    name: str
    """``web/storefront``; ``web/*``, a pod of that namespace without labels; ``elsewhere``, one of a foreign namespace;
    ``node/NAME``; ``outside``."""
    end: End
    """As policies see it."""
    vantage: Vantage
    listener: Dial | None = None
    """Its own, by which its node shows that its network works."""
    spec: PodSpec | None = None
    """What makes more pods of its like."""
    since: float = float("-inf")
    """When it was seen to run, where it is a pod of ours; this process's monotonic clock."""

    @property
    def namespace(self) -> str:
        """Of the stack, or what it is grouped under where it is in none."""
        return self.name.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Destination:
    """One port, by one of the ways that lead to it."""

    name: str
    """``payments/api``, or ``node/NAME``."""
    way: Way
    dial: Dial
    port: int
    """The listener's own: a Service may give it another number."""
    words: str
    """Which of them: ``pod api-7d9f``, ``Service payments/api``."""
    ends: tuple[End, ...]
    """Where it can lead to."""
    listeners: tuple[Dial, ...] = ()
    """What stands behind a Service; empty for what is dialled directly."""

    @property
    def namespace(self) -> str:
        """Of the stack, or ``node``."""
        return self.name.partition("/")[0]

    @property
    def subject(self) -> str:
        """``payments/api:8080/TCP``: what a declaration speaks of."""
        return f"{self.name}:{self.port}/{self.dial.protocol}"


@dataclass(frozen=True)
class Places:
    """All of a cluster that reachability is about."""

    origins: tuple[Origin, ...]
    destinations: tuple[Destination, ...]
    policies: tuple[Policy, ...]
    notes: tuple[str, ...] = ()
    """What could not be measured from here, and why."""
    lives: Mapping[Dial, frozenset[str]] = field(default_factory=dict)
    """The pods that listen at an address, each as :func:`pytest_k8ssec.reach.life.life` tells it."""
    born: float = float("-inf")
    """When the newest pod, or policy, came to be; this process's monotonic clock."""

    @cached_property
    def _rules(self) -> Rules:
        return Rules(self.policies)

    def asked(self, origin: Origin) -> list[int]:
        """Indices of the destinations that an origin is pointed at.

        From outside only nodes: nobody sends to pod addresses from there. A node has another resolver than pods.
        """
        ways: tuple[Way, ...] = ("pod", "service", "name", "node")
        if origin.name == OUTSIDE:
            ways = ("node",)
        elif origin.namespace == NODE:
            ways = ("pod", "service", "node")
        return [number for number, each in enumerate(self.destinations) if each.way in ways]

    def expected(self, origin: Origin, destination: Destination) -> bool | None:
        """What the policies should give; None where they leave it open, or where a Service leads to both."""
        if destination.way == "node" and destination.namespace != NODE:
            # By a Service's port of a node: whose address arrives at the pod is the proxy's business.
            held = self._rules.isolated(origin.end, "Egress")
            return None if held or any(self._rules.isolated(end, "Ingress") for end in destination.ends) else True
        said = {
            self._rules.admits(origin.end, end, destination.port, destination.dial.protocol) for end in destination.ends
        }
        return said.pop() if len(said) == 1 else None


def find(cluster: Cluster, stack: Stack, pool: Pool) -> Places:
    """The stack's workloads and Services, its namespaces, the nodes and the outside.

    Raises:
        ClusterError, StackError: the API server did not answer as it should.
        ProbeError: what listens can't be found out, or a pod of the stack is not there to listen.
    """
    workloads = stack.workloads()
    labels = {name: _labels(cluster, name) for name in stack.namespaces}
    notes: list[str] = []
    pods = _pods(cluster, workloads, notes)
    everyone = [pod for found in pods.values() for pod in found]
    ports = listening(cluster, everyone)
    policies = cluster.api.list("/apis/networking.k8s.io/v1/networkpolicies")
    origins = (*_pods_to_send_from(pool, stack, workloads, labels, notes), *_machines(cluster))
    destinations = (
        *_pods_to_reach(cluster, pods, ports, labels, notes),
        *_services(cluster, stack, pods, ports, labels, notes),
        *_nodes_to_reach(cluster),
    )
    return Places(
        origins,
        destinations,
        tuple(policies),
        tuple(notes),
        _lives(everyone, ports),
        max(newest([*everyone, *policies]), *(each.since for each in origins)),
    )


def _name(workload: Workload) -> str:
    return f"{workload.namespace}/{workload.name}"


def _pods(cluster: Cluster, workloads: Sequence[Workload], notes: list[str]) -> dict[str, list[Body]]:
    """Each workload's running pods by its name, which a Deployment and a Job may have in common."""
    found: dict[str, list[Body]] = {}
    for each in workloads:
        pods = running(cluster, each, ready=True)
        if not pods:
            notes.append(f"to {each} nothing is sent: no pod of it runs")
        found.setdefault(_name(each), []).extend(pods)
    return found


def _lives(pods: Iterable[Body], ports: Mapping[str, Sequence[Port]]) -> dict[Dial, frozenset[str]]:
    found: dict[Dial, frozenset[str]] = {}
    for pod in pods:
        for port, protocol in ports[pod["metadata"]["uid"]]:
            for address in _addresses(pod):
                dial = _dial(address, port, protocol)
                # Pods in their node's network have its address in common.
                found[dial] = found.get(dial, frozenset()) | {life(pod)}
    return found


def _labels(cluster: Cluster, namespace: str) -> Mapping[str, str]:
    found: Mapping[str, str] = cluster.api.get(f"/api/v1/namespaces/{namespace}")["metadata"].get("labels", {})
    return found


# Origins


@dataclass(frozen=True, slots=True)
class Missing:
    """A place that could not be had: nothing is known from there."""

    source: Source
    why: str

    def execute(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Completed:  # noqa: ARG002 - as a Vantage
        """Raises ProbeError, always."""
        raise ProbeError(self.why)


def _pods_to_send_from(
    pool: Pool,
    stack: Stack,
    workloads: Sequence[Workload],
    labels: Mapping[str, Mapping[str, str]],
    notes: list[str],
) -> Iterator[Origin]:
    home = pool.namespace(PURPOSE)
    wanted: list[tuple[str, PodSpec, Peer]] = []
    if stack.deployed:
        # By no name: a Deployment and a Job may have one in common, and each sends.
        wanted += [
            (
                _name(each),
                PodSpec(each.namespace, template=each.template, purpose="twin"),
                Peer(each.namespace, labels[each.namespace], each.labels),
            )
            for each in workloads
        ]
        with_pods = dict.fromkeys(each.namespace for each in workloads)
        wanted += [(f"{name}/*", PodSpec(name, purpose=PURPOSE), Peer(name, labels[name], {})) for name in with_pods]
    else:
        notes.append("this run did not deploy the stack: no pod of ours stands in for its workloads and namespaces")
    wanted.append((ELSEWHERE, PodSpec(home, purpose=PURPOSE), Peer(home, _labels(pool.cluster, home), {})))
    made = _leased(pool, [(name, spec) for name, spec, _ in wanted], notes)
    for (name, spec, peer), got in zip(wanted, made, strict=True):
        if isinstance(got, Missing):
            yield Origin(name, End("", pod=peer), got)
            continue
        in_nodes_network = bool((spec.template or {}).get("spec", {}).get("hostNetwork"))
        end = End(got.address, got.source.node, None if in_nodes_network else peer)
        yield Origin(name, end, got.vantage, Dial(got.address, CANARY_PORT), spec, got.since)


def _leased(pool: Pool, wanted: Sequence[tuple[str, PodSpec]], notes: list[str]) -> list[Pod | Missing]:
    """A pod for each, side by side; where one of them is refused, one by one, so that the others are had."""
    try:
        return list(pool.lease(*(spec for _, spec in wanted)))
    except (ProbeError, NoAccess):
        found: list[Pod | Missing] = []
    for name, spec in wanted:
        try:
            found += pool.lease(spec)
        except (ProbeError, NoAccess) as error:
            found.append(Missing(Source("pod", name), error.message))
            notes.append(f"from {name} nothing is known: {error.message}")
    return found


def _machines(cluster: Cluster) -> Iterator[Origin]:
    for node in cluster.nodes:
        if node.container:
            yield Origin(f"{NODE}/{node.name}", End(node.address, node.name), NetworkVantage(cluster, node))
    yield Origin(OUTSIDE, End(""), NetworkVantage(cluster, None))


# Destinations


def _pods_to_reach(
    cluster: Cluster,
    pods: Mapping[str, Sequence[Body]],
    ports: Mapping[str, Sequence[Port]],
    labels: Mapping[str, Mapping[str, str]],
    notes: list[str],
) -> Iterator[Destination]:
    nodes = {node.name: node.address for node in cluster.nodes}
    for name, found in pods.items():
        for pod in found:
            heard, words = ports[pod["metadata"]["uid"]], f"pod {pod['metadata']['name']}"
            # Who declares a port may come to listen on it: it is tried, stays unknown, and so is told to who asks.
            declared = sorted(declared_ports(pod) - set(heard))
            for address in _addresses(pod):
                ends = (_end(pod, labels, address),)
                for port, protocol in heard:
                    yield Destination(name, "pod", _dial(address, port, protocol), port, words, ends)
                for port, protocol in declared:
                    silent = f"{words}, which declares it and does not listen"
                    yield Destination(name, "pod", _dial(address, port, protocol), port, silent, ends)
            yield from _host_ports(pod, name, nodes[pod["spec"]["nodeName"]], _end(pod, labels), notes)


def _addresses(pod: Body) -> list[str]:
    """All that a pod has: two, where the network has both families."""
    status = pod["status"]
    return list(dict.fromkeys([status["podIP"], *(each["ip"] for each in status.get("podIPs") or ())]))


def _host_ports(pod: Body, name: str, node: str, end: End, notes: list[str]) -> Iterator[Destination]:
    """The ports of its node that lead to a pod: no socket shows them there."""
    if pod["spec"].get("hostNetwork"):
        return
    words = f"pod {pod['metadata']['name']}"
    for container in lasting(pod):
        for port in container.get("ports") or ():
            if not (number := port.get("hostPort")):
                continue
            protocol, bound = port.get("protocol", "TCP"), port.get("hostIP") or node
            if bound in ("0.0.0.0", "::"):  # noqa: S104 - what a pod asks for, compared
                bound = node
            if bound != node:
                notes.append(f"to {name} nothing is sent at {bound}:{number}: only nodes' own addresses are tried")
                continue
            inner = _dial(end.address, port["containerPort"], protocol)
            through = f"{words} through port {number} of {end.node}"
            yield Destination(name, "node", _dial(node, number, protocol), inner.port, through, (end,), (inner,))


def _dial(host: str, port: int, protocol: str) -> Dial:
    assert protocol in ("TCP", "UDP", "SCTP"), protocol
    return Dial(host, port, protocol)  # type: ignore[arg-type]  # asserted above


def _end(pod: Body, labels: Mapping[str, Mapping[str, str]], address: str = "") -> End:
    spec, meta = pod["spec"], pod["metadata"]
    peer = Peer(meta["namespace"], labels[meta["namespace"]], meta.get("labels") or {})
    named = {
        (port["name"], port.get("protocol", "TCP")): int(port["containerPort"])
        for container in spec["containers"]
        for port in container.get("ports", ())
        if port.get("name")
    }
    return End(address or pod["status"]["podIP"], spec["nodeName"], None if spec.get("hostNetwork") else peer, named)


def _services(
    cluster: Cluster,
    stack: Stack,
    pods: Mapping[str, Sequence[Body]],
    ports: Mapping[str, Sequence[Port]],
    labels: Mapping[str, Mapping[str, str]],
    notes: list[str],
) -> Iterator[Destination]:
    """Each Service of the stack's namespaces that leads to pods of the stack: by address, by name, by nodes' ports."""
    owners: dict[str, list[tuple[str, Body]]] = {}
    for owner, found in pods.items():
        for pod in found:
            for address in _addresses(pod):
                owners.setdefault(address, []).append((owner, pod))
    for namespace in stack.namespaces:
        slices = cluster.api.list(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices")
        for service in cluster.api.list(f"/api/v1/namespaces/{namespace}/services"):
            backends = _backends(service["metadata"]["name"], slices)
            for port in service["spec"].get("ports", ()):
                behind = [
                    (owner, pod, address, number)
                    for address, number in backends.get(port.get("name") or "", ())
                    for owner, pod in owners.get(address, ())
                ]
                protocol = port.get("protocol", "TCP")
                behind = [one for one in behind if (one[3], protocol) in ports[one[1]["metadata"]["uid"]]]
                if behind:
                    notes += _not_ours(service, port["port"])
                for name in dict.fromkeys(one[0] for one in behind):
                    yield from _service(cluster, service, port, name, [one for one in behind if one[0] == name], labels)


def _not_ours(service: Body, port: int) -> list[str]:
    """Ways in at addresses that may be outside the cluster under test: nobody sends there."""
    balancers = service.get("status", {}).get("loadBalancer", {}).get("ingress") or ()
    addresses = [
        *(service["spec"].get("externalIPs") or ()),
        *(each.get("ip") or each["hostname"] for each in balancers),
    ]
    name = f"{service['metadata']['namespace']}/{service['metadata']['name']}"
    return [f"Service {name} can be reached at {address}:{port} too: nothing is sent there" for address in addresses]


def _service(
    cluster: Cluster,
    service: Body,
    port: Mapping[str, Any],
    name: str,
    behind: Sequence[tuple[str, Body, str, int]],
    labels: Mapping[str, Mapping[str, str]],
) -> Iterator[Destination]:
    meta, spec, protocol = service["metadata"], service["spec"], port.get("protocol", "TCP")
    number = behind[0][3]
    ends = tuple(_end(pod, labels, address) for _, pod, address, _ in behind)
    listeners = tuple(_dial(end.address, number, protocol) for end in ends)
    words = f"Service {meta['namespace']}/{meta['name']}"
    first = spec.get("clusterIP") or "None"
    # A headless Service's name leads to the pods themselves, at their own port.
    by_name = port["port"] if first != "None" else number
    for address in dict.fromkeys([first, *(spec.get("clusterIPs") or ())]) if first != "None" else ():
        # An address leads to those of its own family.
        like = [at for at, end in enumerate(ends) if (":" in end.address) is (":" in address)]
        if like:
            yield Destination(
                name,
                "service",
                _dial(address, port["port"], protocol),
                number,
                words,
                tuple(ends[at] for at in like),
                tuple(listeners[at] for at in like),
            )
    host = f"{meta['name']}.{meta['namespace']}.svc"
    yield Destination(name, "name", _dial(host, by_name, protocol), number, f"{words} by its name", ends, listeners)
    if "nodePort" in port:
        for node in cluster.nodes:
            dial = _dial(node.address, port["nodePort"], protocol)
            yield Destination(name, "node", dial, number, f"{words} through {node.name}", ends, listeners)


def _backends(service: str, slices: Sequence[Body]) -> dict[str, list[tuple[str, int]]]:
    """Ready addresses and ports behind a Service, by the port's name."""
    found: dict[str, list[tuple[str, int]]] = {}
    for each in slices:
        if each["metadata"].get("labels", {}).get("kubernetes.io/service-name") != service:
            continue
        for port in each.get("ports") or ():
            found.setdefault(port.get("name") or "", []).extend(
                (address, int(port["port"]))
                for endpoint in each.get("endpoints") or ()
                if endpoint.get("conditions", {}).get("ready") is not False
                for address in endpoint["addresses"]
                if port.get("port")
            )
    return found


def _nodes_to_reach(cluster: Cluster) -> Iterator[Destination]:
    for node in cluster.nodes:
        for port, protocol in _known_ports(cluster, node):
            dial = _dial(node.address, port, protocol)
            yield Destination(f"{NODE}/{node.name}", "node", dial, port, "the node", (End(node.address, node.name),))


def _known_ports(cluster: Cluster, node: Node) -> Sequence[Port]:
    """What listens on a node; the kubelet alone where it can't be entered to look."""
    if not node.container:
        return ((10250, "TCP"),)
    try:
        return node_ports(cluster, node)
    except K8ssecError as error:
        raise ProbeError(f"node {node.name}: what listens there can't be found out: {error.message}") from error
