"""Finds the places of a cluster that reachability is about."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence

from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.facts.listening_ports import Port, listening_ports, running
from pytest_k8ssec.facts.policy_kinds import OtherPolicies, other_policies
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.reach.destinations import addresses_of, dialled, end_of, nodes_to_reach, pods_to_reach, services
from pytest_k8ssec.reach.measure import Dial
from pytest_k8ssec.reach.origins import labels_of, machines, pods_to_send_from, workload_name
from pytest_k8ssec.reach.places import Destination, Places
from pytest_k8ssec.reach.pod_identity import life, newest
from pytest_k8ssec.reach.sampling import EVERYTHING, Sampling, kin_of, thinned
from pytest_k8ssec.stack import Stack, Workload


def census(cluster: Cluster, stack: Stack, pool: Pool, sampling: Sampling = EVERYTHING) -> Places:
    """The stack's workloads and Services, its namespaces, the nodes and the outside.

    Args:
        sampling: how many pods are too many for all of them to be measured, and how to choose some then.

    Raises:
        ClusterError, StackError: the API server did not answer as it should.
        ProbeError: what listens can't be found out, or a pod of the stack does not run.
    """
    workloads = stack.workloads()
    labels = {name: labels_of(cluster, name) for name in stack.namespaces}
    notes: list[str] = []
    found = _pods(cluster, workloads, notes)
    pods = _by_name(found)
    everyone = [pod for some in pods.values() for pod in some]
    ports = listening_ports(cluster, everyone)
    policies = tuple(cluster.api.list("/apis/networking.k8s.io/v1/networkpolicies"))
    others = _others(cluster, notes)
    many = max(len(everyone), len(workloads)) > sampling.limit
    if many and others:
        notes.append(f"all pods are measured, as classes do not know policies of other kinds: {others}")
        many = False
    sampled = (sampling, policies) if many else None
    origins = (*pods_to_send_from(pool, stack, found, labels, notes, sampled), *machines(cluster))
    destinations: Sequence[Destination] = (
        *pods_to_reach(cluster, pods, ports, labels, notes),
        *services(cluster, stack, pods, ports, labels, notes),
        *nodes_to_reach(cluster),
    )
    lives = _lives(everyone, ports)
    if many:
        destinations = thinned(destinations, policies, _kin(cluster, everyone, labels), lives, sampling)
    return Places(
        origins,
        tuple(destinations),
        policies,
        tuple(notes),
        lives,
        max(
            newest([*everyone, *policies, *(each.body for each in others.admin), *others.objects]),
            *(each.since for each in origins),
        ),
        sampling.seed if many else None,
        others,
    )


def _pods(cluster: Cluster, workloads: Sequence[Workload], notes: list[str]) -> list[tuple[Workload, Sequence[Body]]]:
    """Each workload and its running pods."""
    found: list[tuple[Workload, Sequence[Body]]] = []
    for each in workloads:
        pods = running(cluster, each, ready=True)
        if not pods:
            notes.append(f"to {each} nothing is sent: no pod of it runs")
        found.append((each, pods))
    return found


def _by_name(found: Iterable[tuple[Workload, Sequence[Body]]]) -> dict[str, list[Body]]:
    """The pods by their workload's name, which a Deployment and a Job may have in common."""
    pods: dict[str, list[Body]] = {}
    for each, some in found:
        pods.setdefault(workload_name(each), []).extend(some)
    return pods


def _others(cluster: Cluster, notes: list[str]) -> OtherPolicies:
    """The policies that are no NetworkPolicies; those that are not read are noted."""
    try:
        others = other_policies(cluster.api)
    except ClusterError as error:
        others = OtherPolicies(strange=(f"kinds that can't be listed ({error.message})",))
    if others.strange:
        kinds = ", ".join(others.strange)
        notes.append(f"policies that are not read here may be in force: {kinds}; what policies should give is unknown")
    return others


def _kin(cluster: Cluster, pods: Iterable[Body], labels: Mapping[str, Mapping[str, str]]) -> dict[str, Hashable]:
    """By pod, what a network may treat it by; those are left out that no node shows to listen, and so are measured."""
    entered = {node.name for node in cluster.nodes if node.container}
    return {
        pod["metadata"]["uid"]: kin_of(
            pod["metadata"]["namespace"], [end_of(pod, labels, each) for each in addresses_of(pod)], pod["spec"]
        )
        for pod in pods
        if pod["spec"]["nodeName"] in entered
    }


def _lives(pods: Iterable[Body], ports: Mapping[str, Sequence[Port]]) -> dict[Dial, frozenset[str]]:
    found: dict[Dial, frozenset[str]] = {}
    for pod in pods:
        for port, protocol in ports[pod["metadata"]["uid"]]:
            for address in addresses_of(pod):
                dial = dialled(address, port, protocol)
                # Pods in their node's network have its address in common.
                found[dial] = found.get(dial, frozenset()) | {life(pod)}
    return found
