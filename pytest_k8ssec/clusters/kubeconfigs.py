"""The administrator's kubeconfig of a kind cluster, without kind: that takes a dozen calls of docker for it."""

from __future__ import annotations

import json

import yaml

from pytest_k8ssec.clusters.ports import API_SERVER_PORT
from pytest_k8ssec.errors import ClusterError, CommandError
from pytest_k8ssec.errors.yaml_text import NotYaml, load_yaml
from pytest_k8ssec.machine import docker

ADMIN_FILE = "/etc/kubernetes/admin.conf"
"""Where kubeadm leaves it on a control plane."""


def kubeconfig_of(cluster: str) -> str:
    """That of a cluster that is there; "" where only kind can tell.

    It has several control planes, or does not run, or its control plane has a kubeconfig of another form.

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
    except (CommandError, ClusterError):
        return ""


def published(container: str) -> str:
    """Where this machine reaches the API server of a container, as ``host:port``.

    Raises:
        ClusterError: it publishes none.
        CommandError: it is not there.
    """
    told = docker.docker("inspect", "--format", "{{json .NetworkSettings.Ports}}", container).text
    bindings = (json.loads(told) or {}).get(f"{API_SERVER_PORT}/tcp")
    if not bindings:
        raise ClusterError(f"container {container}: publishes no port {API_SERVER_PORT}")
    host, port = bindings[0]["HostIp"], bindings[0]["HostPort"]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def as_kind_names(told: str, cluster: str, endpoint: str) -> str:
    """A kubeconfig that kubeadm wrote, as ``kind get kubeconfig`` gives it.

    Args:
        told: what counts of it is its current context.
        cluster: kind's name of it.
        endpoint: host and port of its API server, as this machine reaches it.

    Raises:
        ClusterError: it is none. Not a word of it is quoted: it may be a key's.
    """
    try:
        read = load_yaml(told)
        clusters, users, contexts = (
            {each["name"]: each[one] for each in read[f"{one}s"]} for one in ("cluster", "user", "context")
        )
        context = contexts[read["current-context"]]
        server, user = {**clusters[context["cluster"]], "server": f"https://{endpoint}"}, users[context["user"]]
    except (NotYaml, LookupError, TypeError, ValueError):
        raise ClusterError(f"cluster {cluster}: the administrator's kubeconfig of its control plane is none") from None
    named = f"kind-{cluster}"
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": named, "cluster": server}],
            "users": [{"name": named, "user": user}],
            "contexts": [{"name": named, "context": {"cluster": named, "user": named}}],
            "current-context": named,
        }
    )
