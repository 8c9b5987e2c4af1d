"""What NetworkPolicies give for one connection, written as Kubernetes says it: the specification that the table is held to.

It is slow on purpose, and has nothing in common with the table but the objects: each question reads each policy anew.
https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from pytest_k8ssec.facts.policies import End, Labels, Peer, Policy


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


WORLDS = [World(*choices) for choices in product([False, True], repeat=5)]
PLAIN = [WORLDS[0], replace(WORLDS[0], own_node_open=True)]
"""Those that differ where no end is a pod in its node's network."""


def admits(policies: Sequence[Policy], source: End, target: End, port: int, protocol: str = "TCP") -> bool | None:
    """Whether a connection is let through; None where networks may differ in it."""
    worlds = WORLDS if source.hosted or target.hosted else PLAIN
    answers = {admitted(world, policies, source, target, port, protocol) for world in worlds}
    return answers.pop() if len(answers) == 1 else None


def admitted(world: World, policies: Sequence[Policy], source: End, target: End, port: int, protocol: str) -> bool:
    """Whether one network lets a connection through."""
    if source.pod is not None and source.address == target.address:
        return True  # a pod always reaches itself
    is_node = source.pod is None and (source.hosted is None or world.hosted_is_node)
    if is_node and source.node and source.node == target.node:
        return True  # and its node always reaches a pod
    entered = allows(world, policies, "Ingress", target, source, target, port, protocol)
    left = allows(world, policies, "Egress", source, target, target, port, protocol)
    if world.own_node_open and target.pod is None and source.node == target.node:
        return True  # a pod that leaves for the node that it runs on
    return entered and left


def isolated(policies: Sequence[Policy], end: End, direction: str) -> bool:
    """Whether some policy selects an end for a direction, in some network: only then anything is forbidden there."""
    return any(holds(world, policy, direction, end) for world in (WORLDS[0], WORLDS[-1]) for policy in policies)


def allows(
    world: World,
    policies: Sequence[Policy],
    direction: str,
    subject: End,
    other: End,
    target: End,
    port: int,
    protocol: str,
) -> bool:
    """One direction, for the end that policies select: no policy, or a rule of one of them that fits."""
    rules, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    holding = [policy for policy in policies if holds(world, policy, direction, subject)]
    return not holding or any(
        opens(world, rule.get("ports"), target, port, protocol)
        and names(world, rule.get(peers), policy["metadata"]["namespace"], other)
        for policy in holding
        for rule in policy["spec"].get(rules) or ()
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
