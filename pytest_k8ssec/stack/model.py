"""A deployed stack as tests see it: outputs, resources, workloads and service accounts. Knows nothing of Pulumi."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pytest_k8ssec.errors import StackError
from pytest_k8ssec.evidence import JSON
from pytest_k8ssec.secrecy import given
from pytest_k8ssec.secrecy.find import Leak
from pytest_k8ssec.stack.resource import ObjectOrigin, Resource
from pytest_k8ssec.stack.types import RELEASE, api_version_of_type

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.api import KubeApi
    from pytest_k8ssec.stack.found.footprint import Footprint

API_CLIENT: Final = "k8ssec.dev/api-client"
"""Annotation of a ServiceAccount by which a stack declares, with the reason, that its pods need a token."""


class Secret:
    """A secret output. Shown, formatted or put into a report it is ``[secret]``; ``reveal()`` gives the value."""

    __slots__ = ("__value",)

    def __init__(self, value: JSON) -> None:
        self.__value = value
        given.everything(value)

    def reveal(self) -> JSON:
        """The value itself: for use in a request, never for a message."""
        return self.__value

    def __repr__(self) -> str:
        return "[secret]"

    def __reduce__(self) -> str:
        raise TypeError("a secret output is not to be serialised: pass on what reveal() gives, if you must")


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """An identity that the stack's pods have, or could have."""

    namespace: str
    name: str
    urn: str = ""
    """"" where the stack does not declare it, as the ``default`` one of each of its namespaces."""
    api_client: str = ""
    """Why its pods need the API, as the stack declares it by an annotation; "" where they don't."""
    origin: ObjectOrigin = ObjectOrigin.DECLARED
    """Of a controller is one that is there because its namespace is, or its workload names it."""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Workload:
    """Something of the stack that runs pods, as the API server has it now."""

    kind: str
    namespace: str
    name: str
    labels: Mapping[str, str]
    """Of its pods: what network policies and Services select by."""
    selector: Mapping[str, JSON]
    """LabelSelector of its pods; empty for a bare Pod."""
    template: Mapping[str, JSON] = field(repr=False)
    """Pod template: ``metadata`` and ``spec``. Not shown, as a stack may carry a password in a variable."""
    urn: str = ""
    origin: ObjectOrigin = ObjectOrigin.DECLARED

    @property
    def service_account(self) -> str:
        """Name of the service account that its pods run as."""
        return str(self.template["spec"].get("serviceAccountName") or "default")

    def __str__(self) -> str:
        how = "" if self.origin is ObjectOrigin.DECLARED else f" ({self.origin})"
        return f"{self.kind} {self.namespace}/{self.name}{how}"


_JOB: Final = "kubernetes:batch/v1:Job"
_WORKLOADS: Final = {
    "kubernetes:apps/v1:Deployment",
    "kubernetes:apps/v1:StatefulSet",
    "kubernetes:apps/v1:DaemonSet",
    "kubernetes:apps/v1:ReplicaSet",
    _JOB,
    "kubernetes:batch/v1:CronJob",
    "kubernetes:core/v1:ReplicationController",
    "kubernetes:core/v1:Pod",
}
"""Every type that runs pods."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack: deployed by this run, or found on a cluster that is not ours and only read."""

    name: str
    project: str
    outputs: Mapping[str, JSON]
    """By name; secret values, and secret parts of values, are ``Secret``. Empty where the stack was only read."""
    resources: tuple[Resource, ...]
    deployed: bool
    """Whether this run deployed it: else nothing may be written into its namespaces."""
    seconds: float
    api: KubeApi = field(repr=False)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    """Configuration values that the run gave it as secrets, by qualified key."""
    exposed: tuple[Leak, ...] = ()
    """Where its exported state, and a sample beside it, hold one of ``secrets`` readably; empty where it was only read."""
    providers: Mapping[str, str] = field(default_factory=dict)
    """Providers other than Kubernetes that it used, to the reason why it may."""
    footprint: Footprint | None = field(default=None, repr=False)
    """What else came with it; None where nobody looked."""

    @property
    def objects(self) -> tuple[Resource, ...]:
        """The Kubernetes objects that the stack manages, then those that came with it: each with its ``origin``."""
        known = tuple(one for one in self.resources if one.is_object and not one.external)
        return known + (self.footprint.objects if self.footprint else ())

    @property
    def created_namespaces(self) -> tuple[str, ...]:
        """Names of the namespaces that the stack itself declares, and of those that came with it."""
        names = (one.name for one in self.objects if one.type == "kubernetes:core/v1:Namespace")
        return tuple(dict.fromkeys(names))

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Names of ``created_namespaces``, then of the others that it has objects in."""
        return tuple(
            dict.fromkeys((*self.created_namespaces, *(one.namespace for one in self.objects if one.namespace)))
        )

    @property
    def pod_namespaces(self) -> tuple[str, ...]:
        """Names of ``created_namespaces``, then of the others that its workloads run in."""
        placed = (one.namespace for one in self.objects if one.type in _WORKLOADS)
        return tuple(dict.fromkeys((*self.created_namespaces, *placed)))

    def workloads(self) -> tuple[Workload, ...]:
        """The stack's workloads, each as the API server has it at this moment; what came with it is looked for anew.

        A Job that is gone is none: see ``gone_jobs``.

        Raises:
            StackError: one that the stack declares is not on the cluster.
            ClusterError: the API server did not answer as it should.
        """
        came: tuple[Resource, ...] = ()
        if self.footprint:
            self.footprint.look()
            came = self.footprint.independent
        known = (one for one in self.resources if one.is_object and not one.external)
        found = (self._workload(one) for one in (*known, *came) if one.type in _WORKLOADS)
        return tuple(each for each in found if each is not None)

    def gone_jobs(self) -> tuple[Resource, ...]:
        """The Jobs of the stack that are not on the cluster, or not any more.

        A Job is done once it has ended: with ``ttlSecondsAfterFinished`` it is removed then, and some remove themselves.

        Raises:
            ClusterError: the API server did not answer as it should.
        """
        jobs = (one for one in self.resources if one.type == _JOB and not one.external)
        return tuple(one for one in jobs if self.api.request("GET", self._path(one)).status == 404)

    @property
    def releases(self) -> tuple[Resource, ...]:
        """Its Helm Releases. Their objects, where Helm's record of them can be read, are under the same URNs."""
        return tuple(one for one in self.resources if one.type == RELEASE and not one.external)

    @property
    def service_accounts(self) -> tuple[ServiceAccount, ...]:
        """Those that the stack declares or that came with it, and the ``default`` one of each of its namespaces."""
        found: dict[tuple[str, str], ServiceAccount] = {}
        for one in self.objects:
            if one.key[:2] == ("", "ServiceAccount"):  # one that is patched may say by that what it is for
                known = found.get((one.namespace, one.name))
                told = one.annotations.get(API_CLIENT) or (known.api_client if known else "")
                found[one.namespace, one.name] = ServiceAccount(one.namespace, one.name, one.urn, told, one.origin)
        for namespace in self.namespaces:
            found.setdefault(
                (namespace, "default"), ServiceAccount(namespace, "default", origin=ObjectOrigin.CONTROLLER)
            )
        return tuple(found.values())

    def identities(self) -> tuple[ServiceAccount, ...]:
        """``service_accounts``, and those of others that its workloads run as. Raises as ``workloads`` does."""
        workloads = self.workloads()  # first, as it looks for what came
        found = {str(one): one for one in self.service_accounts}
        for each in workloads:
            used = ServiceAccount(each.namespace, each.service_account, origin=ObjectOrigin.CONTROLLER)
            found.setdefault(str(used), used)
        return tuple(found.values())

    def _path(self, resource: Resource) -> str:
        return self.api.path(api_version_of_type(resource.type), resource.kind, resource.namespace, resource.name)

    def _workload(self, resource: Resource) -> Workload | None:
        answer = self.api.request("GET", self._path(resource))
        if answer.status == 404 and (resource.type == _JOB or not resource.urn):
            return None  # what came with the stack may go at any time
        if answer.status != 200:
            raise StackError(
                f'stack "{self.name}": {resource} is not on the cluster (HTTP {answer.status})',
                fix="deploy the stack to this cluster first: pulumi up" if not self.deployed else "",
            )
        return _workload_of(resource, answer.body)


def _workload_of(resource: Resource, live: Mapping[str, JSON]) -> Workload:
    spec = live["spec"]
    selector = spec.get("selector") or {}
    match resource.kind:
        case "Pod":
            meta = live["metadata"]
            template = {"metadata": {"labels": meta.get("labels") or {}}, "spec": spec}
        case "CronJob":
            template = spec["jobTemplate"]["spec"]["template"]
        case "ReplicationController":
            template, selector = spec["template"], {"matchLabels": selector}
        case _:
            template = spec["template"]
    labels = (template.get("metadata") or {}).get("labels") or {}
    return Workload(
        resource.kind,
        resource.namespace,
        resource.name,
        labels,
        selector,
        template,
        resource.urn,
        resource.origin,
    )
