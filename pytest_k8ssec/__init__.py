"""pytest-k8ssec: security properties of a Kubernetes cluster and of a Pulumi stack, asserted by active probes.

The names that your tests and controls may import are here, and stay; every other module is private, and may change
in any release. A name's module is imported only when the name is first used, because every pytest run imports this
package::

    from pytest_k8ssec import Judge, Severity, Tcp, blocked, control
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_k8ssec.agent.tasks import Http, Privileges, Resolve, Tcp, Tokens, Udp
    from pytest_k8ssec.agent.vantage import NetworkVantage
    from pytest_k8ssec.attack.radius import BlastRadius
    from pytest_k8ssec.catalogue.control import Severity, control, sabotage
    from pytest_k8ssec.clusters.interface import Cluster, Node
    from pytest_k8ssec.clusters.kindconfig import KindConfig
    from pytest_k8ssec.errors import ClusterError, K8ssecError, NoAccess, ProbeError, SabotageError
    from pytest_k8ssec.evidence import JSON, Evidence, Outcome, Source, blocked, got_through
    from pytest_k8ssec.facts.node_host import NodeHost
    from pytest_k8ssec.pods.manifests import PodSpec
    from pytest_k8ssec.pods.pool import Attacker, Pod, Pool
    from pytest_k8ssec.reach.finding import Finding
    from pytest_k8ssec.reach.matrix import Reachability
    from pytest_k8ssec.reach.propagation import propagation
    from pytest_k8ssec.reach.survey import survey
    from pytest_k8ssec.stack import Secret, ServiceAccount, Stack, Workload
    from pytest_k8ssec.verdict import Case, Judge, Verdict

_HOMES = {
    "agent.tasks": ("Http", "Privileges", "Resolve", "Tcp", "Tokens", "Udp"),
    "agent.vantage": ("NetworkVantage",),
    "attack.radius": ("BlastRadius",),
    "catalogue.control": ("Severity", "control", "sabotage"),
    "clusters.interface": ("Cluster", "Node"),
    "clusters.kindconfig": ("KindConfig",),
    "errors": ("ClusterError", "K8ssecError", "NoAccess", "ProbeError", "SabotageError"),
    "evidence": ("JSON", "Evidence", "Outcome", "Source", "blocked", "got_through"),
    "facts.node_host": ("NodeHost",),
    "pods.manifests": ("PodSpec",),
    "pods.pool": ("Attacker", "Pod", "Pool"),
    "reach.finding": ("Finding",),
    "reach.matrix": ("Reachability",),
    "reach.propagation": ("propagation",),
    "reach.survey": ("survey",),
    "stack": ("Secret", "ServiceAccount", "Stack", "Workload"),
    "verdict": ("Case", "Judge", "Verdict"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "JSON",
    "Attacker",
    "BlastRadius",
    "Case",
    "Cluster",
    "ClusterError",
    "Evidence",
    "Finding",
    "Http",
    "Judge",
    "K8ssecError",
    "KindConfig",
    "NetworkVantage",
    "NoAccess",
    "Node",
    "NodeHost",
    "Outcome",
    "Pod",
    "PodSpec",
    "Pool",
    "Privileges",
    "ProbeError",
    "Reachability",
    "Resolve",
    "SabotageError",
    "Secret",
    "ServiceAccount",
    "Severity",
    "Source",
    "Stack",
    "Tcp",
    "Tokens",
    "Udp",
    "Verdict",
    "Workload",
    "blocked",
    "control",
    "got_through",
    "propagation",
    "sabotage",
    "survey",
]


def __getattr__(name: str) -> object:
    """A public name, from the module that defines it."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
