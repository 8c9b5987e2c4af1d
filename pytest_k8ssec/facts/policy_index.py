"""What NetworkPolicies name among many ends at once: by selectors, by blocks of addresses, by ports.

https://kubernetes.io/docs/concepts/services-networking/network-policies/#behavior-of-to-and-from-selectors
"""

from __future__ import annotations

import ipaddress
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from pytest_k8ssec.facts.bits import Bits, union
from pytest_k8ssec.facts.policies import End, Labels, selects


class LabelIndex:
    """Which of many labelled things a LabelSelector selects, as :func:`pytest_k8ssec.facts.policies.selects` would.

    Args:
        labelled: the things, some at a time, and the labels that they have.
    """

    def __init__(self, labelled: Iterable[tuple[Bits, Labels]]) -> None:
        self._all: Bits = 0
        self._by_key: dict[str, dict[str, Bits]] = {}
        for which, labels in labelled:
            self._all |= which
            for key, value in labels.items():
                values = self._by_key.setdefault(key, {})
                values[value] = values.get(value, 0) | which

    def selected(self, selector: Mapping[str, Any] | None) -> Bits:
        """Those that a selector selects; an empty one selects all, None nothing."""
        if selector is None:
            return 0
        found = self._all
        for key, value in (selector.get("matchLabels") or {}).items():
            found &= self._by_key.get(key, {}).get(value, 0)
        for requirement in selector.get("matchExpressions") or ():
            found &= self._meeting(requirement)
        return found

    def _meeting(self, requirement: Mapping[str, Any]) -> Bits:
        values = self._by_key.get(requirement["key"], {})
        named = union(values.get(each, 0) for each in requirement.get("values") or ())
        match requirement["operator"]:
            case "In":
                return named
            case "NotIn":
                return self._all & ~named
            case "Exists":
                return union(values.values())
            case "DoesNotExist":
                return self._all & ~union(values.values())
        return 0


class EndIndex:
    """Which of many ends a policy selects, and which of them a peer of its rules names.

    Pods in their nodes' network are apart, as nobody knows whether selectors are about them.

    Args:
        ends: each with the numbers that it goes by.
    """

    def __init__(self, ends: Iterable[tuple[Bits, End]]) -> None:
        self.all: Bits = 0
        self.at_address: dict[str, Bits] = {}
        self.nodes_own: dict[str, Bits] = {}
        """By node: what runs there and no policy selects."""
        self.on_node: dict[str, Bits] = {}
        self._in_namespace: dict[str, Bits] = {}
        pods: list[tuple[Bits, Labels]] = []
        hosted: list[tuple[Bits, End]] = []
        namespaces: dict[tuple[str, frozenset[tuple[str, str]]], Bits] = {}
        for which, end in ends:
            self.all |= which
            self.at_address[end.address] = self.at_address.get(end.address, 0) | which
            self.on_node[end.node] = self.on_node.get(end.node, 0) | which
            if end.pod is None:
                self.nodes_own[end.node] = self.nodes_own.get(end.node, 0) | which
                if end.hosted is not None:
                    hosted.append((which, replace(end, pod=end.hosted, hosted=None)))
                continue
            pods.append((which, end.pod.labels))
            group = (end.pod.namespace, frozenset(end.pod.namespace_labels.items()))
            namespaces[group] = namespaces.get(group, 0) | which
        for (name, _), which in namespaces.items():
            self._in_namespace[name] = self._in_namespace.get(name, 0) | which
        self._by_labels = LabelIndex(pods)
        self._by_namespace_labels = LabelIndex((which, dict(labels)) for (_, labels), which in namespaces.items())
        self._blocks: dict[str, Bits] = {}
        self.hosted = EndIndex(hosted) if hosted else None
        """The pods in their nodes' network, as if policies selected them; None if there is none."""

    @cached_property
    def _sorted(self) -> dict[int, list[tuple[int, Bits]]]:
        """The ends that have an address, by its number, for each version of the protocol."""
        found: dict[int, list[tuple[int, Bits]]] = {}
        for text, which in self.at_address.items():
            if text:
                address = ipaddress.ip_address(text)
                found.setdefault(address.version, []).append((int(address), which))
        return {version: sorted(each) for version, each in found.items()}

    def selected(self, namespace: str, selector: Mapping[str, Any]) -> Bits:
        """The pods of a namespace that a policy's podSelector selects."""
        return self._in_namespace.get(namespace, 0) & self._by_labels.selected(selector)

    def perhaps_selected(self, namespace: str, selector: Mapping[str, Any]) -> Bits:
        """The same of the pods in their nodes' network: if policies select such pods, it selects these."""
        return self.hosted.selected(namespace, selector) if self.hosted else 0

    def named(self, peers: Sequence[Mapping[str, Any]] | None, namespace: str) -> Bits:
        """The ends that some of a rule's peers name; no peer is everybody.

        Args:
            namespace: the policy's.
        """
        return union(self.peer(each, namespace) for each in peers) if peers else self.all

    def perhaps_named(self, peers: Sequence[Mapping[str, Any]] | None, namespace: str) -> Bits:
        """The pods in their nodes' network that selectors of these peers name, if selectors name such pods."""
        if not self.hosted or not peers:
            return 0
        return union(self.hosted.peer(each, namespace) for each in peers if "ipBlock" not in each)

    def peer(self, peer: Mapping[str, Any], namespace: str) -> Bits:
        """The same for one peer."""
        if "ipBlock" in peer:
            block = peer["ipBlock"]
            return self._inside(block["cidr"]) & ~union(map(self._inside, block.get("except") or ()))
        if "namespaceSelector" in peer:
            found = self._by_namespace_labels.selected(peer["namespaceSelector"])
        else:
            found = self._in_namespace.get(namespace, 0)
        return found & self._by_labels.selected(peer.get("podSelector", {}))

    def of_nodes(self, selector: Mapping[str, Any], nodes: Mapping[str, Labels]) -> Bits:
        """The nodes that a selector selects by their labels, and what shares their address."""
        return union(self.nodes_own.get(name, 0) for name, labels in nodes.items() if selects(selector, labels))

    def _inside(self, cidr: str) -> Bits:
        """The ends whose address is in a block; it is read once. One without an address is in none."""
        if cidr not in self._blocks:
            network = _network(cidr)
            there = self._sorted.get(network.version, [])
            first = bisect_left(there, (int(network.network_address),))
            last = bisect_left(there, (int(network.broadcast_address) + 1,))
            self._blocks[cidr] = union(which for _, which in there[first:last])
        return self._blocks[cidr]


class PortIndex:
    """Which of many ports of ends a rule's ``ports`` open.

    Args:
        ports: the end whose port it is, its number and its protocol.
    """

    def __init__(self, ports: Sequence[tuple[End, int, str]]) -> None:
        self._all: Bits = (1 << len(ports)) - 1
        self._by_number: dict[str, dict[int, Bits]] = {}
        self._by_name: dict[tuple[str, str], Bits] = {}
        self._perhaps: dict[tuple[str, str], Bits] = {}
        """The same of pods in their nodes' network: nobody knows whether the names of their ports count."""
        for number, (end, port, protocol) in enumerate(ports):
            numbers = self._by_number.setdefault(protocol, {})
            numbers[port] = numbers.get(port, 0) | 1 << number
            names = self._by_name if end.hosted is None else self._perhaps
            for name, *its in end.named:
                if its == [protocol, port]:
                    names[name, protocol] = names.get((name, protocol), 0) | 1 << number

    def opened(self, ports: Sequence[Mapping[str, Any]] | None) -> Bits:
        """Those that some of the entries name; no entry is every port."""
        return union(map(self._entry, ports)) if ports else self._all

    def perhaps_opened(self, ports: Sequence[Mapping[str, Any]] | None) -> Bits:
        """Those of pods in their nodes' network that some of the entries name, if the names of their ports count."""
        if not self._perhaps or not ports:
            return 0
        names = ((each["port"], each.get("protocol", "TCP")) for each in ports if isinstance(each.get("port"), str))
        return union(self._perhaps.get(name, 0) for name in names)

    def _entry(self, entry: Mapping[str, Any]) -> Bits:
        protocol, first = entry.get("protocol", "TCP"), entry.get("port")
        if isinstance(first, str):
            return self._by_name.get((first, protocol), 0)
        numbers = self._by_number.get(protocol, {})
        if first is None:
            return union(numbers.values())
        last = int(entry.get("endPort") or first)
        if last == first:
            return numbers.get(int(first), 0)
        return union(which for port, which in numbers.items() if int(first) <= port <= last)


def _network(cidr: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """A block as the API server reads it: it has stored some with leading zeros, which are decimal all the same.

    Source: https://pkg.go.dev/k8s.io/utils/net#ParseCIDRSloppy
    """
    return ipaddress.ip_network(cidr if ":" in cidr else re.sub(r"\b0+(?=\d)", "", cidr), strict=False)
