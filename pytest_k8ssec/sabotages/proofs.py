"""Proofs that a changed argument took effect: what a process of the control plane runs with."""

from __future__ import annotations

from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.facts.node import argument_evidence, arguments, control_planes


def unset(cluster: Cluster, process: str, name: str, *also: str) -> Evidence:
    """Proof of a sabotage: a process of the control plane runs without an argument; ``also`` names others to show.

    Raises:
        SabotageError: the argument is set.
        ProbeError: no such process runs.
    """
    (node, *_) = control_planes(cluster)
    if arguments(cluster, node, process).get(name):
        raise SabotageError(f"{process}: still runs with --{name}")
    return argument_evidence(cluster, node, process, name, *also)


def set_to(cluster: Cluster, process: str, name: str, value: str) -> Evidence:
    """Proof of a sabotage: a process of the control plane runs with an argument of that value.

    Raises:
        SabotageError: it does not.
        ProbeError: no such process runs.
    """
    (node, *_) = control_planes(cluster)
    if arguments(cluster, node, process).get(name) != value:
        raise SabotageError(f"{process}: does not run with --{name}={value}")
    return argument_evidence(cluster, node, process, name)


def without_plugin(cluster: Cluster, plugin: str) -> Evidence:
    """Proof of a sabotage: the API server runs without an admission plugin.

    Raises:
        SabotageError: the plugin is enabled.
        ProbeError: no API server runs.
    """
    (node, *_) = control_planes(cluster)
    if plugin in arguments(cluster, node, "kube-apiserver").get("enable-admission-plugins", ""):
        raise SabotageError(f"kube-apiserver: still runs with {plugin}")
    return argument_evidence(cluster, node, "kube-apiserver", "enable-admission-plugins")
