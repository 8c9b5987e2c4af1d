"""Which of many ends are alike for NetworkPolicies: whatever the policies ask of one, the answer is that of the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pytest_k8ssec.facts.bits import Bits, spread
from pytest_k8ssec.facts.policies import End, Policy
from pytest_k8ssec.facts.policy_index import EndIndex

_ANY_POD: Policy = {"namespaceSelector": {}}


def policy_classes(policies: Iterable[Policy], ends: Sequence[End]) -> list[int]:
    """The number of each end's class, counted from 0 in the order of the ends.

    Two ends are one class if every policy's podSelector, every peer of its rules (selectors or a block), and every name of a
    port in them answers alike for both; and if, as for their own nodes Kubernetes leaves open what policies say, they run on
    the same node, where one of the ends is that node or is in its network. A pod in its node's network is no node.

    Raises:
        ValueError: an address, or a block of addresses, is none.
    """
    index = EndIndex((1 << number, end) for number, end in enumerate(ends))
    policies = list(policies)
    pods = index.named([_ANY_POD], "")
    sets = dict.fromkeys([pods, *_asked(policies, index), *(index.on_node[node] for node in index.nodes_own)])
    names = {
        (entry["port"], entry.get("protocol", "TCP"))
        for policy in policies
        for rule in _rules(policy)
        for entry in rule.get("ports") or ()
        if isinstance(entry.get("port"), str)
    }
    numbers = [(end.hosted is None, frozenset(named for named in end.named if named[:2] in names)) for end in ends]
    kinds: dict[tuple[object, ...], int] = {}
    rows = zip(*(spread(each, len(ends)) for each in sets), numbers, strict=True)
    return [kinds.setdefault(row, len(kinds)) for row in rows]


def _asked(policies: Iterable[Policy], index: EndIndex) -> Iterator[Bits]:
    """What each selector and each block is true of."""
    for policy in policies:
        namespace = policy["metadata"]["namespace"]
        yield index.selected(namespace, policy["spec"].get("podSelector") or {})
        yield index.perhaps_selected(namespace, policy["spec"].get("podSelector") or {})
        for rule in _rules(policy):
            for peer in (*(rule.get("from") or ()), *(rule.get("to") or ())):
                yield index.peer(peer, namespace)
                yield index.perhaps_named([peer], namespace)


def _rules(policy: Policy) -> Iterator[Policy]:
    yield from policy["spec"].get("ingress") or ()
    yield from policy["spec"].get("egress") or ()
