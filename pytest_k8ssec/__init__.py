"""pytest-k8ssec: security properties of a Kubernetes cluster and of a Pulumi stack, asserted by active probes.

What tests name is here; each is imported from where it stands once it is first asked for, as every pytest run imports
this package::

    from pytest_k8ssec import Judge, Outcome, Stack, Tcp

What declares a control is in ``pytest_k8ssec.control``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.interface import Cluster, Node
    from pytest_k8ssec.evidence import Evidence, Outcome
    from pytest_k8ssec.probes.pool import Pod, Pool
    from pytest_k8ssec.probes.tasks import Http, Tcp, Tokens, Udp
    from pytest_k8ssec.reach.matrix import Reachability
    from pytest_k8ssec.stack import Secret, ServiceAccount, Stack, Workload
    from pytest_k8ssec.verdict import Judge, Verdict

_HOMES = {
    "clusters.interface": ("Cluster", "Node"),
    "evidence": ("Evidence", "Outcome"),
    "probes.pool": ("Pod", "Pool"),
    "probes.tasks": ("Http", "Tcp", "Tokens", "Udp"),
    "reach.matrix": ("Reachability",),
    "stack": ("Secret", "ServiceAccount", "Stack", "Workload"),
    "verdict": ("Judge", "Verdict"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Cluster",
    "Evidence",
    "Http",
    "Judge",
    "Node",
    "Outcome",
    "Pod",
    "Pool",
    "Reachability",
    "Secret",
    "ServiceAccount",
    "Stack",
    "Tcp",
    "Tokens",
    "Udp",
    "Verdict",
    "Workload",
]


def __getattr__(name: str) -> object:
    """A public name, from the module that defines it."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
