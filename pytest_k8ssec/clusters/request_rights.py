"""Which right a request takes, as the API server's own filter reads it from method and path. Nothing is sent here.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb
"""

from __future__ import annotations

from collections.abc import Mapping

from pytest_k8ssec.evidence.causes import Right

_OF_ONE = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_OF_MANY = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
_IMPERSONATION = {"Impersonate-User": "users"}


def right_of_request(
    user: str,
    method: str,
    path: str,
    params: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Right | None:
    """The right that a request takes; None for a URL that is no resource, and for whoever acts as a group or by a uid.

    Args:
        headers: those of impersonation make it the right to impersonate, which is asked first.
    """
    acted = [(name, value) for name, value in (headers or {}).items() if name.startswith("Impersonate-")]
    if acted:
        name, value = acted[0]
        resource = _IMPERSONATION.get(name)
        return Right(user, "impersonate", resource, name=value) if resource else None
    _, _, rest = path.partition("?")[0].strip("/").partition("/")
    parts = rest.split("/")
    if path.startswith("/apis/"):
        group, *parts = parts
    elif path.startswith("/api/"):
        group = ""
    else:
        return None
    return _right(user, method, group, parts[1:], params or {})


def _right(user: str, method: str, group: str, parts: list[str], params: Mapping[str, object]) -> Right | None:
    namespace = ""
    if len(parts) > 1 and parts[0] == "namespaces":
        namespace = parts[1]
        if len(parts) > 2 and parts[2] not in ("status", "finalize"):
            parts = parts[2:]
    if not parts or not parts[0]:
        return None
    resource, name, below = parts[0], parts[1] if len(parts) > 1 else "", parts[2] if len(parts) > 2 else ""
    verb = (_OF_ONE if name else _OF_MANY).get(method, "")
    if verb == "list":
        # A list of one name, by a selector, is also what a right on that name allows.
        selector = str(params.get("fieldSelector", ""))
        name = selector.removeprefix("metadata.name=") if selector.startswith("metadata.name=") else ""
        verb = "watch" if params.get("watch") else "list"
    elif verb == "deletecollection":
        name = ""
    return Right(user, verb, f"{resource}/{below}" if below else resource, group, namespace, name) if verb else None
