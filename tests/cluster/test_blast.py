"""The attack graph on real clusters: the insecure stack's way to cluster-admin, and what is told of a wider radius."""

from __future__ import annotations

import json
import secrets
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_k8ssec.attack import baseline
from pytest_k8ssec.attack.baseline import Baseline
from pytest_k8ssec.attack.findings import findings
from pytest_k8ssec.attack.further import edges_of_kubelet
from pytest_k8ssec.attack.graph import Graph, Status
from pytest_k8ssec.attack.meter import Bounds, Meter
from pytest_k8ssec.attack.placement import Scene
from pytest_k8ssec.attack.radius import BlastRadius
from pytest_k8ssec.attack.rights import IdentitySuspect
from pytest_k8ssec.attack.weak_pod import shows_the_way
from pytest_k8ssec.clusters.kind import KindCluster
from pytest_k8ssec.clusters.rbac_objects import rule
from pytest_k8ssec.controls.blast.radius import node_taken
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.identities import certificate_holder
from pytest_k8ssec.sabotages.grants import granted
from pytest_k8ssec.stack import ServiceAccount, Stack
from tests.cluster.harness import Place

ROOT = Path(__file__).parents[2]
_SECONDS = 60
_HOST = 7
_ALL_SECONDS = 90


def test_insecure_stack_leads_to_cluster_admin(place: Place) -> None:
    """``k8ssec blast`` finds a way from the reporter over proven edges alone, shows it, and leaves nothing behind."""
    place.thaws = True
    run = place.k8ssec(
        "blast",
        "batch/reporter",
        f"--stack={ROOT / 'stacks' / 'insecure'}",
        "--config=platform:image={probe_image}",
        "--secret=platform:paymentsApiKey=BANK_KEY",
        "--json=blast.json",
        "--html=blast.html",
        "--svg=blast.svg",
        environ={"BANK_KEY": (key := secrets.token_hex(16))},
    )
    assert 1 == run.end(400), run.output
    assert "cluster-admin: within reach, proven live" in run.output
    graph = json.loads((place.project / "blast.json").read_text())
    links = {f"{link['key']}: {link['source']} -> {link['target']}": link for link in graph["links"]}
    path = [links[name] for name in graph["graph"]["path"]]
    assert {"proven-live"} == {link["status"] for link in path}
    assert ["enter", "token-steal", "permission-discover", "role-bind"] == [link["key"] for link in path]
    assert graph["graph"]["conclusive"]
    assert graph["graph"]["seconds"] < _SECONDS
    assert graph["graph"]["cut"]
    assert "cluster-admin" not in _reached(graph["graph"]["start"], links, without=set(graph["graph"]["cut"]))
    for name in ("blast.json", "blast.html", "blast.svg"):
        text = (place.project / name).read_text()
        assert key not in text
        assert "eyJ" not in text
    assert place.run() is None


def _reached(start: str, links: dict[str, dict[str, Any]], without: set[str]) -> set[str]:
    """What open links lead to, some of them cut."""
    left = [
        link for name, link in links.items() if name not in without and link["status"] in ("proven-live", "inferred")
    ]
    found: set[str] = set()
    more = {start}
    while more:
        found |= more
        more = {link["target"] for link in left if link["source"] in found} - found
    return found


def test_hardened_stack_stays_within_its_baseline(cluster: KindCluster, stack: Stack, pool: Pool) -> None:
    """No workload has a way to cluster-admin, none is unknown, all are what the committed file says, in time."""
    agreed = baseline.read_baseline(ROOT / "stacks" / "hardened" / baseline.NAME)
    assert agreed is not None
    started = time.monotonic()
    blast = BlastRadius(cluster, stack, pool, agreed)
    blast.prepare(stack.workloads())
    for workload in stack.workloads():
        name = f"{workload.namespace}/{workload.name}"
        graph = blast(workload)
        assert graph.conclusive
        assert () == graph.path()
        assert set(agreed.edges[name]) == {edge.id for edge in graph.gains}
        assert {False} == {finding.through for finding in findings(name, graph, agreed)}
        for canary in blast.shown(workload):
            assert shows_the_way(canary)
    assert time.monotonic() - started < _ALL_SECONDS


def test_a_wider_radius_is_named_edge_by_edge(cluster: KindCluster, stack: Stack, pool: Pool) -> None:
    """A right that is granted later is a new edge, with what it leads to; taken away again, the radius is as before."""
    workload = next(each for each in stack.workloads() if each.name == "reporter")
    before = BlastRadius(cluster, stack, pool)(workload)
    agreed = Baseline().with_graph("batch/reporter", before)
    with granted(cluster, ServiceAccount("batch", "reporter"), rule("create", "pods/exec"), namespace="payments"):
        pool.refresh()
        during = BlastRadius(cluster, stack, pool)(workload)
    pool.refresh()
    after = BlastRadius(cluster, stack, pool)(workload)
    assert {
        "pod-exec: permissions:system:serviceaccount:batch:reporter -> pod:payments/api",
        "pod-exec: permissions:system:serviceaccount:batch:reporter -> pod:payments/ledger",
        "secret-volume: volume:payments/api/secret -> secret:payments/bank-api-key",
    } <= _new(during, agreed)
    assert {Status.PROVEN} == {edge.status for edge in during.radius if edge.kind.name == "pod-exec"}
    assert set() == _new(after, agreed)


def test_who_commands_kubelets_has_the_nodes(cluster: KindCluster, stack: Stack, pool: Pool) -> None:
    """Over pods that own theirs, and by that the cluster: `create` on nodes/proxy is enough, and nothing is forgotten unasked."""
    workload = next(each for each in stack.workloads() if each.name == "reporter")
    blast = BlastRadius(cluster, stack, pool)
    assert not blast(workload).is_admin
    with granted(cluster, ServiceAccount("batch", "reporter"), rule("create", "nodes/proxy")):
        assert not blast(workload).is_admin  # what was found out is kept, until it is to be forgotten
        blast.forget()
        graph = blast(workload)
    assert len(cluster.nodes) == graph.metrics["nodes"]
    assert ["kubelet-exec", "placement", "pod-owns", "control-plane"] == [edge.kind.name for edge in graph.path()][-4:]


def test_who_makes_pods_and_lowers_their_level_has_the_nodes(cluster: KindCluster, stack: Stack, pool: Pool) -> None:
    """Pod Security refuses a privileged pod as long as nobody undoes it: a patch of the namespace's status is enough."""
    workload, account = (
        next(each for each in stack.workloads() if each.name == "reporter"),
        ServiceAccount("batch", "reporter"),
    )
    makes, relabels = rule("create", "pods"), rule("patch", "namespaces/status")
    with granted(cluster, account, makes, namespace="batch"):
        assert 0 == BlastRadius(cluster, stack, pool)(workload).metrics["nodes"]
        with granted(cluster, account, relabels, namespace="batch"):
            graph = BlastRadius(cluster, stack, pool)(workload)
    assert len(cluster.nodes) == graph.metrics["nodes"]
    assert "power:undo a namespace's Pod Security level, in batch" in {each.id for each in graph.reached}


def test_who_holds_a_kubelets_certificate_has_what_its_pods_have(cluster: KindCluster, pool: Pool) -> None:
    """As the Node authorizer says: the accounts and Secrets of the pods on that node, and no others."""
    node = cluster.nodes[-1]
    pem = cluster.on_node(node, ["cat", "/var/lib/kubelet/pki/kubelet-client-current.pem"]).stdout.decode()
    user = f"system:node:{node.name}"
    identity, scene = certificate_holder(cluster.api, pem, user), Scene(cluster, ("default",))
    edges = [*edges_of_kubelet(IdentitySuspect(identity, scene, Meter(Bounds(per_second=50))))]
    assert edges
    assert {True} == {edge.open for edge in edges}
    elsewhere = next(each for each in cluster.nodes if each is not node)
    its = {edge.target.name for edge in edges}
    others = {pod.runs_as for pod in scene.pods_on(scene.short(elsewhere.name))} - its
    suspect = IdentitySuspect(identity, scene, Meter(Bounds(per_second=50)))
    for account in others:
        _, _, namespace, name = account.split(":")
        told = suspect.may("create", "serviceaccounts/token", namespace=namespace, name=name)
        assert Outcome.DONE is not told.outcome
    assert others


def test_a_workload_that_takes_its_node_is_seen_to(cluster: KindCluster, stack: Stack, pool: Pool) -> None:
    """Each way out that the sabotage opens is an edge: some proven, some inferred, and they lead on."""
    with contextmanager(node_taken)(cluster, stack):
        pool.refresh()
        weak = next(each for each in stack.workloads() if each.template["spec"].get("hostPID"))
        graph = BlastRadius(cluster, stack, pool)(weak)
        ways = {edge.kind.name: edge.status for edge in graph.radius if edge.kind.order == _HOST}
    pool.refresh()
    proven = ("host-read", "host-write", "token-paths", "cri-socket", "host-namespace")
    inferred = ("nsenter", "ptrace", "privileged-mount", "module-load", "core-pattern")
    assert dict.fromkeys(proven, Status.PROVEN) | dict.fromkeys(inferred, Status.INFERRED) == ways
    assert 1 == graph.metrics["nodes"]


def _new(graph: Graph, agreed: Baseline) -> set[str]:
    change = agreed.change("batch/reporter", graph)
    assert change is not None
    return set(change.wider)
