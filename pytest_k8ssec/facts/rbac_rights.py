"""What RBAC's objects grant service accounts, by account and namespace: read once, for all of them.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-subjects says whom a binding is about. Nothing is
concluded from this alone: an authorizer beside RBAC may grant more, and what the API server itself lists is compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pytest_k8ssec.clusters.api import Body, KubeApi
from pytest_k8ssec.clusters.rbac_objects import RBAC
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.evidence import JSON

RuleSet = frozenset[str]
"""Rules about resources, each in the one form that equal ones have."""
_NONE: RuleSet = frozenset()
_AUTHENTICATED, _ACCOUNTS = "system:authenticated", "system:serviceaccounts"
_ANONYMOUS = "User/system:anonymous", "Group/system:unauthenticated"


def rule_set(rules: Iterable[Mapping[str, JSON]]) -> RuleSet:
    """The same rules, comparable: order tells nothing in them, and rules about URLs are left out, as no namespace has any."""
    lists = ("verbs", "apiGroups", "resources", "resourceNames")
    return frozenset(
        json.dumps([sorted(each.get(name) or ()) for name in lists]) for each in rules if each.get("resources")
    )


def named_by(rules: RuleSet, verb: str, resource: str, *, group: str = "") -> list[str]:
    """Names of the objects that rules give a right on by name."""
    named: set[str] = set()
    for verbs, groups, resources, names in map(json.loads, rules):
        if all({"*", one} & set(some) for one, some in ((verb, verbs), (group, groups), (resource, resources))):
            named |= set(names)
    return sorted(named)


@dataclass(frozen=True, slots=True)
class GrantedRights:
    """The rules that bindings give, by whom they are about: ``kind/name``, or ``ServiceAccount/namespace/name``."""

    everywhere: Mapping[str, RuleSet]
    inside: Mapping[tuple[str, str], RuleSet] = field(default_factory=dict)
    """By namespace, and by whom."""

    def of(self, namespace: str, account: str, where: str) -> RuleSet:
        """What an account may do in a namespace, or in the cluster.

        Args:
            namespace: the account's own.
            account: its name.
            where: the namespace that is asked about, "" for the cluster.
        """
        return self._of_all(_subjects_of(namespace, account), where)

    def of_anonymous(self, where: str) -> RuleSet:
        """What whoever shows no credentials may do in a namespace, or ("") in the cluster."""
        return self._of_all(_ANONYMOUS, where)

    def _of_all(self, whom: Iterable[str], where: str) -> RuleSet:
        whom = tuple(whom)
        rules = [self.everywhere.get(each, _NONE) for each in whom]
        return _NONE.union(*rules, *(self.inside.get((where, each), _NONE) for each in whom))


def granted_rights(api: KubeApi) -> GrantedRights | None:
    """All that RBAC grants, by its four kinds of objects; None where one of them can't be listed."""
    try:
        of_cluster, of_namespaces, cluster_roles, roles = (
            api.list(f"/apis/{RBAC}/v1/{plural}")
            for plural in ("clusterrolebindings", "rolebindings", "clusterroles", "roles")
        )
    except ClusterError:
        return None
    rules = {("", each["metadata"]["name"]): rule_set(each.get("rules") or ()) for each in cluster_roles}
    rules |= {
        (each["metadata"]["namespace"], each["metadata"]["name"]): rule_set(each.get("rules") or ()) for each in roles
    }
    everywhere: dict[str, RuleSet] = {}
    inside: dict[tuple[str, str], RuleSet] = {}
    for binding in of_cluster:
        given = rules.get(("", binding["roleRef"]["name"]), _NONE)
        for whom in _subjects(binding):
            everywhere[whom] = everywhere.get(whom, _NONE) | given
    for binding in of_namespaces:
        where, ref = binding["metadata"]["namespace"], binding["roleRef"]
        given = rules.get(("" if ref["kind"] == "ClusterRole" else where, ref["name"]), _NONE)
        for whom in _subjects(binding):
            inside[where, whom] = inside.get((where, whom), _NONE) | given
    return GrantedRights(everywhere, inside)


def _subjects(binding: Body) -> Iterable[str]:
    """Whom a binding is about. An account without a namespace is one of the binding's own namespace."""
    for each in binding.get("subjects") or ():
        space = ""
        if each["kind"] == "ServiceAccount":
            space = f"{each.get('namespace') or binding['metadata'].get('namespace', '')}/"
        yield f"{each['kind']}/{space}{each['name']}"


def _subjects_of(namespace: str, account: str) -> tuple[str, ...]:
    """All that an account is to a binding: itself, its user, and its three groups."""
    return (
        f"ServiceAccount/{namespace}/{account}",
        f"User/system:serviceaccount:{namespace}:{account}",
        *(f"Group/{group}" for group in (_ACCOUNTS, f"{_ACCOUNTS}:{namespace}", _AUTHENTICATED)),
    )
