"""Finds on a cluster what a preview declares: the objects of a stack that somebody else deployed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import StackError
from pytest_k8ssec.stack.resource import Resource
from pytest_k8ssec.stack.source import StackSource
from pytest_k8ssec.stack.types import api_version_of_type

_AUTONAMED: Final = "pulumi.com/autonamed"
_NAMESPACE: Final = "kubernetes:core/v1:Namespace"
_JOB: Final = "kubernetes:batch/v1:Job"
_FOUND: Final = 200


def find_existing(declared: Iterable[Resource], cluster: Cluster, source: StackSource) -> tuple[Resource, ...]:
    """The declared resources as they are called on the cluster: a preview invents the ends of automatic names.

    Raises:
        StackError: an object is not there, or an automatic name fits several.
    """
    called: dict[str, str] = {}
    found: list[Resource] = []
    # Namespaces first: the others stand in them, under the invented name as yet.
    for one in sorted(declared, key=lambda resource: resource.type != _NAMESPACE):
        placed = replace(one, namespace=called.get(one.namespace, one.namespace))
        if one.is_object and not one.external:
            placed = replace(placed, name=_name(placed, cluster, source))
        if one.type == _NAMESPACE:
            called[one.name] = placed.name
        found.append(placed)
    return tuple(found)


def _name(resource: Resource, cluster: Cluster, source: StackSource) -> str:
    api, version = cluster.api, api_version_of_type(resource.type)
    if resource.annotations.get(_AUTONAMED) == "true":
        start = resource.urn.rsplit("::", 1)[-1] + "-"
        items = api.list(api.path(version, resource.kind, resource.namespace))
        names = [str(one["metadata"]["name"]) for one in items if one["metadata"]["name"].startswith(start)]
        if len(names) > 1:
            raise StackError(
                f"{source}: its {resource.kind} {start}* may be any of {', '.join(names)} on cluster {cluster.name}",
                fix="give it a name of its own in the program (metadata.name)",
            )
        if names:
            return names[0]
    elif api.request("GET", api.path(version, resource.kind, resource.namespace, resource.name)).status == _FOUND:
        return resource.name
    if resource.type == _JOB:  # it may have ended and be gone, or never have been there: tell_gone says so
        return resource.name
    raise StackError(
        f"{source}: it declares {resource}, which is not on cluster {cluster.name}",
        fix="deploy the stack to that cluster first, or test on an ephemeral one (without --k8ssec-cluster)",
    )
