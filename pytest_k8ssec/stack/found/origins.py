"""Whose an object is that nobody declared: of the stack, and how it came, or of somebody else."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from pytest_k8ssec.clusters.api import FIELD_MANAGER
from pytest_k8ssec.clusters.headers import METADATA_OF_ONE
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.stack.found.listing import ObjectMetadata, Owner, listed_of
from pytest_k8ssec.stack.resource import ObjectOrigin, Resource
from pytest_k8ssec.stack.types import RELEASE, is_patch_type

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.api import KubeApi

_RELEASE_NAME: Final = "meta.helm.sh/release-name"
_RELEASE_NAMESPACE: Final = "meta.helm.sh/release-namespace"
_HOOK: Final = "helm.sh/hook"
_CHILDREN: Final = {
    ("apps", "Deployment"): {"ReplicaSet"},
    ("apps", "ReplicaSet"): {"Pod"},
    ("apps", "StatefulSet"): {"Pod", "PersistentVolumeClaim"},
    ("apps", "DaemonSet"): {"Pod"},
    ("batch", "CronJob"): {"Job"},
    ("batch", "Job"): {"Pod"},
    ("", "ReplicationController"): {"Pod"},
}
"""What Kubernetes' own controllers make of an object. Source: https://kubernetes.io/docs/concepts/workloads/controllers/"""
_OF_THE_CLUSTER: Final = frozenset(
    {
        "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubeadm", "kindnetd",
        "local-path-provisioner", "coredns", "clusterrole-aggregation-controller",
        "api-priority-and-fairness-config-producer-v1", "api-priority-and-fairness-config-consumer-v1",
    }
)  # fmt: skip
"""Names of the programs that a cluster made by kind consists of, by which they call themselves where they write."""
_MADE_IN_EACH_NAMESPACE: Final = {("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")}

Key = tuple[str, str, str, str]


class Origins:
    """Tells of listed objects whether they came with a stack, and how.

    Args:
        resources: what is known to be the stack's.
        before: uids of what was on the cluster before the stack; None where nobody looked: then what has neither an owner of
            the stack nor a mark of one of its Releases is somebody else's.

    Sources: https://kubernetes.io/docs/concepts/overview/working-with-objects/owners-dependents/,
    https://helm.sh/docs/faq/changes_since_helm2/ (Helm's marks)
    """

    def __init__(self, api: KubeApi, resources: Iterable[Resource], before: Container[str] | None) -> None:
        known = list(resources)
        self._api = api
        self._before = before
        self._objects = [one for one in known if one.is_object and not one.external]
        # What a patch changes is somebody else's, or came with the stack in another way.
        whole = [one for one in self._objects if not is_patch_type(one.type)]
        self._keys: set[Key] = {one.key for one in whole}
        # Where the program names no namespace, the provider's is meant.
        self._keys |= {(*one.key[:2], "default", one.name) for one in whole if not one.namespace}
        self._releases = {(one.namespace or "default", one.name) for one in known if one.type == RELEASE}
        self._found: dict[str, ObjectOrigin | None] = {}
        self._owners: dict[str, ObjectMetadata | None] = {}

    def among(self, objects: Iterable[ObjectMetadata]) -> dict[str, ObjectOrigin]:
        """How each object came, by uid: of those that came with the stack and are not declared.

        Raises:
            ClusterError: the API server did not tell of an owner.
        """
        listed = list(objects)
        by_uid = {one.uid: one for one in listed}
        spaces = {one.name for one in listed if one.kind == "Namespace" and self.is_ours(one)}
        told = {one.uid: self._origin(one, by_uid, spaces) for one in listed}
        return {uid: origin for uid, origin in told.items() if origin is not None}

    def is_ours(self, one: ObjectMetadata) -> bool:
        """Whether this package made an object, in whatever run; one of no fields, as a ServiceAccount, says nothing of that."""
        if one.uid in self._api.created:
            return True
        return FIELD_MANAGER in one.managers and not one.managers - {FIELD_MANAGER} - _OF_THE_CLUSTER

    def _origin(
        self, one: ObjectMetadata, by_uid: Mapping[str, ObjectMetadata], spaces: Container[str]
    ) -> ObjectOrigin | None:
        if one.uid not in self._found:
            self._found[one.uid] = None  # owners in a circle own nothing
            try:
                self._found[one.uid] = self._told(one, by_uid, spaces)
            except BaseException:
                del self._found[one.uid]  # it is not known, and asked for again
                raise
        return self._found[one.uid]

    def _told(
        self, one: ObjectMetadata, by_uid: Mapping[str, ObjectMetadata], spaces: Container[str]
    ) -> ObjectOrigin | None:
        if one.key in self._keys or (self._before is not None and one.uid in self._before):
            return None
        if one.kind == "Node" or (one.kind, one.name) in _MADE_IN_EACH_NAMESPACE:
            return None
        if self.is_ours(one) or one.namespace in spaces:
            return None
        owned = False
        for owner in one.owners:
            above = self._above(owner, one, by_uid)
            if above is not None:
                owned = True
                if above.key in self._keys or self._origin(above, by_uid, spaces) is not None:
                    return ObjectOrigin.CONTROLLER if _is_child(owner, one) else ObjectOrigin.OPERATOR
        if owned:
            return None
        return self._of_no_owner(one)

    def _of_no_owner(self, one: ObjectMetadata) -> ObjectOrigin | None:
        marks = one.annotations
        if (marks.get(_RELEASE_NAMESPACE), marks.get(_RELEASE_NAME)) in self._releases:
            return ObjectOrigin.RELEASE
        if one.labels.get("owner") == "helm" and (one.namespace, one.labels.get("name")) in self._releases:
            return ObjectOrigin.RELEASE  # Helm's record of it
        if self._before is None:
            return None
        if one.managers and not one.managers - _OF_THE_CLUSTER:
            placed = {each.namespace for each in self._objects}
            return ObjectOrigin.CONTROLLER if one.namespace and one.namespace in placed else None
        return ObjectOrigin.HOOK if _HOOK in marks else ObjectOrigin.OPERATOR

    def _above(self, owner: Owner, one: ObjectMetadata, by_uid: Mapping[str, ObjectMetadata]) -> ObjectMetadata | None:
        """The owner; None where it is gone, and its dependents are going. Raises ClusterError."""
        if owner.uid in by_uid:
            return by_uid[owner.uid]
        if owner.uid not in self._owners:
            self._owners[owner.uid] = self._asked(owner, one)
        return self._owners[owner.uid]

    def _asked(self, owner: Owner, one: ObjectMetadata) -> ObjectMetadata | None:
        try:
            path = self._api.path(owner.api_version, owner.kind, one.namespace, owner.name)
        except ClusterError:
            self._must_be_gone(owner)
            return None
        answer = self._api.request("GET", path, headers=METADATA_OF_ONE)
        if answer.status == 404:
            return None
        if not answer.ok:
            raise ClusterError(f"GET {path}: HTTP {answer.status}: {answer.message or answer.reason}")
        found = listed_of(owner.api_version, owner.kind, answer.body["metadata"])
        return found if found.uid == owner.uid else None

    def _must_be_gone(self, owner: Owner) -> None:
        """Raises ClusterError unless the API server says that there is no such kind any more, and so no such owner."""
        path = f"/apis/{owner.api_version}" if "/" in owner.api_version else f"/api/{owner.api_version}"
        answer = self._api.request("GET", path)
        if not answer.ok and answer.status != 404:
            raise ClusterError(f"GET {path}: HTTP {answer.status}: {answer.message or answer.reason}")


def is_part(one: ObjectMetadata) -> bool:
    """Whether one of Kubernetes' controllers made an object of another one, as a Pod of its ReplicaSet: it is judged with that."""
    return any(_is_child(owner, one) for owner in one.owners)


def _is_child(owner: Owner, one: ObjectMetadata) -> bool:
    group = owner.api_version.rpartition("/")[0]
    return owner.is_controller and one.kind in _CHILDREN.get((group, owner.kind), ())
