"""Run by ``test_kwok.py`` in a pytest of its own, whose memory is measured: what is made of nodes and pods that only pretend.

The cluster has two real nodes with the Deployment ``real/web``, the other nodes and pods are kwok's. Stacks are described by
hand: no program deployed them, and the pods that stand for their workloads may be placed all the same.
"""

from __future__ import annotations

import inspect
import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_k8ssec.agent.vantage import NetworkVantage
from pytest_k8ssec.attack.radius import BlastRadius
from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.clusters.kind import KindCluster
from pytest_k8ssec.errors import K8ssecError, ProbeError
from pytest_k8ssec.facts.listening_ports import running
from pytest_k8ssec.facts.node import hosts
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.nodes_in_reach import nodes_in_reach
from pytest_k8ssec.reach.matrix import Reachability
from pytest_k8ssec.reach.sampling import EVERYTHING
from pytest_k8ssec.reach.survey import survey
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.stack.resource import Resource
from pytest_k8ssec.verdict import Judge, Verdict

NODES, PODS = int(os.environ["FAKE_NODES"]), int(os.environ["FAKE_PODS"])
WORKLOADS: dict[str, list[str]] = json.loads(os.environ["FAKE_WORKLOADS"])
"""Names of Deployments by namespace."""
REAL = {"real": ["web"]}
ONE = dict(list(WORKLOADS.items())[:1])
OF_PODS = [
    "wl-host-access",
    "wl-netraw",
    "wl-privilege",
    "wl-seccomp",
    "net-ingress-deny",
    "net-egress-deny",
    "net-metadata",
]
AT_NODES = ["net-controlplane", "rbac-nodes-proxy"]
NOTES = 40


def stack_of(cluster: KindCluster, workloads: dict[str, list[str]], *, deployed: bool) -> Stack:
    """A stack that declares these Deployments and their namespaces."""
    spaces = [Resource(f"urn:{name}", "kubernetes:core/v1:Namespace", name) for name in workloads]
    runs = [
        Resource(f"urn:{space}/{name}", "kubernetes:apps/v1:Deployment", name, space)
        for space, names in workloads.items()
        for name in names
    ]
    return Stack("crowd", "crowd", {}, (*spaces, *runs), deployed, 0, cluster.api)


@pytest.fixture(scope="module")
def pods(cluster: KindCluster) -> Iterator[Pool]:
    """Pods of ours, which may be placed in all of these namespaces."""
    made = Pool(cluster, "among-fakes", lambda: (*REAL, *WORKLOADS))
    yield made
    made.close()


def judged(name: str, stack: Stack, cluster: KindCluster, pool: Pool) -> Verdict:
    """The verdict of a control, as the plugin would come to it."""
    judge, control = Judge(), next(each for each in packaged_controls() if each.id == name)
    given: dict[str, Any] = {
        "judge": judge, "cluster": cluster, "stack": stack, "deployed": stack, "pool": pool, "attacker": pool.attacker,
        "twin": pool.twin, "outside": NetworkVantage(cluster, None), "allowed": {}, "nodes": hosts(cluster),
        "k8ssec_sampling": EVERYTHING,
    }  # fmt: skip
    try:
        control.function(**{each: given[each] for each in inspect.signature(control.function).parameters})
    except K8ssecError:
        verdict = judge.verdict()[0]
        return verdict if verdict is Verdict.BREACHED else Verdict.INCONCLUSIVE
    return judge.verdict()[0]


def verdicts(found: Reachability, namespaces: dict[str, list[str]]) -> Counter[str]:
    """How many connections to these namespaces are open, blocked and unknown."""
    return Counter(cell.verdict for cell in found.cells() if cell.destination.namespace in namespaces)


def test_all_are_listed(cluster: KindCluster, pods: Pool) -> None:
    """Nodes, and the pods of each workload; which nodes answer nobody is found out."""
    assert len(cluster.nodes) == NODES + 2
    assert NODES == sum(not node.container for node in cluster.nodes)
    assert len(nodes_in_reach(pods).silent) == NODES
    workloads = stack_of(cluster, WORKLOADS, deployed=False).workloads()
    assert sum(len(running(cluster, each, ready=True)) for each in workloads) == PODS


def test_connections_to_fake_pods_are_unknown(cluster: KindCluster, pods: Pool) -> None:
    """Silence of 500 nodes and 5,000 pods is no policy's work, while the real pod beside them is known to be blocked."""
    found = survey(cluster, stack_of(cluster, REAL | WORKLOADS, deployed=False), pods)
    told = verdicts(found, WORKLOADS)
    assert {"unknown"} == set(told)
    assert told["unknown"] >= PODS
    assert found.between("elsewhere", "real/web", 8980).is_blocked()
    fake = next(iter(WORKLOADS))
    with pytest.raises(ProbeError, match="can't be told"):
        bool(found.between("elsewhere", fake).is_blocked())
    assert "unknown" in {cell.verdict for cell in found.between("elsewhere", "node/fake-0")}
    assert "blocked" not in {cell.verdict for cell in found.cells() if cell.destination.name.startswith("node/fake-")}
    assert len(found.notes) < NOTES, "\n".join(found.notes)
    assert max(map(len, found.notes)) < 1000


def test_workloads_on_fake_nodes_send_nothing(cluster: KindCluster, pods: Pool) -> None:
    """A twin that is placed on such a node is given up at once; what it could reach is unknown."""
    found = survey(cluster, stack_of(cluster, REAL | ONE, deployed=True), pods)
    (fake,) = ONE
    sent = Counter(cell.verdict for cell in found.cells() if cell.origin.name in {f"{fake}/{app}" for app in ONE[fake]})
    assert {"unknown"} == set(sent)
    assert {"unknown"} == set(verdicts(found, ONE))
    assert found.between("elsewhere", "real/web", 8980).is_blocked()


def test_a_blast_radius_is_not_conclusive(cluster: KindCluster, pods: Pool) -> None:
    """The walk ends, and tells that it does not know what lies behind nodes that answer nobody."""
    stack = stack_of(cluster, REAL | ONE, deployed=True)
    walk, workloads = BlastRadius(cluster, stack, pods), {each.namespace: each for each in stack.workloads()}
    graph = walk(workloads["real"])
    assert not graph.conclusive
    assert any(f"{NODES} nodes whose kubelets answer nobody" in bound for bound in graph.bounds)
    with pytest.raises(ProbeError, match="whose kubelet answers nobody"):
        walk(workloads[next(iter(ONE))])


@pytest.mark.parametrize("name", OF_PODS + AT_NODES)
def test_no_control_of_a_stack_holds_for_fake_pods(cluster: KindCluster, pods: Pool, name: str) -> None:
    """Not even where some of its pods are real."""
    assert judged(name, stack_of(cluster, REAL | ONE, deployed=True), cluster, pods) is not Verdict.HELD


@pytest.mark.parametrize("name", ["wl-netraw", "wl-privilege", "wl-seccomp", "net-ingress-deny"])
def test_a_stack_without_fake_pods_is_judged_as_ever(cluster: KindCluster, pods: Pool, name: str) -> None:
    """Fake nodes beside it change nothing."""
    assert judged(name, stack_of(cluster, REAL, deployed=True), cluster, pods) is Verdict.HELD


@pytest.mark.parametrize("name", AT_NODES)
def test_what_asks_all_nodes_does_not_hold(cluster: KindCluster, pods: Pool, name: str) -> None:
    """Whatever stands on them."""
    assert judged(name, stack_of(cluster, REAL, deployed=True), cluster, pods) is not Verdict.HELD
