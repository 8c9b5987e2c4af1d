"""RBAC's objects, as they are written to the API server. Nothing is sent here.

Sources: https://kubernetes.io/docs/reference/access-authn-authz/rbac/;
https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/subject-access-review-v1/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

RBAC = "rbac.authorization.k8s.io"
"""The API group."""
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
"""Where it is asked what somebody may do."""


def account_subject(namespace: str, name: str) -> dict[str, str]:
    """A service account, as a subject of :func:`binding`."""
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def named_subject(kind: Literal["User", "Group"], name: str) -> dict[str, str]:
    """A user or a group, as a subject of :func:`binding`."""
    return {"apiGroup": RBAC, "kind": kind, "name": name}


def binding(
    name: str, subject: Mapping[str, str], role: str, *, kind: str = "ClusterRole", namespace: str = ""
) -> dict[str, Any]:
    """A binding of a role to a subject, in one namespace or ("") in all."""
    place = {"namespace": namespace} if namespace else {}
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": name, **place},
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
        "subjects": [dict(subject)],
    }


def rule(verb: str, resource: str, *, group: str = "") -> dict[str, Any]:
    """An RBAC rule for one verb."""
    return {"apiGroups": [group], "resources": [resource], "verbs": [verb]}


def access_review(user: str, groups: Sequence[str], right: Mapping[str, Any]) -> dict[str, Any]:
    """The question whether a user of these groups has a right: the body of a request to :data:`REVIEWS`."""
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "groups": list(groups), "resourceAttributes": dict(right)},
    }
