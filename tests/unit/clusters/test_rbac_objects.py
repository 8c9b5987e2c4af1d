"""RBAC's bindings as the API server wants them: a wrong group or kind binds nobody, and is taken all the same."""

from __future__ import annotations

from pytest_k8ssec.clusters.rbac_objects import account_subject, binding, named_subject

GROUP = "rbac.authorization.k8s.io"


def test_a_user_is_bound_in_all_namespaces() -> None:
    """Users and groups are of RBAC's own API group."""
    assert binding("b", named_subject("User", "jane"), "view") == {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": GROUP, "kind": "User", "name": "jane"}],
    }


def test_an_account_is_bound_in_one_namespace() -> None:
    """A service account is of the core group, and in a namespace that need not be the binding's."""
    assert binding("b", account_subject("batch", "reporter"), "own", kind="Role", namespace="web") == {
        "apiVersion": f"{GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "b", "namespace": "web"},
        "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": "own"},
        "subjects": [{"kind": "ServiceAccount", "name": "reporter", "namespace": "batch"}],
    }
