"""Removes what a killed run left on a cluster that is not its own: objects with the recorded uids, and nothing else."""

from __future__ import annotations

from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.machine import docker
from pytest_k8ssec.machine.ledger import Recorded


def take_back(entry: Recorded) -> list[str]:
    """Delete the objects that a dead run had made on somebody else's cluster, as far as they are there.

    Returns:
        their paths, without those that were deleted with their namespace.

    Raises:
        ToolMissing, CommandError: docker did not answer.
        ClusterError: the cluster exists, and did not delete one.
    """
    removed = []
    for cluster in dict.fromkeys(each.cluster for each in entry.objects):
        if not _is_there(cluster, entry):
            continue
        api = KubeApi(entry.run.directory / "cluster" / "kubeconfig")
        gone: list[str] = []
        # A namespace first: with it goes what is in it.
        for each in sorted(
            (one for one in entry.objects if one.cluster == cluster), key=lambda one: one.path.count("/")
        ):
            if not any(each.path.startswith(f"{path}/") for path in gone) and api.delete(
                each.path, uid=each.uid, grace=0
            ):
                gone.append(each.path)
        removed += gone
    return removed


def _is_there(cluster: str, entry: Recorded) -> bool:
    """Whether the cluster is still the one that the run used: it may have been made anew under its name since."""
    nodes = docker.described(each.id for each in docker.of_cluster(cluster))
    return any(node.created < entry.started for node in nodes)
