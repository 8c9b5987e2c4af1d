"""Which pods are a workload's own: its selector finds them, and its controller has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_k8ssec.evidence import JSON

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.api import Body, KubeApi
    from pytest_k8ssec.stack.model import Workload


def pods_of(api: KubeApi, workload: Workload) -> list[Body]:
    """The workload's own pods, in whatever state, without our twins.

    Raises:
        ClusterError: the API server did not list them.
    """
    path = f"/api/v1/namespaces/{workload.namespace}/pods"
    if workload.kind == "CronJob":
        return _pods_of_jobs(api, workload)
    if not workload.selector:
        return [api.get(f"{path}/{workload.name}")]
    # A twin of ours has the same labels; a pod that a controller of the stack made has its hash or index.
    found = [pod for pod in api.list(path, labelSelector=_selecting(workload.selector)) if not _ours(pod)]
    return [pod for pod in found if _belongs(api, pod, workload)]


def _belongs(api: KubeApi, pod: Body, workload: Workload) -> bool:
    """Whether a pod that a workload's selector fits is its own: selectors may overlap, what counts is who controls it."""
    owners = pod["metadata"].get("ownerReferences") or ()
    owner = next((each for each in owners if each.get("controller")), None)
    if owner is None:
        return True
    if workload.kind == "Deployment" and owner["kind"] == "ReplicaSet":
        if owner["name"].rpartition("-")[0] == workload.name:
            return True
        path = f"/apis/apps/v1/namespaces/{workload.namespace}/replicasets/{owner['name']}"
        above = api.request("GET", path).body.get("metadata", {}).get("ownerReferences") or ()
        return not above or any((each["kind"], each["name"]) == ("Deployment", workload.name) for each in above)
    return (owner["kind"], owner["name"]) == (workload.kind, workload.name)


def _pods_of_jobs(api: KubeApi, workload: Workload) -> list[Body]:
    """Those of the Jobs that a CronJob has made: it has no selector, and often no pod."""
    jobs = api.list(f"/apis/batch/v1/namespaces/{workload.namespace}/jobs")
    made = {job["metadata"]["name"] for job in jobs if ("CronJob", workload.name) in _owners(job)}
    pods = api.list(f"/api/v1/namespaces/{workload.namespace}/pods") if made else ()
    return [pod for pod in pods if any(kind == "Job" and name in made for kind, name in _owners(pod))]


def _owners(body: Body) -> set[tuple[str, str]]:
    return {(owner["kind"], owner["name"]) for owner in body["metadata"].get("ownerReferences") or ()}


def _selecting(selector: Mapping[str, JSON]) -> str:
    """A LabelSelector as the API server takes it in a query."""
    wanted = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for each in selector.get("matchExpressions") or ():
        key, values = each["key"], ",".join(each.get("values") or ())
        words = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }
        wanted.append(words[each["operator"]])
    return ",".join(wanted)


def _ours(pod: Body) -> bool:
    return "k8ssec.dev/purpose" in pod["metadata"].get("annotations", {})
