"""Pods' states and warning events as text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.stack.found.unready_pods import describe


@dataclass
class _Api:
    pods: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    broken: bool = False

    def list(self, path: str) -> list[dict[str, Any]]:
        if self.broken:
            raise ClusterError("GET /: no answer")
        return self.pods if path.endswith("/pods") else self.events


def _pod(name: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "web", "name": name}, "status": status}


def _event(message: str, at: str = "1", type_: str = "Warning", kind: str = "Pod") -> dict[str, Any]:
    involved = {"kind": kind, "namespace": "web", "name": "shop"}
    return {"type": type_, "reason": "Failed", "message": message, "lastTimestamp": at, "involvedObject": involved}


def _described(api: _Api) -> str:
    return describe(cast("KubeApi", api), ["web"])


def test_a_waiting_container_says_why() -> None:
    """Reason and message of a container that can't start are shown."""
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such host"}}
    pod = _pod("shop", phase="Pending", containerStatuses=[{"name": "c", "ready": False, "state": waiting}])
    assert _described(_Api([pod])) == "pod web/shop: Pending; container c waiting: ImagePullBackOff no such host"


def test_a_container_that_keeps_ending_says_how() -> None:
    """State and last exit code of a container in a crash loop are shown."""
    status = {
        "name": "c",
        "ready": False,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"reason": "Error", "exitCode": 3}},
    }
    text = _described(_Api([_pod("shop", phase="Running", containerStatuses=[status])]))
    assert "CrashLoopBackOff" in text
    assert "ended before: Error (exit code 3)" in text


def test_an_unscheduled_pod_says_what_the_scheduler_found() -> None:
    """Where no container has reported, the condition does."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes"}
    text = _described(_Api([_pod("shop", phase="Pending", conditions=[condition])]))
    assert text == "pod web/shop: Pending; Unschedulable: 0/2 nodes"


def test_ready_and_finished_pods_are_left_out() -> None:
    """Only what is not well is told."""
    ready = _pod("a", phase="Running", conditions=[{"type": "Ready", "status": "True"}])
    assert _described(_Api([ready, _pod("b", phase="Succeeded")])) == ""


def test_only_warnings_are_shown_and_repeated_ones_once() -> None:
    """The newest of alike warnings stays; normal events and those about nodes don't count."""
    events = [
        _event("failed to pull id=1", "1"),
        _event("failed to pull id=2", "2"),
        _event("Error: ErrImagePull", "3"),
        _event("pulled", "4", type_="Normal"),
        _event("cgroup v1", "5", kind="Node"),
    ]
    assert _described(_Api(events=events)).splitlines() == [
        "event Pod web/shop: Failed: failed to pull id=2",
        "event Pod web/shop: Failed: Error: ErrImagePull",
    ]


def test_an_api_server_that_does_not_answer_is_told_not_raised() -> None:
    """The error that is being explained is not replaced by another one."""
    assert "could not be read: GET /: no answer" in _described(_Api(broken=True))
