"""Controls of the family Blast radius, and what in a workload's own objects gives it the edges that leave from it."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_k8ssec.attack.findings import ADMIN
from pytest_k8ssec.attack.graph import Edge, Graph
from pytest_k8ssec.evidence.causes import Cause, FieldCheck, Right
from pytest_k8ssec.facts.culprits.template_fields import (
    CLAIMS,
    HOST_PATHS,
    HOST_SPACES,
    MORE_CAPABILITIES,
    PRIVILEGED,
    fields_of_template,
    fields_of_token,
)
from pytest_k8ssec.probes.identities import account_user
from pytest_k8ssec.stack import Workload

_FILES = (HOST_PATHS, CLAIMS, PRIVILEGED)
_KERNEL = (PRIVILEGED, MORE_CAPABILITIES)
_FIELDS: Mapping[str, tuple[FieldCheck, ...]] = {
    "host-read": _FILES,
    "host-write": _FILES,
    "token-paths": _FILES,
    "cri-socket": _FILES,
    "host-namespace": tuple(HOST_SPACES.values()),
    "nsenter": (HOST_SPACES["pid"],),
    "ptrace": (HOST_SPACES["pid"],),
    "privileged-mount": _KERNEL,
    "module-load": _KERNEL,
    "core-pattern": _KERNEL,
}
"""By kind of edge: the fields of the pod template that give a container such an edge."""


def edge_causes(graph: Graph, workload: Workload, what: str) -> tuple[Cause, ...]:
    """What may give a workload the edge that it was not agreed to have; what it has only by way of others has no cause here.

    Args:
        what: the finding, in its own words: one new edge, or that cluster-admin is within reach.
    """
    name = what.removeprefix("new edge ")
    edges = graph.path() if what == ADMIN else [graph.edges[name]] if name in graph.edges else []
    agreed = {"token-steal"} if what == ADMIN else set()  # a client of the API is meant to have its token
    return tuple(one for edge in edges if edge.kind.name not in agreed for one in _causes(edge, workload))


def _causes(edge: Edge, workload: Workload) -> list[Cause]:
    asked = edge.evidence.cause
    if isinstance(asked, Right):
        return [asked] if asked.user == account_user(workload.namespace, workload.service_account) else []
    start = f"{workload.namespace}/{workload.name}/"
    if not edge.source.name.startswith(start):
        return []
    container = edge.source.name.removeprefix(start)
    if edge.kind.name == "token-steal":
        return [*fields_of_token(workload, container, workload.service_account)]
    checks = _FIELDS.get(edge.kind.name) or _of_secret(edge)
    return [fields_of_template(workload, container, *checks)] if checks else []


def _of_secret(edge: Edge) -> tuple[FieldCheck, ...]:
    """The fields by which a container has one Secret."""
    bad = (edge.target.name.rpartition("/")[2],)
    match edge.kind.name:
        case "secret-volume":
            projected = ("volumes", "*", "projected", "sources", "*", "secret", "name")
            return FieldCheck((("volumes", "*", "secret", "secretName"),), bad), FieldCheck((projected,), bad)
        case "secret-variable":
            one, all_of_it = ("valueFrom", "secretKeyRef", "name"), ("envFrom", "*", "secretRef", "name")
            return FieldCheck((("{}", "env", "*", *one),), bad), FieldCheck((("{}", *all_of_it),), bad)
    return ()
