"""A workload of the stack that mounts a folder of its node by a claim, while a sabotage is in force.

Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#reserving-a-persistentvolume
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from pytest_k8ssec.clusters.api import Body, KubeApi
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.sabotages.proofs import changing, object_of
from pytest_k8ssec.sabotages.rollout import deployment, weakened
from pytest_k8ssec.stack import Stack

_SECONDS = 30


@contextmanager
def claimed_folder(api: KubeApi, stack: Stack, folder: str) -> Iterator[Evidence]:
    """Have a Deployment of the stack claim a volume that is a folder of its node. Its namespace goes on to enforce its level.

    Yields:
        the evidence that pods of it run so.

    Raises:
        SabotageError: the stack has no Deployment.
        ClusterError: the claim was not bound, or the Deployment did not roll out.
    """
    name = f"k8ssec-{secrets.token_hex(3)}"
    workload = deployment(api, stack)
    namespace = workload.namespace
    common = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    volume: Body = {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {**common, "capacity": {"storage": "1Mi"}, "hostPath": {"path": folder},
                 "claimRef": {"namespace": namespace, "name": name}},
    }  # fmt: skip
    claim: Body = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"namespace": namespace, "name": name},
        "spec": {**common, "volumeName": name, "resources": {"requests": {"storage": "1Mi"}}},
    }  # fmt: skip
    mounted = {"name": "node", "persistentVolumeClaim": {"claimName": name}}
    with _created(api, volume), _created(api, claim):
        path = api.path_of(claim, collection=True)
        api.wait(path, name, _is_bound, deadline=_SECONDS, what=f"claim {name}: is not bound")
        with weakened(api, workload, volume=(mounted, "/node"), level="") as proof:
            yield changing(proof, object_of(volume), object_of(claim))


@contextmanager
def _created(api: KubeApi, manifest: Body) -> Iterator[None]:
    """Create an object, and have it deleted: it goes once no twin mounts it any more, and they go after the sabotage."""
    api.create(manifest)
    try:
        yield
    finally:
        api.delete(api.path_of(manifest), grace=0)


def _is_bound(claim: Body | None) -> bool:
    return ((claim or {}).get("status") or {}).get("phase") == "Bound"
