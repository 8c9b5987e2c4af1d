"""What images get in: by each way, in each guise, into each namespace, at each API server."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.agent.vantage import PodVantage
from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.sup import pull_auth, registry
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.stack import Workload
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import POD, without

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.pods.pool import Pool
    from pytest_k8ssec.stack import Stack

IMAGE, FOREIGN = "python:3.13", "registry.invalid/python:3.13"
DENIED = {
    "kind": "Status",
    "message": "pods is forbidden: ValidatingAdmissionPolicy 'own' with binding 'own' denied request: no",
}
TRIED = {
    "container": ("POST", "containers", FOREIGN),
    "alike": ("POST", "containers", "docker.io.registry.invalid/python:3.13"),
    "init container": ("POST", "initContainers", FOREIGN),
    "ephemeral container": ("PATCH", "ephemeralContainers", FOREIGN),
    "running pod": ("PATCH", "containers", FOREIGN),
}


@dataclass
class World:
    """A cluster with API servers that refuse foreign images, and pull each image anew; it is its own pool and API server."""

    spared: tuple[str, ...] = ()
    """Server, namespace, method, kind of container and image that is let in, or, of images, its policy that stays."""
    guise: str = ""
    """As whom only that is so; "" for whoever it is."""
    server: str = "https://balancer"
    nodes: tuple[Node, ...] = (Node("cp0", "10.0.0.2", control_plane=True), Node("cp1", "10.0.0.3", control_plane=True))
    name: str = "world"
    probe_image: str = IMAGE
    deployed: bool = True
    pod_namespaces: tuple[str, ...] = ("web", "shop")
    rules: list[dict[str, Any]] = field(default_factory=list)

    @property
    def api(self) -> World:
        """Itself."""
        return self

    def at(self, server: str) -> World:
        """One of its API servers."""
        return World(self.spared, self.guise, server)

    def call(self, *_: object, **__: object) -> None:
        """It lives."""

    def list(self, _path: str) -> list[dict[str, Any]]:
        """No rules, quotas or pods."""
        return []

    def namespace(self, _purpose: str) -> str:
        """One of ours."""
        return "ours"

    def workloads(self) -> tuple[Workload, ...]:
        """One, in the first namespace."""
        return (Workload("Deployment", "web", "x", {}, {}, {}),)

    def request(self, method: str, path: str, *, body: Any, headers: dict[str, str], **_: Any) -> Response:
        """What admission makes of it."""
        fine = 201 if method == "POST" else 200
        for kind in ("containers", "initContainers", "ephemeralContainers"):
            for container in body["spec"].get(kind, ()):
                image, policy = container["image"], container.get("imagePullPolicy", "")
                what = (self.server.split("/")[2].split(":")[0], path.split("/")[4], method, kind, policy or image)
                spared = what == self.spared and self.guise in ("", headers.get("Impersonate-User", ""))
                if "registry.invalid" in image and not spared:
                    return Response(403, DENIED, 1.0)
                container["imagePullPolicy"] = policy if spared else "Always"
        return Response(fine, json.loads(json.dumps(body)), 1.0)

    def of_registry(self) -> Judge:
        """What sup-registry says."""
        judge = Judge(("server", "namespace", "guise", "way"))

        def twin(_workload: Workload) -> Pod:
            return Pod(PodVantage(cast("Cluster", None), "web", "twin", "probe", POD), "uid", "nonce")

        registry.test_sup_registry(judge, cast("Cluster", self), cast("Stack", self), twin, {})
        return judge

    def of_pulls(self) -> Judge:
        """What sup-pull-auth says."""
        judge = Judge(("server", "container", "policy"))
        pull_auth.test_sup_pull_auth(judge, cast("Cluster", self), cast("Pool", self), {})
        return judge


def test_all_that_is_refused_is_held() -> None:
    """At both servers."""
    judge = World().of_registry()
    assert (Verdict.HELD, "") == judge.verdict()
    assert {"cp0", "cp1"} == {dict(each)["server"] for each in judge.tried}
    assert (Verdict.HELD, "") == World().of_pulls().verdict()


@pytest.mark.parametrize("server", ["10.0.0.2", "10.0.0.3"])
@pytest.mark.parametrize("way", TRIED)
def test_one_way_at_one_api_server_is_enough(server: str, way: str) -> None:
    """Each reads the rules by itself."""
    judge = World((server, "web", *TRIED[way])).of_registry()
    assert Verdict.BREACHED is judge.verdict()[0]
    assert {server[-1]} == {
        str(int(dict(each.tries[0])["server"][-1]) + 2) for each in judge.attacks if each.got_through
    }


def test_one_controller_that_is_spared_is_enough() -> None:
    """It makes the pods of workloads."""
    user = "system:serviceaccount:kube-system:job-controller"
    judge = World(("10.0.0.3", "shop", *TRIED["container"]), user).of_registry()
    assert [f"a container of {FOREIGN} as {user}"] == [each.what for each in judge.attacks if each.got_through]


@pytest.mark.parametrize(
    "hole", ["an init container of", "an ephemeral container of", "give a running pod", "job-controller", "shop", "cp1"]
)
def test_a_way_that_is_not_tried_is_missed(monkeypatch: pytest.MonkeyPatch, hole: str) -> None:
    """By its name."""
    monkeypatch.setattr(Case, "attack", without(Case.attack, hole))
    verdict, why = World().of_registry().verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert hole in why.partition("not tried: ")[2]


@pytest.mark.parametrize("server", ["10.0.0.2", "10.0.0.3"])
@pytest.mark.parametrize("kind", ["containers", "initContainers"])
@pytest.mark.parametrize("policy", ["IfNotPresent", "Never"])
def test_one_policy_that_stays_is_enough(server: str, kind: str, policy: str) -> None:
    """In either kind of container, at either API server."""
    judge = World((server, "ours", "POST", kind, policy)).of_pulls()
    assert Verdict.BREACHED is judge.verdict()[0]
    assert [f"run it without a pull, by {policy}"] == [each.what for each in judge.attacks if each.got_through]


@pytest.mark.parametrize("hole", ["Never", "an init container", "cp1"])
def test_a_policy_that_is_not_tried_is_missed(monkeypatch: pytest.MonkeyPatch, hole: str) -> None:
    """By its name."""
    monkeypatch.setattr(Case, "attack", without(Case.attack, hole))
    verdict, why = World().of_pulls().verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert hole in why.partition("not tried: ")[2]
