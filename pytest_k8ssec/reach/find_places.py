"""Finds the places of a cluster that reachability is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.facts.listening_ports import Port, listening_ports, running
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.reach.destinations import addresses_of, dialled, nodes_to_reach, pods_to_reach, services
from pytest_k8ssec.reach.measure import Dial
from pytest_k8ssec.reach.origins import labels_of, machines, pods_to_send_from, workload_name
from pytest_k8ssec.reach.places import Places
from pytest_k8ssec.reach.pod_identity import life, newest
from pytest_k8ssec.stack import Stack, Workload


def census(cluster: Cluster, stack: Stack, pool: Pool) -> Places:
    """The stack's workloads and Services, its namespaces, the nodes and the outside.

    Raises:
        ClusterError, StackError: the API server did not answer as it should.
        ProbeError: what listens can't be found out, or a pod of the stack does not run.
    """
    workloads = stack.workloads()
    labels = {name: labels_of(cluster, name) for name in stack.namespaces}
    notes: list[str] = []
    pods = _pods(cluster, workloads, notes)
    everyone = [pod for found in pods.values() for pod in found]
    ports = listening_ports(cluster, everyone)
    policies = cluster.api.list("/apis/networking.k8s.io/v1/networkpolicies")
    origins = (*pods_to_send_from(pool, stack, workloads, labels, notes), *machines(cluster))
    destinations = (
        *pods_to_reach(cluster, pods, ports, labels, notes),
        *services(cluster, stack, pods, ports, labels, notes),
        *nodes_to_reach(cluster),
    )
    return Places(
        origins,
        destinations,
        tuple(policies),
        tuple(notes),
        _lives(everyone, ports),
        max(newest([*everyone, *policies]), *(each.since for each in origins)),
    )


def _pods(cluster: Cluster, workloads: Sequence[Workload], notes: list[str]) -> dict[str, list[Body]]:
    """Each workload's running pods by its name, which a Deployment and a Job may have in common."""
    found: dict[str, list[Body]] = {}
    for each in workloads:
        pods = running(cluster, each, ready=True)
        if not pods:
            notes.append(f"to {each} nothing is sent: no pod of it runs")
        found.setdefault(workload_name(each), []).extend(pods)
    return found


def _lives(pods: Iterable[Body], ports: Mapping[str, Sequence[Port]]) -> dict[Dial, frozenset[str]]:
    found: dict[Dial, frozenset[str]] = {}
    for pod in pods:
        for port, protocol in ports[pod["metadata"]["uid"]]:
            for address in addresses_of(pod):
                dial = dialled(address, port, protocol)
                # Pods in their node's network have its address in common.
                found[dial] = found.get(dial, frozenset()) | {life(pod)}
    return found
