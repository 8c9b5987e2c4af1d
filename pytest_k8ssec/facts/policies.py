"""What NetworkPolicies let through, computed from the objects as Kubernetes defines them.

Two questions. ``lets_in``: whose labels would an attacker wear? And what should get through between many places? The second
is answered by :class:`pytest_k8ssec.facts.policy_table.PolicyTable`. Nothing is concluded from what is computed here, only
from what is sent; where both disagree, either the policies say something else than they seem to, or the cluster does not do
what they say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_k8ssec.evidence import JSON

Labels = Mapping[str, str]
Policy = Mapping[str, JSON]
"""A NetworkPolicy object."""
NamedPort = tuple[str, str, int]
"""A name, and the protocol and the number that a container gives it."""


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
    """None for what no policy surely selects: a node, a pod in its node's network, the outside."""
    named: frozenset[NamedPort] = frozenset()
    """The ports of a pod's containers that have a name; one name may stand for more than one of them."""
    hosted: Peer | None = None
    """The pod that it is, if that is in its node's network. Kubernetes leaves open whether policies select such a pod, by
    their selectors and the names of its ports, or take it for its node.

    Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/#networkpolicy-and-hostnetwork-pods
    """

    @classmethod
    def of(
        cls, address: str, node: str, peer: Peer, named: frozenset[NamedPort] = frozenset(), *, hosted: bool = False
    ) -> End:
        """A pod, which may be in its node's network."""
        return cls(address, node, None, named, peer) if hosted else cls(address, node, peer, named)


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


def lets_in(policies: Iterable[Policy], target: End, port: int, source: Peer, protocol: str = "TCP") -> bool:
    """Whether some policy names this source for this port of this target. What is not for ingress names nobody there.

    Args:
        policies: NetworkPolicy objects of the target's namespace.
    """
    if target.pod is None:
        return False
    for policy in policies:
        spec = policy["spec"]
        if "Ingress" in policy_types(policy) and selects(spec.get("podSelector") or {}, target.pod.labels):
            for rule in spec.get("ingress") or ():
                if _opens(rule.get("ports"), target, port, protocol) and any(
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


def policy_types(policy: Policy) -> Sequence[str]:
    """The directions that a policy is for; unless it names them, egress only where it has a rule for it."""
    spec = policy["spec"]
    return spec.get("policyTypes") or (("Ingress", "Egress") if spec.get("egress") else ("Ingress",))


def egress_ports(policies: Iterable[Policy]) -> list[tuple[int, str]]:
    """The ports, by number and protocol, that egress rules name; of a range the first and the last one."""
    named = {
        (port, each.get("protocol", "TCP"))
        for each in _of_egress(policies)
        for port in (each.get("port"), each.get("endPort"))
    }
    return sorted((port, protocol) for port, protocol in named if isinstance(port, int))


def egress_port_names(policies: Iterable[Policy]) -> list[tuple[str, str]]:
    """The ports that egress rules name by the name that they have in the pods that are reached; name and protocol."""
    named = {(each.get("port"), each.get("protocol", "TCP")) for each in _of_egress(policies)}
    return sorted((port, protocol) for port, protocol in named if isinstance(port, str))


def _of_egress(policies: Iterable[Policy]) -> list[Mapping[str, JSON]]:
    return [
        each for policy in policies for rule in policy["spec"].get("egress") or () for each in rule.get("ports") or ()
    ]


def _opens(ports: Iterable[Mapping[str, JSON]] | None, target: End, port: int, protocol: str) -> bool:
    return not ports or any(
        each.get("protocol", "TCP") == protocol and _is(each, target, port, protocol) for each in ports
    )


def _is(each: Mapping[str, JSON], target: End, port: int, protocol: str) -> bool:
    first = each.get("port")
    if first is None:
        return True
    if isinstance(first, str):
        return (first, protocol, port) in target.named
    return int(first) <= port <= int(each.get("endPort") or first)
