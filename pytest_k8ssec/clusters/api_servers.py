"""The API servers of a cluster, each asked by itself.

Each has flags, files and logs of its own: its authorizers, its admission plugins and their exemptions, its audit policy. Where
there are several, a balancer stands before them, and a request that goes there says nothing of the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.clusters.ports import API_SERVER_PORT
from pytest_k8ssec.errors import ClusterError

_SECONDS = 5
_ALIVE = "/livez"


class HasApi(Protocol):
    """What can be asked: a cluster, or one of its API servers."""

    @property
    def api(self) -> KubeApi:
        """Our client."""


@dataclass(frozen=True, slots=True)
class ApiServer:
    """One API server, and our client of it."""

    name: str
    """The node that it is on; the URL where nodes tell of none, as on a managed cluster."""
    api: KubeApi
    words: str = ""
    """To stand behind what is attacked there; "" where there is no other one."""


def api_servers(cluster: Cluster) -> tuple[tuple[ApiServer, ...], dict[str, str]]:
    """The API servers of a cluster that answer us one by one. A single one is asked as ever.

    Returns:
        those that answer; and why others do not, by the names of their nodes. Where none answers by itself, the first part
        is whichever is behind the cluster's URL.
    """
    nodes = [node for node in cluster.nodes if node.control_plane]
    if len(nodes) < 2:
        return (ApiServer(nodes[0].name if nodes else cluster.api.server, cluster.api),), {}
    found: list[ApiServer] = []
    silent: dict[str, str] = {}
    for node in nodes:
        server = ApiServer(node.name, cluster.api.at(_url(node)), f" at the API server on {node.name}")
        try:
            server.api.call("GET", _ALIVE, deadline=_SECONDS)
        except ClusterError as error:
            silent[node.name] = error.message
        else:
            found.append(server)
    return tuple(found) or (ApiServer(cluster.api.server, cluster.api),), silent


def _url(node: Node) -> str:
    host = f"[{node.address}]" if ":" in node.address else node.address
    return f"https://{host}:{API_SERVER_PORT}"
