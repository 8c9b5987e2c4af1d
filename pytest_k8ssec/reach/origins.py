"""The places that a survey sends from: twins and pods of ours, nodes, the outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pytest_k8ssec.agent.vantage import NetworkVantage
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import NoAccess, ProbeError
from pytest_k8ssec.evidence import Source
from pytest_k8ssec.facts.policies import End, Peer
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.pods.manifests import CANARY_PORT, PodSpec
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.reach.measure import Dial
from pytest_k8ssec.reach.places import ELSEWHERE, NODE, OUTSIDE, PURPOSE, Origin
from pytest_k8ssec.stack import Stack, Workload

_TOGETHER = 8
"""Pods that are asked for at the same time."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A place where no probe can run: nothing is known from there."""

    source: Source
    why: str

    def execute(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Completed:  # noqa: ARG002 - as a Vantage
        """Raises ProbeError, always."""
        raise ProbeError(self.why)


def pods_to_send_from(
    pool: Pool,
    stack: Stack,
    workloads: Sequence[Workload],
    labels: Mapping[str, Mapping[str, str]],
    notes: list[str],
) -> Iterator[Origin]:
    """Twins of the workloads and bare pods beside them, if this run deployed the stack; a pod in a foreign namespace.

    A pod that can't be made is noted, and nothing is known from there.
    """
    home = pool.namespace(PURPOSE)
    wanted: list[tuple[str, PodSpec, Peer]] = []
    if stack.deployed:
        # By no name: a Deployment and a Job may have one in common, and each sends.
        wanted += [
            (
                workload_name(each),
                PodSpec(each.namespace, template=each.template, purpose="twin"),
                Peer(each.namespace, labels[each.namespace], each.labels),
            )
            for each in workloads
        ]
        with_pods = dict.fromkeys(each.namespace for each in workloads)
        wanted += [(f"{name}/*", PodSpec(name, purpose=PURPOSE), Peer(name, labels[name], {})) for name in with_pods]
    else:
        notes.append("this run did not deploy the stack: no pod of ours stands in for its workloads and namespaces")
    wanted.append((ELSEWHERE, PodSpec(home, purpose=PURPOSE), Peer(home, labels_of(pool.cluster, home), {})))
    made = _leased(pool, [(name, spec) for name, spec, _ in wanted], notes)
    for (name, spec, peer), got in zip(wanted, made, strict=True):
        if isinstance(got, Missing):
            yield Origin(name, End("", pod=peer), got)
            continue
        in_nodes_network = bool((spec.template or {}).get("spec", {}).get("hostNetwork"))
        end = End(got.address, got.source.node, None if in_nodes_network else peer)
        yield Origin(name, end, got.vantage, Dial(got.address, CANARY_PORT), spec, got.since)


def _leased(pool: Pool, wanted: Sequence[tuple[str, PodSpec]], notes: list[str]) -> list[Pod | Missing]:
    """A pod for each, side by side; where one of them is refused, each by itself, so that the others are had."""
    try:
        return list(pool.lease(*(spec for _, spec in wanted)))
    except (ProbeError, NoAccess):
        # Side by side as well: it may be refused after a minute only, and so may many.
        with ThreadPoolExecutor(_TOGETHER) as threads:
            found = list(threads.map(lambda one: _one(pool, *one), wanted))
    notes += [f"from {each.source.name} nothing is known: {each.why}" for each in found if isinstance(each, Missing)]
    return found


def _one(pool: Pool, name: str, spec: PodSpec) -> Pod | Missing:
    try:
        return pool.lease(spec)[0]
    except (ProbeError, NoAccess) as error:
        return Missing(Source("pod", name), error.message)


def machines(cluster: Cluster) -> Iterator[Origin]:
    """The nodes that can be entered, and the outside."""
    for node in cluster.nodes:
        if node.container:
            yield Origin(f"{NODE}/{node.name}", End(node.address, node.name), NetworkVantage(cluster, node))
    yield Origin(OUTSIDE, End(""), NetworkVantage(cluster, None))


def workload_name(workload: Workload) -> str:
    """``namespace/name``: its name in a survey."""
    return f"{workload.namespace}/{workload.name}"


def labels_of(cluster: Cluster, namespace: str) -> Mapping[str, str]:
    """Labels of a namespace. Raises ClusterError."""
    found: Mapping[str, str] = cluster.api.get(f"/api/v1/namespaces/{namespace}")["metadata"].get("labels", {})
    return found
