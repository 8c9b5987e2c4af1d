"""Twins of odd workloads, on a real cluster: each starts wherever its pod could, and is judged by what is live."""

from __future__ import annotations

import inspect
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from pytest_k8ssec.agent.tasks import Namespaces
from pytest_k8ssec.agent.vantage import NetworkVantage, ask
from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.headers import MERGE_PATCH
from pytest_k8ssec.clusters.kind import KindCluster
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import got_through
from pytest_k8ssec.facts.container_users import users_of
from pytest_k8ssec.facts.containers import live_template
from pytest_k8ssec.facts.listening_ports import listening_ports, running
from pytest_k8ssec.pods.live_network import LiveNetwork
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.policy_enforcement import await_task
from pytest_k8ssec.reach.sampling import EVERYTHING
from pytest_k8ssec.stack import Stack, Workload, pods_of
from pytest_k8ssec.stack.resource import Resource
from pytest_k8ssec.verdict import Judge, Verdict

NAME = f"twins-{secrets.token_hex(3)}"
SAFE = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
PAUSE_USER = 65535
"""The image that keeps a pod's namespaces says `USER 65535:65535`; every node has it."""


def deployment(name: str, container: dict[str, Any], kind: str = "Deployment", **spec: Any) -> Body:
    """A workload of one container that does nothing."""
    labels = {"app": name}
    pod = {"automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0, **spec}
    pod["containers"] = [{"name": "main", "imagePullPolicy": "Never", "securityContext": SAFE, **container}]
    return {
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": NAME},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }  # fmt: skip


def objects(image: str, python: str) -> Iterator[Body]:
    """The namespace and all in it."""
    own = {"image": image}
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}}
    bounds = {"type": "Container", "max": {"cpu": "200m", "memory": "64Mi"}, "min": {"cpu": "20m"},
              "maxLimitRequestRatio": {"cpu": "4"}}  # fmt: skip
    yield {
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small", "namespace": NAME},
        "spec": {"limits": [bounds]},
    }  # fmt: skip
    yield deployment("image-user", own)
    yield deployment("not-root", own, securityContext={"runAsNonRoot": True})
    lone = {"labelSelector": {"matchLabels": {"app": "apart"}}, "topologyKey": "kubernetes.io/hostname"}
    path = {"name": "own", "mountPath": "/own", "subPathExpr": "$(POD)"}
    env = [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    yield deployment(
        "apart", {**own, "env": env, "volumeMounts": [path, {"name": "told", "mountPath": "/told"}]},
        affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [lone]}},
        volumes=[
            {"name": "own", "emptyDir": {}},
            {"name": "told", "downwardAPI": {"items": [
                {"path": "cpu", "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu"}}]}},
        ],
    )  # fmt: skip
    yield {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "apart", "namespace": NAME},
        "spec": {"selector": {"app": "apart"}, "clusterIP": "None", "publishNotReadyAddresses": True,
                 "ports": [{"port": 80}]},
    }  # fmt: skip
    for number in (1, 2):
        listens = {"image": python, "command": ["python3", "-m", "http.server", str(18970 + number)]}
        yield deployment(f"host-{number}", {**listens, "securityContext": {**SAFE, "runAsUser": 7}}, hostNetwork=True)
    yield deployment("refused", own, runtimeClassName="there-is-none")
    stale = deployment(
        "stale", {"image": image, "securityContext": {**SAFE, "runAsUser": 0}}, "DaemonSet", hostPID=True
    )
    stale["spec"]["updateStrategy"] = {"type": "OnDelete"}
    yield stale


@dataclass
class Odd:
    """The workloads, a pool that may place pods among them, and a stack that declares them."""

    cluster: KindCluster
    pool: Pool
    stack: Stack

    def workload(self, name: str) -> Workload:
        """One of them."""
        return next(each for each in self.stack.workloads() if each.name == name)

    def judge(self, name: str) -> Judge:
        """What a control records of them."""
        judge, control = Judge(), next(each for each in packaged_controls() if each.id == name)
        given: dict[str, Any] = {
            "judge": judge, "cluster": self.cluster, "stack": self.stack, "pool": self.pool, "twin": self.pool.twin,
            "outside": NetworkVantage(self.cluster, None), "allowed": {}, "k8ssec_sampling": EVERYTHING,
        }  # fmt: skip
        control.function(**{each: given[each] for each in inspect.signature(control.function).parameters})
        return judge


def pause_image(cluster: KindCluster) -> str:
    """The pause image, as the nodes know it."""
    nodes = cluster.api.list("/api/v1/nodes")
    return next(
        str(name)
        for node in nodes
        for image in node["status"]["images"]
        for name in image["names"]
        if "/pause:" in name
    )


@pytest.fixture(scope="module")
def odd(cluster: KindCluster) -> Iterator[Odd]:
    """All of them, running; the DaemonSet's template was cleaned since."""
    made = list(objects(pause_image(cluster), cluster.probe_image))
    declared = [Resource(f"urn:{each['metadata']['name']}", f"kubernetes:apps/v1:{each['kind']}",
                         each["metadata"]["name"], NAME)
                for each in made if each["apiVersion"] == "apps/v1"]  # fmt: skip
    declared.append(Resource("urn:gone", "kubernetes:batch/v1:Job", "gone", NAME))
    declared.append(Resource("urn:space", "kubernetes:core/v1:Namespace", NAME))
    stack = Stack("odd", "odd", {}, tuple(declared), True, 0, cluster.api)

    def template_of(workload: Workload) -> Any:
        return live_template(cluster, workload)

    pool = Pool(cluster, f"odd-{secrets.token_hex(3)}", lambda: (NAME,), template_of=template_of)
    with cluster.api.applied(*made):
        world = Odd(cluster, pool, stack)
        for workload in stack.workloads():
            for _ in range(60):
                if pods_of(cluster.api, workload) or workload.name == "refused":
                    break
                time.sleep(0.5)
            running(cluster, workload)
        clean = {"spec": {"template": {"spec": {"hostPID": False}}}}
        cluster.api.call("PATCH", f"/apis/apps/v1/namespaces/{NAME}/daemonsets/stale", body=clean, headers=MERGE_PATCH)
        yield world
        pool.close()


def verdicts(judge: Judge) -> dict[str, Verdict]:
    """By the workload's name, and the pod's where it is named: the worst."""
    return {case.name.partition("/")[2]: case.verdict()[0] for case in judge.cases}


def test_each_is_judged_and_none_stands_for_all(odd: Odd) -> None:
    """Users of images, anti-affinity, a claim's folder, a LimitRange, ports of the node: each twin starts, but the one."""
    judge = odd.judge("wl-privilege")
    found = verdicts(judge)
    for name in ("image-user", "not-root", "apart", "host-1", "host-2"):
        assert Verdict.HELD is found[f"{name}, container main"], judge.verdict()
    assert Verdict.INCONCLUSIVE is found["refused, container main"]
    assert Verdict.BREACHED is next(each for name, each in found.items() if name.startswith("stale, container main"))
    seen = {
        attack.case.partition("/")[2]: attack.evidence.facts.get("uid")
        for attack in judge.attacks
        if attack.what == "be root"
    }
    assert {PAUSE_USER} == {seen[f"{name}, container main"] for name in ("image-user", "not-root", "apart")}


def test_live_pods_that_share_their_node_s_processes_are_found(odd: Odd) -> None:
    """Although the template is clean: nobody has deleted them yet."""
    found = verdicts(odd.judge("wl-host-access"))
    stale = [each for name, each in found.items() if name.startswith("stale, container main of pod")]
    assert [Verdict.BREACHED] == stale[:1]
    assert Verdict.HELD is found["stale, container main"]
    assert Verdict.HELD is found["apart, container main"]


def test_a_pod_in_its_node_s_network_answers_for_its_own_ports(odd: Odd) -> None:
    """Not for the kubelet's, nor for a twin's of ours beside it."""
    twins = odd.pool.lease_each(
        *(PodSpec(NAME, template=live_template(odd.cluster, odd.workload(f"host-{n}")), purpose="twin") for n in (1, 2))
    )
    assert all(isinstance(each, Pod) for each in twins)
    for number in (1, 2):
        (pod,) = pods_of(odd.cluster.api, odd.workload(f"host-{number}"))
        assert [[(18970 + number, "TCP")]] == [*listening_ports(odd.cluster, [pod]).values()]


def test_a_twin_is_no_endpoint_of_whoever_publishes_all(odd: Odd) -> None:
    """Its twin runs, with an address, and without the label."""
    twin = odd.pool.twin(odd.workload("apart"))
    slices = odd.cluster.api.list(f"/apis/discovery.k8s.io/v1/namespaces/{NAME}/endpointslices")
    addresses = {address for one in slices for end in one["endpoints"] for address in end["addresses"]}
    assert len(addresses) == 1
    assert twin.address not in addresses


def test_where_policies_know_its_label_a_twin_sends_from_the_live_pod_s_network(odd: Odd) -> None:
    """Under that pod's own policies, and from its address; into a network that is not the pod's nothing goes."""
    policy = {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "apart", "namespace": NAME},
        "spec": {"podSelector": {"matchLabels": {"app": "apart"}}, "policyTypes": ["Egress"]},
    }  # fmt: skip
    (live,) = pods_of(odd.cluster.api, odd.workload("apart"))
    spec = PodSpec(NAME, template=live_template(odd.cluster, odd.workload("apart")), live_network=True, purpose="twin")
    with odd.cluster.api.applied(policy):
        odd.pool.refresh()
        (twin,), free = odd.pool.lease(spec), odd.pool.attacker()
        assert got_through(await_task(twin, free.canary, reachable=False)) is False
        looked, spaces = twin.probe(free.canary, Namespaces())
        assert live["status"]["podIP"] == looked.source.address != twin.address
        assert twin.source == spaces.source
        network = twin.vantage.network
        assert isinstance(network, LiveNetwork)
        elsewhere = replace(network, pod=replace(network.pod, address="192.0.2.1"))
        with pytest.raises(ProbeError, match="did not finish"):
            ask(elsewhere, [free.canary])
    assert got_through(await_task(twin, free.canary, reachable=True)) is True
    odd.pool.refresh()


def test_the_node_tells_the_user_where_the_api_server_does_not(odd: Odd) -> None:
    """As before Kubernetes 1.33."""
    pods = pods_of(odd.cluster.api, odd.workload("image-user"))
    told = users_of(odd.cluster, pods)
    for status in (one for pod in pods for one in pod["status"]["containerStatuses"]):
        status.pop("user", None)
    assert told == users_of(odd.cluster, pods)
    assert {PAUSE_USER} == {user.uid for user in told.values()}
