"""What RBAC's objects grant an account, by everything that a binding may call it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest

from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.facts.rbac_rights import GrantedRights, granted_rights, rule_set

READS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "get"]}
WRITES = {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}


@dataclass
class Lists:
    """An API server that lists these objects, by plural."""

    objects: dict[str, list[Any]]
    refuses: str = ""

    def list(self, path: str) -> list[Any]:
        """All of a kind."""
        plural = path.rpartition("/")[2]
        if plural == self.refuses:
            raise ClusterError("forbidden")
        return self.objects.get(plural, [])


def granted(*subjects: dict[str, str], where: str = "shop", kind: str = "Role") -> GrantedRights:
    """What two roles of one name give by one binding, in a namespace or ("") in the cluster."""
    api = Lists(
        {
            "clusterroles": [{"metadata": {"name": "it"}, "rules": [WRITES]}],
            "roles": [{"metadata": {"name": "it", "namespace": "shop"}, "rules": [READS]}],
            ("rolebindings" if where else "clusterrolebindings"): [
                {
                    "metadata": {"name": "b", **({"namespace": where} if where else {})},
                    "roleRef": {"kind": kind, "name": "it"},
                    "subjects": list(subjects),
                }
            ],
        }
    )
    found = granted_rights(cast("KubeApi", api))
    assert found is not None
    return found


@pytest.mark.parametrize(
    "subject",
    [
        {"kind": "ServiceAccount", "name": "web", "namespace": "home"},
        {"kind": "User", "name": "system:serviceaccount:home:web"},
        {"kind": "Group", "name": "system:serviceaccounts"},
        {"kind": "Group", "name": "system:serviceaccounts:home"},
        {"kind": "Group", "name": "system:authenticated"},
    ],
)
def test_an_account_has_five_names(subject: dict[str, str]) -> None:
    """Each of them counts, in the binding's namespace alone; in the cluster's binding everywhere."""
    inside = granted(subject)
    assert rule_set([READS]) == inside.of("home", "web", "shop")
    assert rule_set([]) == inside.of("home", "web", "other")
    everywhere = granted(subject, where="", kind="ClusterRole")
    assert rule_set([WRITES]) == everywhere.of("home", "web", "shop") == everywhere.of("home", "web", "other")


@pytest.mark.parametrize(
    "subject",
    [
        {"kind": "ServiceAccount", "name": "web", "namespace": "other"},
        {"kind": "ServiceAccount", "name": "web"},
        {"kind": "User", "name": "web"},
        {"kind": "Group", "name": "system:serviceaccounts:other"},
        {"kind": "Group", "name": "system:unauthenticated"},
    ],
)
def test_others_are_not_it(subject: dict[str, str]) -> None:
    """An account without a namespace is one of the binding's."""
    assert rule_set([]) == granted(subject).of("home", "web", "shop")


def test_an_account_of_the_bindings_own_namespace_needs_no_namespace() -> None:
    """As the API server reads it."""
    subject = {"kind": "ServiceAccount", "name": "web"}
    assert rule_set([READS]) == granted(subject).of("shop", "web", "shop")


def test_a_binding_names_a_role_of_its_namespace_or_of_the_cluster() -> None:
    """By its kind; a role that is not there gives nothing."""
    subject = {"kind": "Group", "name": "system:authenticated"}
    assert rule_set([WRITES]) == granted(subject, kind="ClusterRole").of("home", "web", "shop")
    assert rule_set([]) == granted(subject, where="other").of("home", "web", "other")


@pytest.mark.parametrize("plural", ["clusterrolebindings", "rolebindings", "clusterroles", "roles"])
def test_what_can_not_be_listed_grants_nothing_that_is_known(plural: str) -> None:
    """All four, or none."""
    assert granted_rights(cast("KubeApi", Lists({}, plural))) is None


def test_equal_rules_are_equal_however_they_are_written() -> None:
    """Names of objects tell them apart; rules about URLs are no rules of a namespace."""
    other = {"verbs": ["get", "list"], "resources": ["pods"], "apiGroups": [""], "resourceNames": []}
    assert rule_set([READS]) == rule_set([other, other])
    assert rule_set([READS]) != rule_set([{**READS, "resourceNames": ["one"]}])
    assert rule_set([]) == rule_set([{"nonResourceURLs": ["/healthz"], "verbs": ["get"]}])
