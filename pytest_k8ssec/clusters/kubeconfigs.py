"""The administrator's kubeconfig of a kind cluster, without kind: that takes a dozen calls of docker for it."""

from __future__ import annotations

import yaml

from pytest_k8ssec.clusters.ports import API_SERVER_PORT
from pytest_k8ssec.errors import CommandError
from pytest_k8ssec.machine import docker

ADMIN_FILE = "/etc/kubernetes/admin.conf"
"""Where kubeadm leaves it on a control plane."""


def kubeconfig_of(cluster: str) -> str:
    """That of a cluster that is there; "" where only kind can tell: it has several control planes, or does not run.

    Raises:
        DaemonGone: docker does not answer any more.
    """
    fronts = [
        each.id
        for each in docker.described(one.id for one in docker.of_cluster(cluster))
        if each.labels.get(docker.KIND_ROLE_LABEL) in ("control-plane", docker.BALANCER_ROLE)
    ]
    if len(fronts) != 1:
        return ""
    try:
        return as_kind_names(docker.docker("exec", fronts[0], "cat", ADMIN_FILE).text, cluster, published(fronts[0]))
    except docker.DaemonGone:
        raise
    except CommandError:
        return ""


def published(container: str) -> str:
    """Where this machine reaches the API server of a container: the first address, where docker publishes several.

    Raises:
        CommandError: it publishes none, or is not there.
    """
    told = docker.docker("port", container, f"{API_SERVER_PORT}/tcp").text.split()
    if not told:
        raise CommandError(f"container {container}: publishes no port {API_SERVER_PORT}")
    return told[0]


def as_kind_names(told: str, cluster: str, endpoint: str) -> str:
    """A kubeconfig that kubeadm wrote, as ``kind get kubeconfig`` gives it.

    Args:
        told: of one cluster and one user.
        cluster: kind's name of it.
        endpoint: host and port of its API server, as this machine reaches it.
    """
    read = yaml.safe_load(told)
    (server,), (user,) = read["clusters"], read["users"]
    named = f"kind-{cluster}"
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": named, "cluster": {**server["cluster"], "server": f"https://{endpoint}"}}],
            "users": [{"name": named, "user": user["user"]}],
            "contexts": [{"name": named, "context": {"cluster": named, "user": named}}],
            "current-context": named,
        }
    )
