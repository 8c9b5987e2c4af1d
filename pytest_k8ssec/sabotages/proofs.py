"""Proofs that a sabotage took effect: what a process of the control plane runs with, and which objects were changed."""

from __future__ import annotations

from dataclasses import replace

from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.evidence.causes import ObjectName
from pytest_k8ssec.facts.node import argument_evidence, arguments, control_planes

_KEY = "changed"


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


def changing(proof: Evidence, *objects: ObjectName) -> Evidence:
    """The evidence that a sabotage took effect, with the objects by which it did: whom its control has to blame, and no others."""
    return replace(proof, facts={**proof.facts, _KEY: [*changed_by(proof), *(str(each.whole) for each in objects)]})


def changed_by(proof: Evidence) -> list[str]:
    """The objects that a sabotage's evidence names, as ``kind namespace/name``; [] where it names none."""
    return list(proof.facts.get(_KEY, ()))


def object_of(manifest: Body) -> ObjectName:
    """The name of a manifest's object."""
    meta = manifest["metadata"]
    return ObjectName(manifest["kind"], meta["name"], meta.get("namespace") or "")
