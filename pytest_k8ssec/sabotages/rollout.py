"""A workload of the stack that a sabotage makes weaker, rolled out for real, and rolled back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from pytest_k8ssec.clusters.api import Body, KubeApi
from pytest_k8ssec.clusters.headers import JSON_PATCH, MERGE_PATCH
from pytest_k8ssec.errors import ClusterError, SabotageError
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.evidence.causes import ObjectName
from pytest_k8ssec.pods.manifests import ENFORCE
from pytest_k8ssec.probes.identities import api_evidence
from pytest_k8ssec.probes.podsecurity import LEVELS
from pytest_k8ssec.sabotages.proofs import changing
from pytest_k8ssec.stack import Stack, Workload

LOOSENED: Mapping[str, tuple[str, ...]] = MappingProxyType({"adm-psa": ("privileged: create such a pod",)})
"""What is breached besides where a namespace lets in what a sabotage shows: ``means`` of all that need that."""
_TAKEN = "k8ssec/weakened"
"""Annotation of a Deployment that a sabotage in force has changed."""
_SECONDS = 90


def deployment(api: KubeApi, stack: Stack, of: Callable[[Workload], bool] = lambda _: True) -> Workload:
    """A Deployment of the stack to weaken: while there is one, it is one that no other sabotage in force has changed.

    What two of them bring about together would be the work of neither.

    Args:
        of: whether a Deployment may be chosen.

    Raises:
        SabotageError: the stack has none.
    """
    found = [each for each in stack.workloads() if each.kind == "Deployment" and of(each)]
    if not found:
        raise SabotageError("stack: has no Deployment that could be changed like this")
    return next((each for each in found if not _is_taken(api.get(_path(api, each)))), found[0])


@contextmanager
def weakened(
    api: KubeApi,
    workload: Workload,
    *,
    container: Mapping[str, Any] | None = None,
    pod: Mapping[str, Any] | None = None,
    volume: tuple[Mapping[str, Any], str] | None = None,
    variable: Mapping[str, Any] | None = None,
    level: str = "privileged",
) -> Iterator[Evidence]:
    """Change one Deployment of the stack, and what its namespace enforces, for a while.

    Args:
        workload: the Deployment, as :func:`deployment` chooses one.
        container: fields of its first container's securityContext.
        pod: fields of its pods.
        volume: a volume, and where it is mounted.
        variable: an environment variable of its first container, as in its ``env``.
        level: the Pod Security level that its namespace enforces at most meanwhile; "" leaves it.

    Yields:
        the evidence that pods of it run so.

    Raises:
        ClusterError: it did not roll out.
    """
    path = _path(api, workload)
    before = api.get(path)["spec"]["template"]
    with enforcing(api, workload.namespace, level), _taken(api, path):
        try:
            _roll_out(api, path, _weaker(before, container, pod, volume, variable))
            what = f"GET {path}: {container or pod or volume or variable}"
            proof = api_evidence("", what, api.request("GET", path))
            yield changing(proof, ObjectName("Deployment", workload.name, workload.namespace))
        finally:
            _roll_out(api, path, before)


def _path(api: KubeApi, workload: Workload) -> str:
    return api.path("apps/v1", "Deployment", workload.namespace, workload.name)


def _is_taken(deployment: Body) -> bool:
    return _TAKEN in (deployment["metadata"].get("annotations") or {})


@contextmanager
def _taken(api: KubeApi, path: str) -> Iterator[None]:
    """Mark a Deployment as changed for a while; where another sabotage did before, its mark stays."""
    if _is_taken(api.get(path)):
        yield
        return

    def mark(value: str | None) -> None:
        api.call("PATCH", path, body={"metadata": {"annotations": {_TAKEN: value}}}, headers=MERGE_PATCH)

    try:
        mark("")
        yield
    finally:
        mark(None)


def _weaker(
    template: Body,
    container: Mapping[str, Any] | None,
    pod: Mapping[str, Any] | None,
    volume: tuple[Mapping[str, Any], str] | None,
    variable: Mapping[str, Any] | None,
) -> Body:
    changed = copy.deepcopy(template)
    spec = changed["spec"]
    first = spec["containers"][0]
    first.setdefault("securityContext", {}).update(container or {})
    spec.update(pod or {})
    if volume:
        spec.setdefault("volumes", []).append(dict(volume[0]))
        first.setdefault("volumeMounts", []).append({"name": volume[0]["name"], "mountPath": volume[1]})
    if variable:
        first.setdefault("env", []).append(dict(variable))
    return changed


@contextmanager
def enforcing(api: KubeApi, namespace: str, level: str) -> Iterator[None]:
    """Have a namespace enforce at most this Pod Security level for a while; "" changes nothing."""
    path = f"/api/v1/namespaces/{namespace}"
    before = api.get(path)["metadata"].get("labels", {}).get(ENFORCE)
    # One that another sabotage has lowered further stays as that one wants it.
    lowers = bool(level) and LEVELS.index(level) < LEVELS.index(before or LEVELS[0])
    try:
        if lowers:  # also where no answer comes it may have been done
            api.call("PATCH", path, body={"metadata": {"labels": {ENFORCE: level}}}, headers=MERGE_PATCH)
        yield
    finally:
        if lowers:
            api.call("PATCH", path, body={"metadata": {"labels": {ENFORCE: before}}}, headers=MERGE_PATCH)


def _roll_out(api: KubeApi, path: str, template: Body) -> None:
    """Give a Deployment this template, and wait until all its pods follow it and the others are gone.

    Raises:
        ClusterError: they did not in time.
    """
    patch = [{"op": "replace", "path": "/spec/template", "value": template}]
    changed = api.call("PATCH", path, body=patch, headers=JSON_PATCH)
    collection, _, name = path.rpartition("/")

    def follows(found: Body | None) -> bool:
        status, wanted = (found or {}).get("status", {}), changed["spec"]["replicas"]
        if status.get("observedGeneration", 0) < changed["metadata"]["generation"]:
            return False
        return all(status.get(key, 0) == wanted for key in ("replicas", "updatedReplicas", "availableReplicas"))

    api.wait(collection, name, follows, deadline=_SECONDS, what=f"{path}: did not roll out")
    pods = api.path("v1", "Pod", changed["metadata"]["namespace"])
    labels = ",".join(f"{key}={value}" for key, value in changed["spec"]["selector"]["matchLabels"].items())
    for _ in api.watch(pods, deadline=_SECONDS, labelSelector=labels):
        if not any("deletionTimestamp" in pod["metadata"] for pod in api.list(pods, labelSelector=labels)):
            return
    raise ClusterError(f"{path}: its former pods are still there")
