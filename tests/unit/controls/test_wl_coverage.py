"""Each container by each check: what an attack forgets is named, and what is open to one of them is breached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls import wl
from pytest_k8ssec.controls.wl import host_access
from pytest_k8ssec.controls.wl.host_access import test_wl_host_access as host
from pytest_k8ssec.controls.wl.netraw import test_wl_netraw as netraw
from pytest_k8ssec.controls.wl.privilege import test_wl_privilege as privilege
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Source
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.probes.planted_files import Planted
from pytest_k8ssec.stack import Workload
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import FakeVantage, judge_of, without

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.pods.manifests import PodSpec
    from pytest_k8ssec.pods.pool import Pool
    from pytest_k8ssec.stack import Stack

NOBODY = {"uid": 10001, "effective": 0, "bounding": 0, "no_new_privileges": True, "seccomp": 2}
ROOT = {**NOBODY, "uid": 0, "effective": 1, "bounding": 1 << 13, "no_new_privileges": False}
NODE_SPACES = dict.fromkeys(("ipc", "mnt", "net", "pid"), "the node's")
POD_SPACES = dict.fromkeys(NODE_SPACES, "the pod's")
Said = dict[str, dict[str, Any]]
"""By what an agent is asked to do, what comes of it."""
FREE: Said = {
    "privileges": {"outcome": "done", "facts": ROOT},
    "namespaces": {"outcome": "done", "facts": NODE_SPACES},
    "which-file": {"outcome": "done", "facts": {"file": "1:2"}},
}
SHUT: Said = {
    "privileges": {"outcome": "done", "facts": NOBODY},
    "mount": {"outcome": "denied"},
    "write": {"outcome": "denied", "detail": "EROFS"},
    "raw-socket": {"outcome": "denied"},
    "namespaces": {"outcome": "done", "facts": POD_SPACES},
    "host-file": {"outcome": "absent"},
    "host-socket": {"outcome": "absent"},
    "which-file": {"outcome": "done", "facts": {"file": "7:7"}},
}


def said(told: Said, task: dict[str, Any]) -> dict[str, Any]:
    """What an agent answers; a pod that may do everything does everything."""
    return told.get(task["op"], {"outcome": "done"})


def pod(told: Said) -> Pod:
    """A pod on the node."""
    source = Source("pod", "web/t", "10.0.0.1", "n1")
    return Pod(cast("Any", FakeVantage(partial(said, told), source)), "uid", "nonce")


@dataclass
class World:
    """A stack of one workload of two containers, the second of which may have something; its own cluster and pool."""

    may: Said
    absent: bool = False
    """Whether the twin of the second one does not start."""
    nodes = (Node("n1", "10.0.0.9", control_plane=False, container="n1"),)

    @property
    def cluster(self) -> World:
        """Itself."""
        return self

    api = cluster

    def workloads(self) -> tuple[Workload, ...]:
        """The one."""
        mount = {"name": "logs", "mountPath": "/logs"}
        containers = [{"name": name, "volumeMounts": [mount]} for name in ("a", "b")]
        volume = {"name": "logs", "hostPath": {"path": "/var/log"}}
        security = {"runAsUser": 10001}
        spec = {"automountServiceAccountToken": False, "securityContext": security, "volumes": [volume]}
        return (
            Workload(
                "Deployment", "web", "shop", {}, {"matchLabels": {}}, {"spec": {**spec, "containers": containers}}
            ),
        )

    def list(self, _path: str, **_: str) -> list[Any]:
        """No live pods, and no claims."""
        return []

    @contextmanager
    def lease_lots(self, *specs: PodSpec) -> Iterator[Iterator[dict[int, Pod | ProbeError]]]:
        """One lot."""
        second: Pod | ProbeError = ProbeError("no room") if self.absent else pod({**SHUT, **self.may})
        assert 2 == len(specs)
        yield iter([{0: pod(SHUT), 1: second}])

    def judge(self, monkeypatch: pytest.MonkeyPatch, control: Callable[..., None]) -> Judge:
        """What comes of it."""

        def free(_: object, nodes: Iterable[str]) -> dict[str, Pod]:
            return {node: pod(FREE) for node in nodes}

        @contextmanager
        def planted(_: object, __: object, mounted: Sequence[str]) -> Iterator[Planted]:
            yield Planted(("/k8ssec",), "nonce", NODE_SPACES, dict.fromkeys(mounted, "1:2"))

        monkeypatch.setattr(wl, "unrestricted_pods", free)
        monkeypatch.setattr(host_access, "planted", planted)
        judge = judge_of(control)
        given: tuple[Any, ...] = (cast("Stack", self), cast("Pool", self), {})
        control(judge, *((cast("Cluster", self),) if control is host else ()), *given)
        return judge


MOUNT = "mount /var/log of the node at /logs"


def test_no_container_that_has_nothing_is_accused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each check was made of both; where a folder is that of a node nobody holds it."""
    for control, count in ((netraw, 6), (privilege, 14)):
        judge = World({}).judge(monkeypatch, control)
        assert (Verdict.HELD, "") == judge.verdict()
        assert f"{count} of {count} combinations" in judge.coverage.words(judge.tried)
    judge = World({}).judge(monkeypatch, host)
    assert "14 of 14 combinations" in judge.coverage.words(judge.tried)
    assert "not tried" not in judge.verdict()[1]


@pytest.mark.parametrize(
    ("control", "check"),
    [
        (netraw, "open a raw socket (icmp)"),
        (netraw, "gain NET_RAW by a program"),
        (privilege, "be root"),
        (privilege, "write to /tmp"),
        (host, "share the node's IPC namespace"),
        (host, MOUNT),
    ],
)
def test_a_check_that_nobody_made_is_named(
    monkeypatch: pytest.MonkeyPatch, control: Callable[..., None], check: str
) -> None:
    """Of one container."""
    words = repr({"container": "b", "check": check}).strip("{}")
    monkeypatch.setattr(Case, "attack", without(Case.attack, words))
    verdict, reason = World({}).judge(monkeypatch, control).verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert f"not tried: check {check}, container b, workload Deployment web/shop (no attack tried it)" in reason


@pytest.mark.parametrize(
    ("control", "may", "check"),
    [
        (netraw, {"raw-socket": {"outcome": "done"}}, "open a raw socket (packet)"),
        (privilege, {"mount": {"outcome": "done"}}, "mount a file system"),
        (host, {"which-file": {"outcome": "done", "facts": {"file": "1:2"}}}, MOUNT),
    ],
)
def test_what_one_container_has_is_a_breach(
    monkeypatch: pytest.MonkeyPatch, control: Callable[..., None], may: Said, check: str
) -> None:
    """The other one has it not."""
    judge = World(may).judge(monkeypatch, control)
    through = [(each.case, each.what) for each in judge.attacks if each.got_through]
    assert ("Deployment web/shop, container b", check) in through
    assert all(case.endswith("container b") for case, _ in through)


def test_one_whose_twin_does_not_start_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its case, with the reason."""
    verdict, reason = World({}, absent=True).judge(monkeypatch, netraw).verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert "no room" in reason
    assert "not tried" not in reason


def test_a_folder_that_is_not_there_is_no_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is listed, and changes nothing."""
    judge = World({"write": {"outcome": "absent"}}).judge(monkeypatch, privilege)
    assert (Verdict.HELD, "") == judge.verdict()
    assert judge.coverage.words(judge.tried).endswith("3 absent")
