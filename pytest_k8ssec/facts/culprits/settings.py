"""Settings of the cluster's own programs, as they run: a kubelet's configuration, and the flags of the others."""

from __future__ import annotations

from typing import Final

from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.evidence import JSON
from pytest_k8ssec.evidence.causes import Culprit, ObjectName, Setting
from pytest_k8ssec.facts.culprits.fields import wrong_in
from pytest_k8ssec.facts.node import arguments, control_planes
from pytest_k8ssec.plain import few

KUBELET: Final = "kubelet"
_LISTS: Final = frozenset({"enable-admission-plugins", "authorization-mode", "tls-cipher-suites"})
_NOTHING: Final = (0, "")
"""What a configuration has where a setting is off, and leaves out elsewhere."""


def runs_with(cluster: Cluster, cause: Setting) -> tuple[list[Culprit], str]:
    """The setting, and on which nodes it is so; where it is so on none, that says so.

    Raises:
        ProbeError: a process did not tell its flags.
        ClusterError: the API server did not answer.
    """
    nodes = [*cluster.nodes] if cause.component == KUBELET else control_planes(cluster)
    found: dict[tuple[str, str], list[str]] = {}
    for node in nodes:
        running = (
            _configuration(cluster, node) if cause.component == KUBELET else _flags(cluster, node, cause.component)
        )
        for where, how in wrong_in(running, cause.check):
            found.setdefault((where, how), []).append(node.name)
    culprits = [
        Culprit(ObjectName("Setting", cause.component, field=where), f"{how} on {few(on)}")
        for (where, how), on in found.items()
    ]
    return culprits, "" if culprits else f"{cause.component}: runs with no setting that explains this"


def _configuration(cluster: Cluster, node: Node) -> JSON:
    """A kubelet's own, as the API server's proxy gets it; what is off is left out."""
    whole = cluster.api.get(f"/api/v1/nodes/{node.name}/proxy/configz")["kubeletconfig"]
    return {key: value for key, value in whole.items() if value is False or value not in _NOTHING}


def _flags(cluster: Cluster, node: Node, process: str) -> JSON:
    given = arguments(cluster, node, process)
    return {key: value.split(",") if key in _LISTS else value for key, value in given.items()}
