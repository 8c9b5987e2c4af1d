"""Each way in which a probe can break, on a real cluster that holds: the verdict must be inconclusive, never held."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from pytest_k8ssec.agent.tasks import Resolve
from pytest_k8ssec.catalogue.control import Control
from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.clusters.kind import KindCluster
from pytest_k8ssec.facts import listening_ports
from pytest_k8ssec.pods import pool as pool_module
from pytest_k8ssec.pods.manifests import OBJECT_LABEL
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.identities import service_account
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import Verdict
from tests.cluster.world import World, lone_world, remove_namespace

WITH_PODS = {
    "api-anon-data",
    "api-anon-minimal",
    "api-tls",
    "aud-events",
    "blast-radius",
    "etcd-client-auth",
    "etcd-exposed",
    "etcd-peer-auth",
    "etcd-plaintext",
    "id-bootstrap-token",
    "id-credentials",
    "id-token-automount",
    "id-token-lifetime",
    "kubelet-anon",
    "kubelet-authz",
    "kubelet-readonly",
    "kubelet-server-cert",
    "net-cni-enforces",
    "net-controlplane",
    "net-egress-deny",
    "net-ingress-deny",
    "net-metadata",
    "node-loopback",
    "node-seccomp",
    "rbac-nodes-proxy",
    "secrets-canary-leak",
    "sup-registry",
    "wl-host-access",
    "wl-netraw",
    "wl-privilege",
    "wl-seccomp",
}
ON_NODES = {
    "aud-events",
    "aud-no-secret-body",
    "blast-radius",
    "etcd-ca-isolation",
    "etcd-client-auth",
    "etcd-exposed",
    "etcd-peer-auth",
    "etcd-plaintext",
    "ext-ports",
    "kubelet-readonly",
    "net-controlplane",
    "net-ingress-deny",
    "net-metadata",
    "node-cred-files",
    "node-loopback",
    "secrets-at-rest",
    "wl-host-access",
}
AT_NODES = {
    "api-anon-data",
    "api-anon-minimal",
    "api-tls",
    "etcd-exposed",
    "etcd-plaintext",
    "ext-ports",
    "ext-unauth-ui",
    "id-bootstrap-token",
    "kubelet-anon",
    "kubelet-authz",
    "kubelet-readonly",
    "kubelet-server-cert",
    "net-controlplane",
    "node-loopback",
    "rbac-nodes-proxy",
}
PAST_THE_API = {"etcd-ca-isolation", "node-cred-files"}
"""What asks nodes only, and so needs neither the API server nor rights there."""
ALL = {control.id for control in packaged_controls()} - PAST_THE_API


@pytest.fixture(autouse=True)
def room(world: World, pool: Pool) -> Iterator[None]:
    """Remove what each test made: a quota that is full, or a node, would break later probes by itself."""
    yield
    api, others = world.cluster.api, f"{OBJECT_LABEL},{OBJECT_LABEL} notin ({world.pool.run_id}, {pool.run_id})"
    for namespace in world.stack.namespaces:
        pods = f"/api/v1/namespaces/{namespace}/pods"
        api.call("DELETE", pods, params={"labelSelector": others, "gracePeriodSeconds": "0"})
    for made in api.list("/api/v1/namespaces", labelSelector=others):
        remove_namespace(api, made["metadata"]["name"])


@pytest.fixture(scope="module")
def world(cluster: KindCluster, stack: Stack, pool: Pool) -> Iterator[World]:
    """The cluster that holds, with the hardened stack on it, and no pods of other tests' there."""
    with lone_world(cluster, stack, pool) as made:
        yield made


def affected(ids: set[str]) -> pytest.MarkDecorator:
    """One test for each of the controls that a fault touches."""
    return pytest.mark.parametrize(
        "control", [each for each in packaged_controls() if each.id in ids], ids=lambda each: each.id
    )


@pytest.fixture(scope="module")
def dead_pods(world: World) -> World:
    """Pods that were there when they were leased, and are gone when they are asked."""
    for control in packaged_controls():
        if control.id in WITH_PODS:
            assert (Verdict.HELD, "") == world.judge(control)
    for pod in world.pool._leased.values:
        world.cluster.api.delete(f"/api/v1/namespaces/{pod.vantage.namespace}/pods/{pod.vantage.pod}", grace=0)
    world.pool._remembered.clear()
    return world


@affected(WITH_PODS)
def test_dead_exec_is_inconclusive(dead_pods: World, control: Control) -> None:
    """A pod that can't be entered any more proves nothing."""
    verdict, reason = dead_pods.judge(control)
    assert verdict is Verdict.INCONCLUSIVE, reason


@affected(WITH_PODS - {"sup-registry"})  # that one then tries its changes on a pod of the workload's own
def test_no_python_is_inconclusive(world: World, control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image without Python can't probe, and that is not an attack that failed."""
    monkeypatch.setattr(pool_module, "POD_START_SECONDS", 5)
    pause = world.cluster.on_node(world.cluster.nodes[0], ["ctr", "-n", "k8s.io", "images", "ls", "-q"]).text.split()
    broken = copy.copy(world.cluster)
    broken.__dict__["probe_image"] = next(name for name in pause if "/pause:" in name)
    verdict, reason = World.of(broken, world.stack).judge(control)
    assert verdict is Verdict.INCONCLUSIVE, reason


@affected(ON_NODES)
def test_node_that_is_gone_is_inconclusive(world: World, control: Control) -> None:
    """A node that can't be entered tells nothing about itself."""
    broken = copy.copy(world.cluster)
    broken.__dict__["nodes"] = tuple(dataclasses.replace(node, container="k8ssec-gone") for node in world.cluster.nodes)
    verdict, reason = World.of(broken, world.stack).judge(control)
    assert verdict is Verdict.INCONCLUSIVE, reason


_HANG_UP = """
import contextlib, os
for pid in set(filter(str.isdigit, os.listdir("/proc"))) - {str(os.getpid())}:
    with contextlib.suppress(OSError):  # it has just ended
        if b"X-K8ssec" in open("/proc/%s/cmdline" % pid, "rb").read():
            os.kill(int(pid), 15)
"""


@pytest.fixture
def nobody_outside(world: World) -> None:
    """No listener of ours beside the nodes: net-egress-deny leaves one, at ports that the stack's policies name."""
    world.cluster.in_network_of(None, ["python3", "-c", _HANG_UP])


@affected(AT_NODES)
@pytest.mark.usefixtures("nobody_outside")
def test_no_listener_is_inconclusive(world: World, control: Control) -> None:
    """Refused connections are no refusals where nothing listens: here, on the loopback of whoever asks.

    Never at a pod's address: asked from outside the cluster, that would leave the machine by its default route.
    """
    broken = copy.copy(world.cluster)
    broken.__dict__["nodes"] = tuple(dataclasses.replace(node, address="127.0.0.1") for node in world.cluster.nodes)
    verdict, reason = World.of(broken, world.stack).judge(control)
    assert verdict is Verdict.INCONCLUSIVE, reason


def test_targets_that_do_not_listen_are_inconclusive(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port of the stack that nothing listens on is not protected by a policy."""
    real = listening_ports.targets(world.cluster, world.stack)
    module = inspect.getmodule(next(each for each in packaged_controls() if each.id == "net-ingress-deny").function)
    moved = [dataclasses.replace(target, port=9) for target in real]
    monkeypatch.setattr(module, "targets", lambda *_, **__: moved)
    control = next(each for each in packaged_controls() if each.id == "net-ingress-deny")
    verdict, reason = World.of(world.cluster, world.stack).judge(control)
    assert verdict is Verdict.INCONCLUSIVE, reason


def test_no_answer_from_dns_is_inconclusive(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workload that is merely cut off is not held back by a policy."""
    control = next(each for each in packaged_controls() if each.id == "net-egress-deny")
    monkeypatch.setattr(inspect.getmodule(control.function), "Resolve", lambda: Resolve("k8ssec.invalid"))
    verdict, reason = World.of(world.cluster, world.stack).judge(control)
    assert verdict is Verdict.INCONCLUSIVE, reason


@affected(ALL)
def test_missing_rights_are_inconclusive(world: World, control: Control, powerless: KubeApi) -> None:
    """Who may nothing is told no by everybody, and learns nothing from it."""
    verdict, reason = world.with_api(powerless).judge(control)
    assert verdict is Verdict.INCONCLUSIVE, reason


@affected(ALL)
def test_api_that_is_gone_is_inconclusive(world: World, control: Control, gone: KubeApi) -> None:
    """No answer from the API server is no answer."""
    verdict, reason = world.with_api(gone).judge(control)
    assert verdict is Verdict.INCONCLUSIVE, reason


@pytest.fixture(scope="module")
def powerless(world: World, tmp_path_factory: pytest.TempPathFactory) -> KubeApi:
    """A client of a service account without any right."""
    token = service_account(world.cluster, world.pool.namespace("powerless"), "default").token
    return _client(world, tmp_path_factory.mktemp("powerless"), lambda user: user.update(token=token))


@pytest.fixture(scope="module")
def gone(world: World, tmp_path_factory: pytest.TempPathFactory) -> KubeApi:
    """A client of an API server that does not answer: nothing listens on that port of this machine."""
    return _client(world, tmp_path_factory.mktemp("gone"), lambda _: None, server="https://127.0.0.1:1")


def _client(world: World, folder: Path, change: Callable[[dict[str, str]], None], server: str = "") -> KubeApi:
    kubeconfig = yaml.safe_load(world.cluster.kubeconfig.read_text())
    user: dict[str, str] = {}
    change(user)
    kubeconfig["users"][0]["user"] = user
    if server:
        kubeconfig["clusters"][0]["cluster"]["server"] = server
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(kubeconfig))
    return KubeApi(file)
