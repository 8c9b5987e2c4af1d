"""What NetworkPolicies let through, computed from the objects as Kubernetes defines them.

Two questions. ``lets_in``: whose labels would an attacker wear? ``Rules.admits``: should this connection get through?
Nothing is concluded from what is computed here, only from what is sent; where both disagree, either the policies say
something else than they seem to, or the cluster does not do what they say.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_k8ssec.evidence import JSON

Labels = Mapping[str, str]
Policy = Mapping[str, JSON]
"""A NetworkPolicy object."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A pod as a policy sees it."""

    namespace: str
    namespace_labels: Labels
    labels: Labels


@dataclass(frozen=True, slots=True)
class End:
    """One end of a connection as policies see it."""

    address: str
    node: str = ""
    """The node it runs on, or is; "" for what is outside the cluster."""
    pod: Peer | None = None
    """None for what no policy selects: a node, a pod in its node's network, the outside."""
    named: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """A pod's ports by name and protocol."""


def selects(selector: Mapping[str, JSON] | None, labels: Labels) -> bool:
    """Whether a LabelSelector selects these labels; an empty one selects everything, None nothing.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#resources-that-support-set-based-requirements
    """
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_meets(requirement, labels) for requirement in selector.get("matchExpressions") or ())


def _meets(requirement: Mapping[str, JSON], labels: Labels) -> bool:
    key, values = requirement["key"], requirement.get("values") or []
    match requirement["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return False


def lets_in(policies: Iterable[Policy], target: End, port: int, source: Peer) -> bool:
    """Whether some policy names this source for this TCP port of this target.

    Args:
        policies: NetworkPolicy objects of the target's namespace.
    """
    if target.pod is None:
        return False
    for policy in policies:
        spec = policy["spec"]
        if selects(spec.get("podSelector") or {}, target.pod.labels):
            for rule in spec.get("ingress") or ():
                if _opens(rule.get("ports"), target, port, "TCP") and any(
                    _names(peer, policy["metadata"]["namespace"], source) for peer in rule.get("from") or ()
                ):
                    return True
    return False


def _names(peer: Mapping[str, JSON], namespace: str, source: Peer) -> bool:
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"], source.namespace_labels):
            return False
    elif source.namespace != namespace:
        return False
    return selects(peer.get("podSelector", {}), source.labels) if "ipBlock" not in peer else False


class PolicyRules:
    """All NetworkPolicies of a cluster, made ready for many questions.

    Args:
        policies: those of all namespaces.
    """

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._by_namespace: dict[str, list[Policy]] = {}
        for policy in policies:
            self._by_namespace.setdefault(policy["metadata"]["namespace"], []).append(policy)
        self._held: dict[tuple[str, str, frozenset[tuple[str, str]]], list[Policy]] = {}

    def admits(self, source: End, target: End, port: int, protocol: str = "TCP") -> bool | None:
        """Whether a connection is let through; both what leaves and what enters must be.

        Args:
            port: the target pod's own: policies are applied after a Service's address was translated.

        Returns:
            None where Kubernetes leaves it to the network: a pod that leaves for the node that it runs on.
        """
        if source.pod is not None and source.address == target.address:
            return True  # a pod always reaches itself
        if source.pod is None and source.node and source.node == target.node:
            return True  # and its node always reaches a pod
        entered = self._permits("Ingress", target, source, target, port, protocol)
        left = self._permits("Egress", source, target, target, port, protocol)
        if target.pod is None and source.node == target.node and not left:
            return None
        return entered and left

    def isolated(self, end: End, direction: str) -> bool:
        """Whether some policy selects this end for a direction: only then is anything forbidden there."""
        return bool(self._holding(direction, end))

    def _permits(self, direction: str, subject: End, other: End, target: End, port: int, protocol: str) -> bool:
        """One direction, for the end that policies select; what none selects is free."""
        rules, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
        holding = self._holding(direction, subject)
        return not holding or any(
            _opens(rule.get("ports"), target, port, protocol) and _fits(rule.get(peers), policy, other)
            for policy in holding
            for rule in policy["spec"].get(rules) or ()
        )

    def _holding(self, direction: str, end: End) -> list[Policy]:
        """The policies that select an end, for a direction; looked for once for all pods with the same labels."""
        if end.pod is None:
            return []
        key = (direction, end.pod.namespace, frozenset(end.pod.labels.items()))
        if key not in self._held:
            self._held[key] = [
                policy
                for policy in self._by_namespace.get(end.pod.namespace, ())
                if direction in policy_types(policy)
                and selects(policy["spec"].get("podSelector") or {}, end.pod.labels)
            ]
        return self._held[key]


def admits(policies: Iterable[Policy], source: End, target: End, port: int, protocol: str = "TCP") -> bool | None:
    """One question: see :meth:`Rules.admits`."""
    return PolicyRules(policies).admits(source, target, port, protocol)


def policy_types(policy: Policy) -> Sequence[str]:
    """The directions that a policy is for; unless it names them, egress only where it has a rule for it."""
    spec = policy["spec"]
    return spec.get("policyTypes") or (("Ingress", "Egress") if spec.get("egress") else ("Ingress",))


def egress_ports(policies: Iterable[Policy]) -> list[tuple[int, str]]:
    """The ports, by number and protocol, that egress rules name; of a range the first one."""
    named = {
        (each.get("port"), each.get("protocol", "TCP"))
        for policy in policies
        for rule in policy["spec"].get("egress") or ()
        for each in rule.get("ports") or ()
    }
    return sorted((port, protocol) for port, protocol in named if isinstance(port, int))


def _opens(ports: Iterable[Mapping[str, JSON]] | None, target: End, port: int, protocol: str) -> bool:
    return not ports or any(
        each.get("protocol", "TCP") == protocol and _is(each, target, port, protocol) for each in ports
    )


def _is(each: Mapping[str, JSON], target: End, port: int, protocol: str) -> bool:
    first = each.get("port")
    if first is None:
        return True
    if isinstance(first, str):
        return target.named.get((first, protocol)) == port
    return int(first) <= port <= int(each.get("endPort") or first)


def _fits(peers: Iterable[Mapping[str, JSON]] | None, policy: Policy, other: End) -> bool:
    """Whether a rule's peers name an end; no peer is everybody."""
    return not peers or any(_is_peer(peer, policy["metadata"]["namespace"], other) for peer in peers)


def _is_peer(peer: Mapping[str, JSON], namespace: str, other: End) -> bool:
    if "ipBlock" in peer:
        return _inside(other.address, peer["ipBlock"])
    return other.pod is not None and _names(peer, namespace, other.pod)


def _inside(address: str, block: Mapping[str, JSON]) -> bool:
    """Whether an address is in a block and in none of its exceptions."""
    if not address:
        return False
    one = ipaddress.ip_address(address)
    within = one in ipaddress.ip_network(block["cidr"], strict=False)
    return within and not any(one in ipaddress.ip_network(cidr, strict=False) for cidr in block.get("except") or ())
