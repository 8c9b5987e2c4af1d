"""A deployed stack as tests see it: outputs, resources, workloads and service accounts. Knows nothing of Pulumi."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pytest_k8ssec.errors import StackError
from pytest_k8ssec.evidence import JSON
from pytest_k8ssec.secrecy import given
from pytest_k8ssec.secrecy.find import Leak
from pytest_k8ssec.stack.live_pods import pods_of
from pytest_k8ssec.stack.types import RELEASE, api_version_of_type, is_object_type, kind_of_type

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.api import KubeApi

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
class Resource:
    """One resource of the stack."""

    urn: str
    """Of an object that a Helm Release made, the Release's."""
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

    @property
    def kind(self) -> str:
        """Such as ``Deployment``, also for a ``DeploymentPatch``; "" for anything but a Kubernetes object."""
        return kind_of_type(self.type)

    @property
    def is_object(self) -> bool:
        """Whether it is an object in the cluster: no component, chart or provider."""
        return is_object_type(self.type)

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind or self.type} {where}{self.name}"


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """An identity that the stack's pods have, or could have."""

    namespace: str
    name: str
    urn: str = ""
    """"" where the stack does not declare it, as the ``default`` one of each of its namespaces."""
    api_client: str = ""
    """Why its pods need the API, as the stack declares it by an annotation; "" where they don't."""

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

    @property
    def service_account(self) -> str:
        """Name of the service account that its pods run as."""
        return str(self.template["spec"].get("serviceAccountName") or "default")

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


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

    @property
    def objects(self) -> tuple[Resource, ...]:
        """The Kubernetes objects that the stack manages."""
        return tuple(one for one in self.resources if one.is_object and not one.external)

    @property
    def created_namespaces(self) -> tuple[str, ...]:
        """Names of the namespaces that the stack itself declares."""
        return tuple(one.name for one in self.objects if one.type == "kubernetes:core/v1:Namespace")

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Names of the namespaces that the stack declares, then of the others that it has objects in."""
        return tuple(
            dict.fromkeys((*self.created_namespaces, *(one.namespace for one in self.objects if one.namespace)))
        )

    @property
    def pod_namespaces(self) -> tuple[str, ...]:
        """Names of the namespaces that the stack declares, then of the others that its workloads run in."""
        placed = (one.namespace for one in self.objects if one.type in _WORKLOADS)
        return tuple(dict.fromkeys((*self.created_namespaces, *placed)))

    def workloads(self) -> tuple[Workload, ...]:
        """The stack's workloads, each as the API server has it at this moment. A Job that is gone is none: see ``gone_jobs``.

        Raises:
            StackError: one that the stack declares is not on the cluster.
            ClusterError: the API server did not answer as it should.
        """
        found = (self._workload(one) for one in self.objects if one.type in _WORKLOADS)
        return tuple(each for each in found if each is not None)

    def gone_jobs(self) -> tuple[Resource, ...]:
        """The Jobs of the stack that are not on the cluster any more.

        A Job is done once it has ended: with ``ttlSecondsAfterFinished`` it is removed then, and some remove themselves.

        Raises:
            ClusterError: the API server did not answer as it should.
        """
        jobs = (one for one in self.objects if one.type == _JOB)
        return tuple(one for one in jobs if self.api.request("GET", self._path(one)).status == 404)

    @property
    def releases(self) -> tuple[Resource, ...]:
        """Its Helm Releases. Their objects, where Helm's record of them can be read, are under the same URNs."""
        return tuple(one for one in self.resources if one.type == RELEASE and not one.external)

    @property
    def service_accounts(self) -> tuple[ServiceAccount, ...]:
        """Those that the stack declares, and the ``default`` one of each of its namespaces."""
        return tuple(self._service_accounts())

    def identities(self) -> tuple[ServiceAccount, ...]:
        """``service_accounts``, and those of others that its workloads run as: by their templates, and by their live pods.

        A pod may have another account than its template names: admission gave it one, or it waits for a rollout.

        Raises:
            StackError: a workload that the stack declares is not on the cluster.
            ClusterError: the API server did not answer as it should.
        """
        found = {str(one): one for one in self.service_accounts}
        for each in self.workloads():
            used = ServiceAccount(each.namespace, each.service_account)
            found.setdefault(str(used), used)
            for name in self._live_accounts(each):
                live = ServiceAccount(each.namespace, name)
                if str(live) not in found and self._is_there(live):
                    found[str(live)] = live
        return tuple(found.values())

    def _live_accounts(self, workload: Workload) -> list[str]:
        """Names of the accounts of a workload's pods that have not ended."""
        pods = pods_of(self.api, workload) if workload.kind != "Pod" else []  # a bare one is its own template
        lasting = [pod for pod in pods if pod["status"].get("phase") not in ("Succeeded", "Failed")]
        return list(dict.fromkeys(pod["spec"].get("serviceAccountName") or "default" for pod in lasting))

    def _is_there(self, account: ServiceAccount) -> bool:
        """Whether an account still exists: without it the token of a pod that has it is worth nothing."""
        path = f"/api/v1/namespaces/{account.namespace}/serviceaccounts/{account.name}"
        return self.api.request("GET", path).status != 404

    def _service_accounts(self) -> Iterator[ServiceAccount]:
        declared = [one for one in self.objects if one.type == "kubernetes:core/v1:ServiceAccount"]
        for one in declared:
            yield ServiceAccount(one.namespace, one.name, one.urn, one.annotations.get(API_CLIENT, ""))
        known = {(one.namespace, one.name) for one in declared}
        for namespace in self.namespaces:
            if (namespace, "default") not in known:
                yield ServiceAccount(namespace, "default")

    def _path(self, resource: Resource) -> str:
        return self.api.path(api_version_of_type(resource.type), resource.kind, resource.namespace, resource.name)

    def _workload(self, resource: Resource) -> Workload | None:
        answer = self.api.request("GET", self._path(resource))
        if answer.status == 404 and resource.type == _JOB:
            return None
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
    return Workload(resource.kind, resource.namespace, resource.name, labels, selector, template, resource.urn)
