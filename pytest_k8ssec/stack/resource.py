"""One thing that a stack has: a resource of its program, or an object in the cluster that came with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pytest_k8ssec.stack.types import api_version_of_type, is_object_type, kind_of_type


class ObjectOrigin(StrEnum):
    """How an object came into the cluster with a stack."""

    DECLARED = "declared"
    """The program declares it."""
    RELEASE = "of a Helm Release"
    """Helm's record of one of the stack's Releases lists it."""
    HOOK = "of a Helm hook"
    OPERATOR = "of an operator"
    """Something that the stack runs has made it, or something that watches the stack's objects."""
    CONTROLLER = "of a controller"
    """One of Kubernetes' own controllers has made it of an object of the stack, as a ReplicaSet of a Deployment."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the stack."""

    urn: str
    """Of an object that a Helm Release made, the Release's; "" of one that only the cluster tells of."""
    type: str
    """Pulumi's type token, such as ``kubernetes:apps/v1:Deployment``."""
    name: str
    """The object's name in the cluster; of anything but a Kubernetes object, its name in the program."""
    namespace: str = ""
    """"" for a cluster-scoped object, and for anything but a Kubernetes object."""
    id: str = ""
    """Pulumi's id, "" while the stack was only read."""
    external: bool = False
    """Read by the program (``.get(...)``), not managed by the stack."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    origin: ObjectOrigin = ObjectOrigin.DECLARED
    place: str = ""
    """``/path/file:line`` that declares it, or what brought it; "" where nobody knows."""

    @property
    def kind(self) -> str:
        """Such as ``Deployment``, also for a ``DeploymentPatch``; "" for anything but a Kubernetes object."""
        return kind_of_type(self.type)

    @property
    def is_object(self) -> bool:
        """Whether it is an object in the cluster: no component, chart or provider."""
        return is_object_type(self.type)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """API group, kind, namespace and name of an object: in whatever version it is asked for, it is the same one."""
        return api_version_of_type(self.type).rpartition("/")[0], self.kind, self.namespace, self.name

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind or self.type} {where}{self.name}"
