"""The containers that a workload really has, which are more than its template names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.facts.listening_ports import pods_of
from pytest_k8ssec.pods.manifests import by_container
from pytest_k8ssec.stack import Workload

_ENDED = {"Succeeded", "Failed"}


def container_templates(cluster: Cluster, workload: Workload) -> dict[str, Mapping[str, Any]]:
    """A pod template for each container of a workload, in which that one is the main container.

    First come those of its template, then what only its pods have: a sidecar that admission put there, a debugger's
    ephemeral container, a security context of before the last rollout, or one that admission changed.

    Raises:
        ClusterError: the API server did not list its pods.
    """
    found = by_container(workload.template)
    known = {(name, _rights(each["spec"]["containers"][0])) for name, each in found.items()}
    for pod in pods_of(cluster, workload):
        if pod["status"].get("phase") in _ENDED:
            continue
        for container in _all(pod["spec"]):
            if (container["name"], _rights(container)) not in known:
                known.add((container["name"], _rights(container)))
                found[f"{container['name']} of pod {pod['metadata']['name']}"] = _template(workload, pod, container)
    return found


def _all(spec: Body) -> list[Body]:
    kinds = ("containers", "initContainers", "ephemeralContainers")
    return [container for kind in kinds for container in spec.get(kind) or ()]


def _rights(container: Mapping[str, Any]) -> str:
    return repr(sorted((container.get("securityContext") or {}).items()))


def _template(workload: Workload, pod: Body, container: Body) -> Mapping[str, Any]:
    """The workload's template with this container in it, and with what its pod mounts of the node besides."""
    spec = workload.template["spec"]
    volumes = list(spec.get("volumes") or ())
    named = {volume["name"] for volume in volumes}
    volumes += [each for each in pod["spec"].get("volumes") or () if "hostPath" in each and each["name"] not in named]
    return {**workload.template, "spec": {**spec, "volumes": volumes, "containers": [container]}}
