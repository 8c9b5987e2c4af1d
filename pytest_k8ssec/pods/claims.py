"""Claims: which of a workload's volumes its twin has too, and which are a folder of a node.

Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#access-modes
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from pytest_k8ssec.clusters.api import Body, KubeApi

_SHARED = {"ReadWriteMany", "ReadOnlyMany"}
_OF_THE_NODE = (
    "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys", "/usr",
    "/var/lib/cni", "/var/lib/containerd", "/var/lib/docker", "/var/lib/etcd", "/var/lib/kubelet", "/var/lib/rancher",
    "/var/lib/systemd", "/var/log", "/var/run",
)  # fmt: skip
"""Where a node's own files are. Sources: https://refspecs.linuxfoundation.org/FHS_3.0/fhs/index.html,
https://kubernetes.io/docs/reference/node/kubelet-files/."""
_PROVISIONED = "pv.kubernetes.io/provisioned-by"


def without_lone_claims(api: KubeApi, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
    """A pod's spec with an empty volume for each claim that this pod can't share, and for each that is made for one pod.

    A claim whose volume is a folder of the node that somebody chose stays in every case: a twin without it would miss what
    matters, so none is better.

    Raises:
        ClusterError: the API server did not answer as it should.
    """
    volumes = [_shared(api, namespace, volume, bool(body.get("nodeName"))) for volume in body.get("volumes") or ()]
    return {**body, "volumes": volumes} if volumes else body


def _shared(api: KubeApi, namespace: str, volume: Body, placed: bool) -> Body:  # noqa: FBT001 - of a pod's place
    empty = {"name": volume["name"], "emptyDir": {}}
    if "ephemeral" in volume:
        return empty
    name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
    if not name:
        return volume
    answer = api.request("GET", f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}")
    if answer.status == 404:
        return empty
    claim = answer.body
    if answer.status != 200:
        return volume
    modes = set(claim["spec"].get("accessModes") or ())
    bound = (claim.get("status") or {}).get("phase") == "Bound"
    # One that is not bound yet would be bound by a twin, to wherever that stands.
    fits = bound and bool(modes & _SHARED or ("ReadWriteOncePod" not in modes and placed))
    return volume if fits or _chosen_folder(api, claim) else empty


def _chosen_folder(api: KubeApi, claim: Body) -> bool:
    name = claim["spec"].get("volumeName")
    return bool(name and _folder(api.request("GET", f"/api/v1/persistentvolumes/{name}").body))


def claimed_folders(api: KubeApi, namespace: str) -> dict[str, str]:
    """The claims of a namespace that are bound to a folder of a node which somebody chose, and that folder.

    Who mounts such a claim has what a hostPath volume would give, and Pod Security lets it in.

    Raises:
        ClusterError: the API server did not answer as it should.
    """
    claims = api.list(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims")
    bound = {claim["metadata"]["name"]: claim["spec"].get("volumeName") for claim in claims}
    if not any(bound.values()):
        return {}
    folders = {volume["metadata"]["name"]: _folder(volume) for volume in api.list("/api/v1/persistentvolumes")}
    return {claim: folder for claim, volume in bound.items() if (folder := folders.get(str(volume)))}


def _folder(volume: Body) -> str:
    """The folder of a node that a volume is, "" where it is none, or one that a provisioner made for it.

    A local volume is a disk of its own (https://kubernetes.io/docs/concepts/storage/volumes/#local), unless the node's own
    files are there.
    """
    if _PROVISIONED in (volume.get("metadata", {}).get("annotations") or {}):
        return ""
    chosen, disk = (str((volume.get("spec", {}).get(kind) or {}).get("path") or "") for kind in ("hostPath", "local"))
    return chosen or (disk if disk and _holds_the_nodes_own(PurePosixPath(disk)) else "")


def _holds_the_nodes_own(folder: PurePosixPath) -> bool:
    return any(folder.is_relative_to(own) or PurePosixPath(own).is_relative_to(folder) for own in _OF_THE_NODE)
