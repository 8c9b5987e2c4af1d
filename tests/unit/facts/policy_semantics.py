"""What policies give for one connection, written as Kubernetes says it: the specification that the table is held to.

It is slow on purpose, and has nothing in common with the table but the objects: each question reads each policy anew.
https://kubernetes.io/docs/concepts/services-networking/network-policies/ and
https://network-policy-api.sigs.k8s.io/api-overview/
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations, product
from typing import Any

from pytest_k8ssec.facts.policies import End, Labels, Peer, Policy

Ordered = Sequence[dict[str, Any]]
"""Policies for the whole cluster in the order in which a network asks them."""


@dataclass(frozen=True)
class World:
    """A network that Kubernetes allows: what it does with pods in their nodes' network, and with what leaves for its node.

    https://kubernetes.io/docs/concepts/services-networking/network-policies/#networkpolicy-and-hostnetwork-pods
    """

    selects_hosted: bool
    """Whether a policy's podSelector is about such pods."""
    names_hosted: bool
    """Whether peers are."""
    hosted_ports: bool
    """Whether the names of their ports count."""
    hosted_is_node: bool
    """Whether they reach the pods of their node, as the node does."""
    own_node_open: bool
    """Whether a pod always reaches the node that it runs on."""
    domains_lead_here: bool = False
    """Whether a name of a domain leads to the target."""

    def subject(self, end: End) -> Peer | None:
        """An end as a podSelector sees it."""
        return end.pod or (end.hosted if self.selects_hosted else None)

    def peer(self, end: End) -> Peer | None:
        """An end as a peer sees it."""
        return end.pod or (end.hosted if self.names_hosted else None)

    def numbers(self, end: End, name: str, protocol: str) -> list[int]:
        """The ports of an end that have a name."""
        if end.hosted is not None and not self.hosted_ports:
            return []
        return [number for each, kind, number in end.named if (each, kind) == (name, protocol)]


@dataclass(frozen=True)
class Connection:
    """What is asked about."""

    source: End
    target: End
    port: int
    protocol: str


@dataclass(frozen=True)
class Cluster:
    """The objects."""

    policies: Sequence[Policy]
    admin: Sequence[dict[str, Any]] = ()
    """Policies for the whole cluster, each with its kind."""
    nodes: Mapping[str, Labels] = field(default_factory=dict)


WORLDS = [World(*choices) for choices in product([False, True], repeat=5)]
PLAIN = [WORLDS[0], replace(WORLDS[0], own_node_open=True)]
"""Those that differ where no end is a pod in its node's network."""


def admits(
    policies: Sequence[Policy],
    source: End,
    target: End,
    port: int,
    protocol: str = "TCP",
    admin: Sequence[dict[str, Any]] = (),
    nodes: Mapping[str, Labels] | None = None,
) -> bool | None:
    """Whether a connection is let through; None where networks may differ in it."""
    cluster, asked = Cluster(policies, admin, nodes or {}), Connection(source, target, port, protocol)
    worlds = WORLDS if source.hosted or target.hosted else PLAIN
    if has_domains(admin):
        worlds = [*worlds, *(replace(each, domains_lead_here=True) for each in worlds)]
    answers: set[bool] = set()
    for world in worlds:
        answers |= admitted(world, cluster, asked)
        if len(answers) == 2:
            return None
    return answers.pop()


def has_domains(admin: Sequence[dict[str, Any]]) -> bool:
    """Whether some policy for the whole cluster names domains."""
    rules = (rule for each in admin for rule in each["spec"].get("egress") or ())
    return any("domainNames" in peer for rule in rules for peer in rule["to"])


def admitted(world: World, cluster: Cluster, asked: Connection) -> set[bool]:
    """Whether one network lets a connection through; both, if that depends on which of equal policies it asks first."""
    source, target = asked.source, asked.target
    if source.pod is not None and source.address == target.address:
        return {True}  # a pod always reaches itself
    is_node = source.pod is None and (source.hosted is None or world.hosted_is_node)
    if is_node and source.node and source.node == target.node:
        return {True}  # and its node always reaches a pod
    if world.own_node_open and target.pod is None and source.node == target.node:
        return {True}  # a pod that leaves for the node that it runs on
    entered, left = (allowed(world, cluster, each, asked) for each in ("ingress", "egress"))
    return {one and other for one in entered for other in left}


def allowed(world: World, cluster: Cluster, way: str, asked: Connection) -> set[bool]:
    """One direction, through the three tiers."""
    before, after = ([each for each in cluster.admin if is_baseline(each) is baseline] for baseline in (False, True))
    found: set[bool] = set()
    for first, last in product(orders(before), orders(after)):
        action = decides(world, cluster, first, way, asked)
        if action in ("Allow", "Accept", "Deny"):
            found.add(action != "Deny")
            continue
        by_policies = allows(world, cluster.policies, way, asked)
        if by_policies is not None:
            found.add(by_policies)
            continue
        found.add(decides(world, cluster, last, way, asked) != "Deny")
    return found


def is_baseline(policy: dict[str, Any]) -> bool:
    """Whether a policy for the whole cluster comes after NetworkPolicies."""
    return "Baseline" in (policy["kind"].removesuffix("AdminNetworkPolicy"), policy["spec"].get("tier"))


def orders(policies: Ordered) -> Iterator[Ordered]:
    """Every order that respects priorities: lower ones come first, and equal ones as they like."""
    by_priority: dict[int, list[dict[str, Any]]] = {}
    for each in policies:
        by_priority.setdefault(each["spec"].get("priority", 0), []).append(each)
    for groups in product(*(permutations(by_priority[priority]) for priority in sorted(by_priority))):
        yield [each for group in groups for each in group]


def decides(world: World, cluster: Cluster, order: Ordered, way: str, asked: Connection) -> str:
    """The action of the first rule that is about a connection; "" where none is."""
    subject, other = (asked.target, asked.source) if way == "ingress" else (asked.source, asked.target)
    for policy in order:
        if not is_pod(policy["spec"]["subject"], subject):
            continue
        for rule in policy["spec"].get(way) or ():
            peers = rule["from" if way == "ingress" else "to"]
            ports = [*(rule.get("ports") or ()), *(rule.get("protocols") or ())]
            if any(is_admin_peer(world, cluster, each, other) for each in peers) and (
                not ports or any(is_admin_port(world, each, asked) for each in ports)
            ):
                return str(rule["action"])
    return ""


def is_pod(pods: Mapping[str, Any], end: End) -> bool:
    """Whether a subject, or a peer, of a policy for the whole cluster is a pod; those in their nodes' network never are."""
    if end.pod is None:
        return False
    if "namespaces" in pods:
        return fits(pods["namespaces"], end.pod.namespace_labels)
    both = pods["pods"]
    return fits(both.get("namespaceSelector") or {}, end.pod.namespace_labels) and fits(
        both.get("podSelector") or {}, end.pod.labels
    )


def is_admin_peer(world: World, cluster: Cluster, peer: dict[str, Any], end: End) -> bool:
    """Whether a peer of a policy for the whole cluster names an end."""
    if "networks" in peer:
        return any(within(end.address, each) for each in peer["networks"])
    if "nodes" in peer:
        return end.pod is None and end.node in cluster.nodes and fits(peer["nodes"], cluster.nodes[end.node])
    if "domainNames" in peer:
        return world.domains_lead_here
    return is_pod(peer, end)


def is_admin_port(world: World, entry: Mapping[str, Any], asked: Connection) -> bool:
    """Whether an entry of ports or protocols of such a policy has the port that is asked for."""
    name = entry.get("namedPort") or entry.get("destinationNamedPort")
    if name:
        return asked.port in world.numbers(asked.target, name, asked.protocol)
    if "portNumber" in entry:
        number = entry["portNumber"]
        return (asked.protocol, asked.port) == (number.get("protocol", "TCP"), number["port"])
    if "portRange" in entry:
        numbers = entry["portRange"]
        inside = asked.port in range(numbers["start"], numbers["end"] + 1)
        return inside and asked.protocol == numbers.get("protocol", "TCP")
    if asked.protocol.lower() not in entry:
        return False
    port = (entry[asked.protocol.lower()] or {}).get("destinationPort") or {}
    if "range" in port:
        return asked.port in range(port["range"]["start"], port["range"]["end"] + 1)
    return port.get("number") in (None, asked.port)


def isolated(policies: Sequence[Policy], end: End, direction: str, admin: Sequence[dict[str, Any]] = ()) -> bool:
    """Whether some policy is for an end in a direction, in some network: only then anything is forbidden there."""
    way = direction.lower()
    return any(holds(world, policy, direction, end) for world in (WORLDS[0], WORLDS[-1]) for policy in policies) or any(
        each["spec"].get(way) and is_pod(each["spec"]["subject"], end) for each in admin
    )


def allows(world: World, policies: Sequence[Policy], way: str, asked: Connection) -> bool | None:
    """One direction, for the end that NetworkPolicies select: whether a rule of one fits; None where there is no policy."""
    subject, other = (asked.target, asked.source) if way == "ingress" else (asked.source, asked.target)
    holding = [policy for policy in policies if holds(world, policy, way.capitalize(), subject)]
    if not holding:
        return None
    return any(
        opens(world, rule.get("ports"), asked.target, asked.port, asked.protocol)
        and names(world, rule.get("from" if way == "ingress" else "to"), policy["metadata"]["namespace"], other)
        for policy in holding
        for rule in policy["spec"].get(way) or ()
    )


def holds(world: World, policy: Policy, direction: str, end: End) -> bool:
    """Whether a policy is for an end, in a direction."""
    spec, pod = policy["spec"], world.subject(end)
    types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    return (
        pod is not None
        and direction in types
        and policy["metadata"]["namespace"] == pod.namespace
        and fits(spec.get("podSelector") or {}, pod.labels)
    )


def names(world: World, peers: Sequence[Mapping[str, Any]] | None, namespace: str, other: End) -> bool:
    """Whether a rule's peers name an end; no peer is everybody."""
    return not peers or any(is_peer(world, peer, namespace, other) for peer in peers)


def is_peer(world: World, peer: Mapping[str, Any], namespace: str, other: End) -> bool:
    """The same for one peer of a policy of a namespace."""
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        return within(other.address, block["cidr"]) and not any(
            within(other.address, cidr) for cidr in block.get("except") or ()
        )
    pod = world.peer(other)
    if pod is None:
        return False
    if "namespaceSelector" in peer:
        there = fits(peer["namespaceSelector"], pod.namespace_labels)
    else:
        there = pod.namespace == namespace
    return there and fits(peer.get("podSelector", {}), pod.labels)


def within(address: str, cidr: str) -> bool:
    """Whether an address is in a block; none is in no block."""
    host, _, size = cidr.partition("/")
    if ":" not in host:
        host = ".".join(str(int(each)) for each in host.split("."))  # decimal, whatever zeros lead it
    return bool(address) and ipaddress.ip_address(address) in ipaddress.ip_network(f"{host}/{size}", strict=False)


def opens(world: World, entries: Sequence[Mapping[str, Any]] | None, target: End, port: int, protocol: str) -> bool:
    """Whether a rule's ports have a port of a target; no entry is every port."""
    if not entries:
        return True
    for entry in entries:
        first = entry.get("port")
        if entry.get("protocol", "TCP") != protocol:
            continue
        if first is None:
            return True
        if isinstance(first, str):
            if port in world.numbers(target, first, protocol):
                return True
        elif first <= port <= (entry.get("endPort") or first):
            return True
    return False


def fits(selector: Mapping[str, Any] | None, labels: Labels) -> bool:
    """Whether a LabelSelector selects labels."""
    if selector is None:
        return False
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for requirement in selector.get("matchExpressions") or ():
        key, values = requirement["key"], requirement.get("values") or []
        if not {
            "In": key in labels and labels[key] in values,
            "NotIn": key not in labels or labels[key] not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }.get(requirement["operator"], False):
            return False
    return True
