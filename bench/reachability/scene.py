"""The pods that are measured: cyclonus' own, with a Python beside its program, and policies that deny a third of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.fetch import binary
from bench.reachability import cyclonus
from bench.reachability.size import Size
from pytest_k8ssec.errors import CommandError
from pytest_k8ssec.machine import docker
from pytest_k8ssec.machine.process import run

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.kind import KindCluster

REGISTRY = "docker.io/k8ssec"
"""What cyclonus is told to take its image from; nothing is pulled."""
_IMAGE = f"{REGISTRY}/{cyclonus.IMAGE}"
_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Stand:
    """One pod that is there: a source and a target."""

    key: str
    """``namespace/name``."""
    address: str
    node: str
    container: str
    """One of its containers, to run a command in."""
    denied: bool
    """Whether a policy lets nobody else in."""

    def to_json(self) -> dict[str, Any]:
        """For a process that measures."""
        return asdict(self)


def give_image(cluster: KindCluster, kind: Path) -> None:
    """Bring the probe image with cyclonus' program in it to the nodes, under the name that cyclonus asks for.

    Raises:
        CommandError: docker or kind refused.
    """
    tag = _IMAGE.removeprefix("docker.io/")
    if docker.has_image(tag):
        raise CommandError(f"image {tag}: is there already, and is not ours to replace", fix=f"docker rmi {tag}")
    made = docker.docker("create", "--pull", "never", cluster.image.reference).text.strip()
    try:
        docker.docker("cp", str(binary("agnhost")), f"{made}:/agnhost", deadline=_SECONDS)
        docker.docker("commit", "--change", 'ENTRYPOINT ["/agnhost"]', made, tag, deadline=_SECONDS)
    finally:
        docker.docker("rm", "--force", made)
    try:
        run([str(kind), "load", "docker-image", tag, "--name", cluster.name], deadline=_SECONDS)
    finally:
        docker.docker("rmi", tag)


@contextmanager
def pods(cluster: KindCluster, size: Size) -> Iterator[list[Stand]]:
    """Pods of one size, made by cyclonus itself, a third of them closed by policies; gone afterwards.

    Raises:
        CommandError: cyclonus failed, or its pods were not running in time.
    """
    try:
        cyclonus.set_up(cluster.kubeconfig, size, REGISTRY)
        denied = set(size.keys[::3])
        for namespace in size.namespace_names:
            names = [key.partition("/")[2] for key in denied if key.startswith(f"{namespace}/")]
            cluster.api.create(_deny(namespace, sorted(names)))
        yield _standing(cluster, size, denied)
    finally:
        for namespace in size.namespace_names:
            cluster.api.delete(f"/api/v1/namespaces/{namespace}")
        for namespace in size.namespace_names:
            cluster.api.wait(
                "/api/v1/namespaces", namespace, lambda found: found is None, deadline=_SECONDS,
                what=f"namespace {namespace}: does not go",
            )  # fmt: skip


def _deny(namespace: str, names: Sequence[str]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "a-third-is-closed", "namespace": namespace},
        "spec": {
            "podSelector": {"matchExpressions": [{"key": "pod", "operator": "In", "values": list(names)}]},
            "policyTypes": ["Ingress"],
        },
    }


def _standing(cluster: KindCluster, size: Size, denied: set[str]) -> list[Stand]:
    found = {}
    for namespace in size.namespace_names:
        for pod in cluster.api.list(f"/api/v1/namespaces/{namespace}/pods"):
            key = f"{namespace}/{pod['metadata']['name']}"
            container = pod["spec"]["containers"][0]["name"]
            found[key] = Stand(key, pod["status"]["podIP"], pod["spec"]["nodeName"], container, key in denied)
    return [found[key] for key in size.keys]
