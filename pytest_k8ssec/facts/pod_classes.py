"""Which pods are alike in all that NetworkPolicies ask.

Two are one class if every policy's selector, every peer of every rule (its selectors, or its block) and every entry of its
ports answers alike for both. Labels that no selector mentions, and addresses that no block tells apart, make no class.
This is finer than what policies give: two pods that are let in by two rules are two classes, as a network may have put one
of the rules into force and not the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pytest_k8ssec.facts.admin_policies import PEERS_OF, AdminPolicy, ports_of
from pytest_k8ssec.facts.bits import Bits, alike
from pytest_k8ssec.facts.policies import Policy
from pytest_k8ssec.facts.policy_index import EndIndex, PortIndex
from pytest_k8ssec.facts.policy_table import EndPort
from pytest_k8ssec.facts.policy_tiers import peer_ends

NO_PORT = (0, "")
"""In place of a port's number and protocol: for an end that only sends."""


def pod_classes(policies: Iterable[Policy], ports: Sequence[EndPort], admin: Iterable[AdminPolicy] = ()) -> list[int]:
    """The number of each one's class, in their order.

    Args:
        policies: NetworkPolicy objects, those of all namespaces.
        ports: ends at one address each, with a port of theirs, or with :data:`NO_PORT`.
        admin: policies for the whole cluster.

    Raises:
        ValueError: an address, or a block of addresses, is none.
    """
    ends = EndIndex((1 << number, end) for number, (end, _, _) in enumerate(ports))
    opened = PortIndex(ports)
    sets = dict.fromkeys([*_answers(policies, ends, opened), *_admin_answers(admin, ends, opened)])
    return alike(list(sets), len(ports))[0]


def _admin_answers(admin: Iterable[AdminPolicy], ends: EndIndex, ports: PortIndex) -> Iterator[Bits]:
    """The same of policies for the whole cluster; what is asked about are pods, so nodes are nobody here."""
    for policy in admin:
        yield ends.peer(policy.subject, "")
        for way, peers in PEERS_OF.items():
            for rule in policy.rules(way):
                yield from (peer_ends(each, ends, {}) for each in rule[peers])
                yield from (ports.opened([each]) for each in ports_of(rule))


def _answers(policies: Iterable[Policy], ends: EndIndex, ports: PortIndex) -> Iterator[Bits]:
    """Whom each selector, each peer and each entry of ports is about."""
    for policy in policies:
        namespace, spec = policy["metadata"]["namespace"], policy["spec"]
        yield ends.selected(namespace, spec.get("podSelector") or {})
        yield ends.perhaps_selected(namespace, spec.get("podSelector") or {})
        for rules, peers in (("ingress", "from"), ("egress", "to")):
            for rule in spec.get(rules) or ():
                for peer in rule.get(peers) or ():
                    yield ends.peer(peer, namespace)
                    yield ends.perhaps_named([peer], namespace)
                for entry in rule.get("ports") or ():
                    yield ports.opened([entry])
                    yield ports.perhaps_opened([entry])
