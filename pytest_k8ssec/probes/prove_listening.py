"""Proves that targets listen at this moment: from a workload that the policies let in, else from the target's node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pytest_k8ssec.agent.vantage import NetworkVantage, Vantage, probe
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.facts.listening_ports import Target
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.stack import Workload


def prove_listening(
    cluster: Cluster,
    wanted: Sequence[Target],
    clients: Mapping[Target, Workload],
    twin: Callable[[Workload], Pod],
) -> dict[Target, Evidence]:
    """Connect to each target from where that is allowed, or ask it for an answer; one exec for each place.

    Args:
        clients: a workload that the policies let in, for the targets that have one.
        twin: makes a pod with a workload's identity.

    Returns:
        the evidence by target; ``Outcome.OPEN`` where it is proven.

    Raises:
        ProbeError: an exec broke.
    """
    proven: dict[Target, Evidence] = {}
    by_client: dict[tuple[str, str], list[Target]] = {}
    for target, workload in clients.items():
        by_client.setdefault((workload.namespace, workload.name), []).append(target)
    for group in by_client.values():
        try:
            client = twin(clients[group[0]])
        except ProbeError:
            continue  # where no twin may stand, the node has to do
        proven |= _connect(client.vantage, group)
    rest = [target for target in wanted if target not in proven or proven[target].outcome is not Outcome.OPEN]
    for node in cluster.nodes:
        if here := [target for target in rest if target.node == node.name]:
            proven |= _connect(NetworkVantage(cluster, node), here)
    return proven


def _connect(vantage: Vantage, group: Sequence[Target]) -> dict[Target, Evidence]:
    answers = probe(vantage, [target.task for target in group])
    return dict(zip(group, answers, strict=True))
