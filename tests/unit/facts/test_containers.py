"""What workload controls look at: each container, what the kernel says of it, and what its pods mount."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, cast

import pytest

from pytest_k8ssec.agent.remote import agent
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.controls.wl.netraw import _gains
from pytest_k8ssec.controls.wl.privilege import _written
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.facts.capabilities import names
from pytest_k8ssec.facts.containers import container_templates
from pytest_k8ssec.pods.manifests import by_container
from pytest_k8ssec.probes.planted_files import host_mounts
from pytest_k8ssec.stack import Workload
from tests.unit.fakes import evidence

_TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "x"}},
    "spec": {
        "volumes": [{"name": "host", "hostPath": {"path": "/etc/hosts"}}, {"name": "own", "emptyDir": {}}],
        "initContainers": [{"name": "set-up", "securityContext": {"privileged": True}}],
        "containers": [
            {"name": "main", "volumeMounts": [{"name": "own", "mountPath": "/own"}]},
            {"name": "sidecar", "volumeMounts": [{"name": "host", "mountPath": "/hosts"}]},
        ],
    },
}


def test_each_container_is_looked_at() -> None:
    """Sidecars and init containers too: the pod is as weak as the weakest of them."""
    found = by_container(_TEMPLATE)
    assert ["main", "sidecar", "set-up"] == list(found)
    assert {"privileged": True} == found["set-up"]["spec"]["containers"][0]["securityContext"]
    assert _TEMPLATE is found["main"], "so that its twin is the one that others use"


def test_what_a_container_mounts_of_its_node() -> None:
    """Only what that container itself mounts."""
    found = by_container(_TEMPLATE)
    assert ({}, {"/hosts": "/etc/hosts"}) == (host_mounts(found["main"]), host_mounts(found["sidecar"]))


@dataclass
class Pods:
    """An API server that has these pods."""

    pods: list[dict[str, Any]]

    @property
    def api(self) -> Pods:
        """Itself."""
        return self

    def list(self, _path: str, **_: str) -> list[dict[str, Any]]:
        """All of them."""
        return self.pods


def _pod(name: str, phase: str = "Running", **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"phase": phase}, "spec": {**_TEMPLATE["spec"], **more}}


def test_what_only_a_workload_s_pods_have_is_looked_at_too() -> None:
    """Once each: what was injected, what a debugger added, and what is other than the template says by now."""
    free = {"privileged": True}
    mesh = {"name": "mesh", "securityContext": free, "volumeMounts": [{"name": "run", "mountPath": "/run"}]}
    host = {"name": "run", "hostPath": {"path": "/run"}}
    injected: dict[str, Any] = {"containers": [*_TEMPLATE["spec"]["containers"], mesh], "volumes": [host]}
    pods = [
        _pod("x-1", **injected, ephemeralContainers=[{"name": "debug"}]),
        _pod("x-2", **injected),
        _pod("x-3", containers=[{"name": "main", "securityContext": free}]),
        _pod("x-4", "Succeeded", containers=[{"name": "over"}]),
    ]
    workload = Workload("Deployment", "web", "x", {}, {"matchLabels": {"app": "x"}}, _TEMPLATE)
    found = container_templates(cast("Cluster", Pods(pods)), workload)
    assert ["main", "sidecar", "set-up", "mesh of pod x-1", "debug of pod x-1", "main of pod x-3"] == list(found)
    assert free == found["main of pod x-3"]["spec"]["containers"][0]["securityContext"]
    assert {"/run": "/run"} == host_mounts(found["mesh of pod x-1"])
    assert {} == host_mounts(found["main of pod x-3"])


@pytest.mark.parametrize(
    ("bits", "expected"),
    [(0, []), (1 << 13, ["NET_RAW"]), (1 << 0 | 1 << 21, ["CHOWN", "SYS_ADMIN"]), (1 << 50, ["bit 50"])],
)
def test_names_of_capabilities(bits: int, expected: list[str]) -> None:
    """By their bits; one that is not known yet still counts."""
    assert expected == names(bits)


@pytest.mark.parametrize(
    ("outcome", "words", "expected"),
    [
        (Outcome.DONE, "created and removed", True),
        (Outcome.DENIED, "EROFS", False),
        (Outcome.DENIED, "EACCES", None),
        (Outcome.ERROR, "OSError", None),
    ],
)
def test_only_erofs_proves_a_read_only_root(outcome: Outcome, words: str, expected: bool | None) -> None:
    """EACCES says who the process is, and nothing of the file system."""
    assert expected is _written(evidence(outcome, detail=words))


def test_a_file_of_the_node_is_looked_for_behind_every_mount(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of the folders above it is mounted, and wherever."""
    monkeypatch.setattr(agent, "mounts", lambda: ["/mnt"])
    found = set(agent.seen_through_mounts("/var/log/.k8ssec-1"))
    assert {"/mnt/var/log/.k8ssec-1", "/mnt/log/.k8ssec-1", "/mnt/.k8ssec-1"} <= found
    assert {"/var/log/.k8ssec-1", "/proc/1/root/var/log/.k8ssec-1"} <= found


@pytest.mark.parametrize(
    ("bounding", "no_new_privileges", "expected"),
    [(1 << 13, False, True), (1 << 13, True, False), (0, False, False), (1 << 12, False, False)],
)
def test_a_program_gains_net_raw_only_within_bounds(bounding: int, no_new_privileges: bool, expected: bool) -> None:
    """Whoever is not root, and is told EPERM, starts a setuid ping: unless the kernel gives nothing for that."""
    facts = {"uid": 65532, "effective": 0, "bounding": bounding, "no_new_privileges": no_new_privileges}
    assert expected is _gains(evidence(Outcome.DONE, facts=facts))
    assert _gains(evidence(Outcome.ERROR)) is None


def test_privileges_of_this_process() -> None:
    """The agent reads what the kernel says."""
    facts = agent.privileges({})["facts"]
    assert {"uid", "effective", "bounding", "no_new_privileges", "seccomp"} == set(facts)
    assert os.geteuid() == facts["uid"]
