"""Controls of the family API server, and what two of them try: all that leads further, by who has no right."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.facts.rbac_rights import RuleSet
from pytest_k8ssec.probes.escalation import WayUp, in_cluster, in_namespace, to_cluster_admin
from pytest_k8ssec.probes.identities import RbacRules
from pytest_k8ssec.probes.rights_table import by_names, further_ways, right_of
from pytest_k8ssec.stack import ServiceAccount

CLUSTER = "(the cluster)"
"""What the cluster is called beside namespaces."""


def ways_up(place: str, account: ServiceAccount, image: str) -> list[WayUp]:
    """All that leads further in a namespace, or ("") in the cluster.

    Args:
        account: whom a binding would be about.
        image: of the pods that are offered; nothing runs it.
    """
    if not place:
        return [to_cluster_admin(account), *in_cluster(), *further_ways("")]
    return [*in_namespace(account, place, image), *further_ways(place)]


def rules_of(rules: RuleSet, told: Evidence) -> RbacRules:
    """What RBAC's objects grant, as a list of rules."""
    names = ("verbs", "apiGroups", "resources", "resourceNames")
    return RbacRules(told, tuple(dict(zip(names, json.loads(each), strict=True)) for each in sorted(rules)))


def granted_otherwise(way: WayUp, rules: RbacRules) -> str:
    """How rules grant a way that no request of ours shows, in words; "" where they don't.

    That is a right on single objects, one that can only be asked for, and the change of a binding or role that is there.
    """
    verb, resource, group = way.right
    if not way.path:
        return "as it stands" if all(_granted(right, rules) for right in way.rules) else ""
    names = rules.names(verb, resource, group=group)
    if names and (not way.leads or by_names(way)):
        return f"on {', '.join(names[:5])}"
    if verb in ("bind", "escalate") and _granted(way.rules[-1], rules):
        _, made, of = right_of(way.rules[0])
        changes = [change for change in ("update", "patch") if rules.grants(change, made, group=of) or rules.names(change, made, group=of)]  # fmt: skip
        return f"by {changes[0]} of {made} that are there" if changes else ""
    return ""


def _granted(right: Mapping[str, list[str]], rules: RbacRules) -> bool:
    verb, resource, group = right_of(right)
    return rules.grants(verb, resource, group=group) or bool(rules.names(verb, resource, group=group))
