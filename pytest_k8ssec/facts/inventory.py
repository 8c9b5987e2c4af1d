"""Everything in some namespaces that an administrator can read: objects of every kind, and logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pytest_k8ssec.clusters.api import Body, KubeApi, Response
from pytest_k8ssec.clusters.discovery import ListedKind, discover
from pytest_k8ssec.errors import ProbeError, as_probe_error
from pytest_k8ssec.pods.manifests import OBJECT_LABEL

LOG_BYTES = 4 * 1024 * 1024
"""No more is read of one log."""
_PAGE = "500"


def foreign_namespaces(api: KubeApi) -> list[str]:
    """The names of the namespaces that are not ours, which come and go, but for those that are just being deleted.

    Raises:
        ClusterError: they could not be listed.
    """
    listed = api.list("/api/v1/namespaces", labelSelector=f"!{OBJECT_LABEL}")
    return [each["metadata"]["name"] for each in listed if each.get("status", {}).get("phase") != "Terminating"]


def objects(api: KubeApi, namespaces: Sequence[str]) -> Iterator[Body]:
    """Every object in these namespaces, and every one that is in none, with its ``kind``; events are among them.

    Raises:
        ProbeError: a kind could not be listed.
    """
    for each in _discovered(api):
        for namespace in namespaces if each.namespaced else [""]:
            yield from _listed(api, each.path(namespace))


def logs(api: KubeApi, namespaces: Iterable[str]) -> Iterator[tuple[str, str, bool]]:
    """The log of every container of these namespaces that ever ran, and the log from before its last restart.

    Yields whose it is (``namespace/pod container``), its first mebibytes, and whether that is all of it.

    Raises:
        ProbeError: a log could not be read.
    """
    for namespace in namespaces:
        for pod in _listed(api, f"/api/v1/namespaces/{namespace}/pods"):
            yield from _logs_of(api, pod)


def _logs_of(api: KubeApi, pod: Body) -> Iterator[tuple[str, str, bool]]:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/log"
    for container, before in _runs(pod.get("status", {})):
        params = {"container": container, "limitBytes": str(LOG_BYTES), "previous": "true" if before else ""}
        # A pod that is gone by now took its logs along; of the run before a restart the kubelet keeps it for a while.
        answer = _asked(api, path, params, gone=(404, 400) if before else (404,))
        if answer.ok:
            # One that is as long as was asked for was cut there, as far as anybody knows.
            whole = len(answer.data) < LOG_BYTES
            yield f"{namespace}/{name} {container}", answer.data.decode(errors="replace"), whole


def has_log(pod: Body) -> bool:
    """Whether a container of a pod has run, so that there is a log of it."""
    return any(True for _ in _runs(pod.get("status", {})))


def _runs(status: Body) -> Iterator[tuple[str, bool]]:
    """Each container that has a log, and whether it is the one of the run before its last restart."""
    for kind in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        for one in status.get(kind, []):
            if one.get("restartCount"):
                yield one["name"], True
            if any(one["state"].get(state) for state in ("running", "terminated")):
                yield one["name"], False


def _discovered(api: KubeApi) -> Sequence[ListedKind]:
    """Every kind that can be listed. Raises ProbeError: also where an API does not answer, as its kinds are unknown then."""
    with as_probe_error():
        found = discover(api)
    if found.silent:
        raise ProbeError(f"API {found.silent[0]}: its server does not answer, so nobody knows what it holds")
    return found.kinds


def _listed(api: KubeApi, place: str) -> Iterator[Body]:
    more = ""
    while True:
        found = _asked(api, place, {"limit": _PAGE, "continue": more}).body
        kind = str(found.get("kind", "")).removesuffix("List")
        yield from ({"kind": kind, **item} for item in found.get("items") or [])
        more = found.get("metadata", {}).get("continue", "")
        if not more:
            return


def _asked(
    api: KubeApi, path: str, params: Mapping[str, str] | None = None, *, gone: Sequence[int] = (), **options: Any
) -> Response:
    """An answer that is 200, or one of ``gone``; parameters that are "" are left out. Raises ProbeError."""
    with as_probe_error():
        answer = api.request("GET", path, params={key: text for key, text in (params or {}).items() if text}, **options)
    if answer.status not in (200, *gone):
        raise ProbeError(f"GET {path}: HTTP {answer.status}: {answer.message}")
    return answer
