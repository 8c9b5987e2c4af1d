"""Controls of the family Workloads, and what they share: each puts every container of the stack on trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_k8ssec.catalogue.declared import Declared, object_names
from pytest_k8ssec.facts.container_users import user_in_spec
from pytest_k8ssec.facts.containers import container_templates
from pytest_k8ssec.pods.absent import tell_absent
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.pods.unrestricted import unrestricted_pods
from pytest_k8ssec.stack import Stack, Workload
from pytest_k8ssec.verdict import Case, Judge


@dataclass(frozen=True, slots=True)
class ContainerSuspect:
    """One container of a workload."""

    workload: Workload
    template: Mapping[str, Any]
    """Its pod template, in which this container is the main one."""
    case: Case
    pod: Pod
    """A twin of the workload that has what this container has."""
    unrestricted: Pod
    """A pod of ours on the same node that may do everything: for positive controls."""

    @property
    def user_is_known(self) -> bool:
        """Whether the twin runs as the container does: where nobody tells its image's user, it runs as the probe's, root."""
        spec = self.template["spec"]
        main = spec["containers"][0]
        security = {**(spec.get("securityContext") or {}), **(main.get("securityContext") or {})}
        return user_in_spec(spec, main) or bool(security.get("runAsNonRoot"))

    @property
    def names(self) -> tuple[str, ...]:
        """The workload and the container, as a declaration of what is allowed names them."""
        return _names(self.workload, self.template)


def containers_on_trial(judge: Judge, stack: Stack, pool: Pool, declared: Declared) -> Iterator[ContainerSuspect]:
    """Each container of the stack's workloads that are not declared, all pods started side by side.

    One whose twin does not come to run is recorded as such, and is not among them.

    Raises:
        NoAccess: this run did not deploy the stack.
        ProbeError: a pod that may do everything was refused or did not start.
        ClusterError: the API server did not list the workloads' pods.
    """
    found = [
        (workload, name, template)
        for workload in stack.workloads()
        for name, template in container_templates(pool.cluster, workload).items()
        if not declared.covers(*_names(workload, template))
    ]
    if not found:
        declared.tell_unused()
        judge.not_applicable("the stack has no workload that is not declared")
        return
    specs = [
        PodSpec(each.namespace, template=template, labels_matter=False, purpose="twin") for each, _, template in found
    ]
    pods = pool.lease_each(*specs)
    nodes = {pod.source.node for pod in pods if isinstance(pod, Pod)}
    free = unrestricted_pods(pool, nodes) if nodes else {}
    for (workload, name, template), pod in zip(found, pods, strict=True):
        case = judge.case(f"{workload}, container {name}")
        if isinstance(pod, Pod):
            yield ContainerSuspect(workload, template, case, pod, free[pod.source.node])
        else:
            tell_absent(case, pod)
    declared.tell_unused()


def _names(workload: Workload, template: Mapping[str, Any]) -> tuple[str, ...]:
    container = template["spec"]["containers"][0]["name"]
    return object_names(workload.kind, workload.namespace, workload.name, [f"/{container}"])
