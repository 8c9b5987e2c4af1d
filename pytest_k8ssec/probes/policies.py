"""Whom NetworkPolicies let in, computed from the objects: to know whose labels an attacker would wear.

Only what is needed for that: ingress rules by pod and namespace selectors and by port. Address blocks and named ports
are left out, so a client may be missed; nothing is concluded from what is computed here, only from what is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Peer:
    """A pod as a policy sees it."""

    namespace: str
    namespace_labels: Labels
    labels: Labels


def selects(selector: Mapping[str, Any] | None, labels: Labels) -> bool:
    """Whether a LabelSelector selects these labels; an empty one selects everything, None nothing.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#resources-that-support-set-based-requirements
    """
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_meets(requirement, labels) for requirement in selector.get("matchExpressions") or ())


def _meets(requirement: Mapping[str, Any], labels: Labels) -> bool:
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


def lets_in(policies: Iterable[Mapping[str, Any]], target: Peer, port: int, source: Peer) -> bool:
    """Whether some policy names this source for this TCP port of this target.

    Args:
        policies: NetworkPolicy objects of the target's namespace.
    """
    for policy in policies:
        spec = policy["spec"]
        if selects(spec.get("podSelector") or {}, target.labels):
            for rule in spec.get("ingress") or ():
                if _covers(rule.get("ports"), port) and any(
                    _names(peer, policy["metadata"]["namespace"], source) for peer in rule.get("from") or ()
                ):
                    return True
    return False


def _covers(ports: Iterable[Mapping[str, Any]] | None, port: int) -> bool:
    return not ports or any(each.get("protocol", "TCP") == "TCP" and _in_range(each, port) for each in ports)


def _in_range(each: Mapping[str, Any], port: int) -> bool:
    first = each.get("port", port)
    return isinstance(first, int) and first <= port <= each.get("endPort", first)


def _names(peer: Mapping[str, Any], namespace: str, source: Peer) -> bool:
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"], source.namespace_labels):
            return False
    elif source.namespace != namespace:
        return False
    return selects(peer.get("podSelector", {}), source.labels) if "ipBlock" not in peer else False
