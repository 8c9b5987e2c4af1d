"""Pods of ours that may do everything, in a namespace that forbids nothing: what a successful attack looks like."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pytest_k8ssec.pods.manifests import ENFORCE, PodSpec

if TYPE_CHECKING:  # the pool itself needs such pods
    from pytest_k8ssec.pods.pool import Pod, Pool

_TEMPLATE: dict[str, Any] = {
    "automountServiceAccountToken": False,
    "hostPID": True,
    "hostIPC": True,
    "tolerations": [{"operator": "Exists"}],
    "volumes": [{"name": "node", "hostPath": {"path": "/"}}],
    "containers": [
        {
            "name": "probe",
            "securityContext": {"privileged": True, "runAsUser": 0},
            "volumeMounts": [{"name": "node", "mountPath": "/node", "mountPropagation": "HostToContainer"}],
        }
    ],
}
"""Not with hostNetwork: its listener would take a port of the node."""


def unrestricted_namespace(pool: Pool) -> str:
    """A namespace of ours that enforces no Pod Security level. Raises ClusterError."""
    return pool.namespace("unrestricted", {ENFORCE: "privileged"})


def unrestricted_template(node: str, account: str = "") -> dict[str, Any]:
    """The pod template of such a pod on a node. It mounts an account's token if an account is named."""
    with_token = {"serviceAccountName": account, "automountServiceAccountToken": True} if account else {}
    return {"spec": {**_TEMPLATE, **with_token, "nodeName": node}}


def unrestricted_pods(pool: Pool, nodes: Iterable[str]) -> dict[str, Pod]:
    """One such pod on each of the nodes, by their names.

    Raises:
        ProbeError: a pod was refused or did not start.
    """
    namespace = unrestricted_namespace(pool)
    specs = {
        node: PodSpec(namespace, template=unrestricted_template(node), purpose="unrestricted")
        for node in sorted(set(nodes))
    }
    return dict(zip(specs, pool.lease(*specs.values()), strict=True))
