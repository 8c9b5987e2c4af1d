"""Rights that a sabotage gives to a service account of the stack, shown to be in force, and taken away again."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.rbac_objects import RBAC, REVIEWS, access_review, account_subject, binding
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.probes.identities import account_user, api_evidence, attributes
from pytest_k8ssec.sabotages.proofs import changing, object_of
from pytest_k8ssec.stack import ServiceAccount, Stack

_SECONDS = 10
_PAUSE = 0.1
_EVERYBODY = "system:authenticated"


def default_account(stack: Stack) -> ServiceAccount:
    """The ``default`` service account of one of the stack's namespaces: whom sabotages give what nobody gave it."""
    return next(each for each in stack.service_accounts if each.name == "default")


@contextmanager
def granted(
    cluster: Cluster, account: ServiceAccount, *rules: Mapping[str, Any], namespace: str = ""
) -> Iterator[Evidence]:
    """Give an account rights in one namespace, or ("") in all, and take them away in every ending.

    Yields:
        what the API server says of the last rule.

    Raises:
        SabotageError: the account may still not do it, or may still do it afterwards.
    """
    with lent(cluster, account, *rules, namespace=namespace) as proof:
        yield proof
    may(cluster, account, rules[-1], namespace, no_more=True)


@contextmanager
def lent(
    cluster: Cluster, account: ServiceAccount, *rules: Mapping[str, Any], namespace: str = ""
) -> Iterator[Evidence]:
    """Like :func:`granted`, to an account that may have the same rights from elsewhere, and keep them.

    Yields:
        what the API server says of the last rule.

    Raises:
        SabotageError: the account may still not do it.
    """
    name = f"k8ssec-grant-{secrets.token_hex(3)}"  # several grants may be in force at a time
    kind, place = ("Role", {"namespace": namespace}) if namespace else ("ClusterRole", {})
    role = {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": {"name": name, **place}, "rules": list(rules)}
    bound = binding(name, account_subject(account.namespace, account.name), name, kind=kind, namespace=namespace)
    with cluster.api.applied(role, bound):
        yield changing(may(cluster, account, rules[-1], namespace), object_of(role), object_of(bound))


def may(
    cluster: Cluster, account: ServiceAccount, right: Mapping[str, Any], namespace: str = "", *, no_more: bool = False
) -> Evidence:
    """Wait until an account may (or no longer may) use a rule's first verb on its first resource and object.

    The API server's authorizer is a moment behind its store, and nothing announces when it has caught up.

    Raises:
        SabotageError: that did not happen in time.
    """
    who = {
        "user": account_user(account.namespace, account.name),
        "groups": ["system:serviceaccounts", f"system:serviceaccounts:{account.namespace}", _EVERYBODY],
    }
    return _reviewed(cluster, f"service account {account}", who, right, namespace, no_more=no_more)


def everybody_may(
    cluster: Cluster, right: Mapping[str, Any], *, namespace: str = "", no_more: bool = False
) -> Evidence:
    """Like :func:`may`, for every service account, in a namespace or ("") everywhere.

    Raises:
        SabotageError: that did not happen in time.
    """
    who = {"user": "anybody", "groups": [_EVERYBODY, "system:serviceaccounts"]}
    return _reviewed(cluster, "every service account", who, right, namespace, no_more=no_more)


def _reviewed(
    cluster: Cluster, name: str, who: Body, right: Mapping[str, Any], namespace: str, *, no_more: bool
) -> Evidence:
    (verb, *_), (resource, *_), (group, *_) = right["verbs"], right["resources"], right["apiGroups"]
    (of, *_) = right.get("resourceNames", ("",))
    asked = attributes(verb, resource, group=group, namespace=namespace, name=of)
    review = access_review(who["user"], who["groups"], asked)
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        answer = cluster.api.request("POST", REVIEWS, body=review)
        if answer.ok and bool(answer.body.get("status", {}).get("allowed")) is not no_more:
            return api_evidence("", f"SubjectAccessReview of {name}: {verb} {resource}", answer)
        time.sleep(_PAUSE)
    raise SabotageError(f"{name}: {'may still' if no_more else 'may still not'} {verb} {resource}")
