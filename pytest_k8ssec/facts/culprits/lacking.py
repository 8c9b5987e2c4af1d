"""Namespaces that have none of what ought to bound them."""

from __future__ import annotations

from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.evidence.causes import Culprit, Lacking, ObjectName


def has_none(api: KubeApi, cause: Lacking) -> tuple[list[Culprit], str]:
    """The namespace, if it has no object of any of these kinds; where it has one, that says so.

    Raises:
        ClusterError: the API server did not list them.
    """
    for plural in cause.collections:
        if there := api.list(f"/api/v1/namespaces/{cause.namespace}/{plural}"):
            return [], f"namespace {cause.namespace} has {plural}: {there[0]['metadata']['name']}"
    return [Culprit(ObjectName("Namespace", cause.namespace), f"has no {cause.what}")], ""
