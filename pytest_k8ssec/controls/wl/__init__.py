"""Controls of the family Workloads, and what they share: each puts every container of the stack on trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_k8ssec.facts.containers import container_templates
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
    def subject(self) -> str:
        """The workload, as a declaration of what is allowed names it."""
        return f"{self.workload.namespace}/{self.workload.name}"


def containers_on_trial(
    judge: Judge, stack: Stack, pool: Pool, allowed: Mapping[str, str]
) -> Iterator[ContainerSuspect]:
    """Each container of the stack's workloads that are not declared, all pods started side by side.

    Raises:
        NoAccess: this run did not deploy the stack.
        ProbeError: a pod was refused or did not start.
        ClusterError: the API server did not list the workloads' pods.
    """
    judge.not_applicable("the stack has no workload that is not declared")
    for subject, reason in allowed.items():
        judge.note(f"{subject} is declared: {reason}")
    found = [
        (workload, name, template)
        for workload in stack.workloads()
        if f"{workload.namespace}/{workload.name}" not in allowed
        for name, template in container_templates(pool.cluster, workload).items()
    ]
    pods = pool.lease(*(PodSpec(each.namespace, template=template, purpose="twin") for each, _, template in found))
    free = unrestricted_pods(pool, (pod.source.node for pod in pods)) if pods else {}
    for (workload, name, template), pod in zip(found, pods, strict=True):
        case = judge.case(f"{workload}, container {name}")
        yield ContainerSuspect(workload, template, case, pod, free[pod.source.node])
