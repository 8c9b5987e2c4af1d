"""What a cluster says about pods that do not get ready: their states, and the warnings among the events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pytest_k8ssec.errors import ClusterError

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.api import KubeApi

_MOST = 12
"""Lines of each sort that are shown of a namespace."""
_WIDTH = 300
_ALIKE = 3
"""So many words alike make two messages say the same: ids and addresses come later."""


def describe(api: KubeApi, namespaces: Iterable[str]) -> str:
    """States of the pods that are not ready, and warning events, of some namespaces; "" if there is nothing to tell."""
    lines: list[str] = []
    for namespace in namespaces:
        try:
            pods = [line for pod in api.list(f"/api/v1/namespaces/{namespace}/pods") for line in why_unready(pod)]
            events = _warnings(api.list(f"/api/v1/namespaces/{namespace}/events"))
        except ClusterError as error:
            lines.append(f"namespace {namespace}: its pods and events could not be read: {error.message}")
            continue
        lines += [*_shortened(pods), *_shortened(events)]
    return "\n".join(lines)


def why_unready(pod: Mapping[str, Any]) -> Iterator[str]:
    """Why a pod is not ready, a line for each container that is not; nothing where it is, or has ended well."""
    status = pod.get("status") or {}
    phase = status.get("phase", "Unknown")
    conditions = {one["type"]: one for one in status.get("conditions") or []}
    if phase == "Succeeded" or conditions.get("Ready", {}).get("status") == "True":
        return
    name = f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']}: {phase}"
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    said = [line for container in containers for line in _container(container)]
    for condition in ("PodScheduled", "ContainersReady"):
        one = conditions.get(condition, {})
        if one.get("status") == "False" and not said:
            said.append(f"{one.get('reason', condition)}: {one.get('message', '')}")
    yield from (f"{name}; {line}" for line in said or ["no container has reported yet"])


def _container(container: Mapping[str, Any]) -> Iterator[str]:
    if container.get("ready"):
        return
    state = container.get("state") or {}
    name = f"container {container['name']}"
    for word in ("waiting", "terminated"):
        if one := state.get(word):
            if one.get("reason") == "Completed":
                return
            code = f" (exit code {one['exitCode']})" if "exitCode" in one else ""
            yield f"{name} {word}: {one.get('reason', '?')}{code} {one.get('message', '')}".rstrip()
    if "running" in state:
        yield f"{name} runs, but is not ready ({container.get('restartCount', 0)} restarts)"
    last = (container.get("lastState") or {}).get("terminated")
    if last:
        yield f"{name} ended before: {last.get('reason', '?')} (exit code {last.get('exitCode')})"


def _warnings(events: Iterable[Mapping[str, Any]]) -> list[str]:
    """The newest warnings last; of those that say the same about the same object, but for details, only the newest."""
    newest: dict[tuple[str, ...], str] = {}
    for event in sorted(events, key=_when):
        involved = event.get("involvedObject") or {}
        # Nodes' events land in namespace "default", whatever they are about.
        if event.get("type") == "Warning" and involved.get("kind") != "Node":
            words = str(event.get("message", "")).split()
            about = f"{involved.get('kind')} {involved.get('namespace')}/{involved.get('name')}"
            key = (about, str(event.get("reason")), *words[:_ALIKE])
            newest.pop(key, None)
            newest[key] = f"event {about}: {event.get('reason')}: {' '.join(words)}"
    return list(newest.values())


def _when(event: Mapping[str, Any]) -> str:
    meta = event.get("metadata") or {}
    return str(event.get("lastTimestamp") or event.get("eventTime") or meta.get("creationTimestamp") or "")


def _shortened(lines: list[str]) -> list[str]:
    kept = [line if len(line) <= _WIDTH else line[: _WIDTH - 3] + "..." for line in lines[-_MOST:]]
    return [f"... and {len(lines) - _MOST} more", *kept] if len(lines) > _MOST else kept
