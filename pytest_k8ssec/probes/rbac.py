"""RBAC objects, as they are written to the API server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_k8ssec.stack import ServiceAccount

RBAC = "rbac.authorization.k8s.io"


def binding(
    name: str, account: ServiceAccount, role: str, *, kind: str = "ClusterRole", namespace: str = ""
) -> dict[str, Any]:
    """A binding of a role to a service account, in one namespace or ("") in all."""
    place = {"namespace": namespace} if namespace else {}
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": name, **place},
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace}],
    }


def rule(verb: str, resource: str, *, group: str = "") -> dict[str, Any]:
    """An RBAC rule for one verb."""
    return {"apiGroups": [group], "resources": [resource], "verbs": [verb]}


REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def access_review(user: str, groups: Sequence[str], right: Mapping[str, Any]) -> dict[str, Any]:
    """The question whether a user of these groups has a right: the body of a request to :data:`REVIEWS`."""
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "groups": list(groups), "resourceAttributes": dict(right)},
    }
