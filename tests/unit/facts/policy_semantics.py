"""What NetworkPolicies give for one connection, written as Kubernetes says it: the specification that the table is held to.

It is slow on purpose, and has nothing in common with the table but the objects: each question reads each policy anew.
https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_k8ssec.facts.policies import End, Labels, Policy


def admits(policies: Sequence[Policy], source: End, target: End, port: int, protocol: str = "TCP") -> bool | None:
    """Whether a connection is let through; None where Kubernetes leaves it to the network."""
    if source.pod is not None and source.address == target.address:
        return True  # a pod always reaches itself
    if source.pod is None and source.node and source.node == target.node:
        return True  # and its node always reaches a pod
    entered = allows(policies, "Ingress", target, source, target, port, protocol)
    left = allows(policies, "Egress", source, target, target, port, protocol)
    if target.pod is None and source.node == target.node and not left:
        return None  # a pod that leaves for the node that it runs on
    return entered and left


def isolated(policies: Sequence[Policy], end: End, direction: str) -> bool:
    """Whether some policy selects an end for a direction: only then anything is forbidden there."""
    return any(holds(policy, direction, end) for policy in policies)


def allows(
    policies: Sequence[Policy], direction: str, subject: End, other: End, target: End, port: int, protocol: str
) -> bool:
    """One direction, for the end that policies select: no policy, or a rule of one of them that fits."""
    rules, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    holding = [policy for policy in policies if holds(policy, direction, subject)]
    return not holding or any(
        opens(rule.get("ports"), target, port, protocol)
        and names(rule.get(peers), policy["metadata"]["namespace"], other)
        for policy in holding
        for rule in policy["spec"].get(rules) or ()
    )


def holds(policy: Policy, direction: str, end: End) -> bool:
    """Whether a policy is for an end, in a direction."""
    spec = policy["spec"]
    types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    return (
        end.pod is not None
        and direction in types
        and policy["metadata"]["namespace"] == end.pod.namespace
        and fits(spec.get("podSelector") or {}, end.pod.labels)
    )


def names(peers: Sequence[Mapping[str, Any]] | None, namespace: str, other: End) -> bool:
    """Whether a rule's peers name an end; no peer is everybody."""
    return not peers or any(is_peer(peer, namespace, other) for peer in peers)


def is_peer(peer: Mapping[str, Any], namespace: str, other: End) -> bool:
    """The same for one peer of a policy of a namespace."""
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        return within(other.address, block["cidr"]) and not any(
            within(other.address, cidr) for cidr in block.get("except") or ()
        )
    if other.pod is None:
        return False
    if "namespaceSelector" in peer:
        there = fits(peer["namespaceSelector"], other.pod.namespace_labels)
    else:
        there = other.pod.namespace == namespace
    return there and fits(peer.get("podSelector", {}), other.pod.labels)


def within(address: str, cidr: str) -> bool:
    """Whether an address is in a block; none is in no block."""
    host, _, size = cidr.partition("/")
    if ":" not in host:
        host = ".".join(str(int(each)) for each in host.split("."))  # decimal, whatever zeros lead it
    return bool(address) and ipaddress.ip_address(address) in ipaddress.ip_network(f"{host}/{size}", strict=False)


def opens(entries: Sequence[Mapping[str, Any]] | None, target: End, port: int, protocol: str) -> bool:
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
            if any(named == (first, protocol, port) for named in target.named):
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
