"""Controls of the family Workloads, and what they share: each puts every container of the stack on trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pytest_k8ssec.errors import ProbeError
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
    def subject(self) -> str:
        """The workload, as a declaration of what is allowed names it."""
        return f"{self.workload.namespace}/{self.workload.name}"


@contextmanager
def containers_on_trial(
    judge: Judge, stack: Stack, pool: Pool, allowed: Mapping[str, str]
) -> Iterator[Iterator[ContainerSuspect]]:
    """Each container of the stack's workloads that are not declared, one after the other; see :func:`containers_in_lots`."""
    with containers_in_lots(judge, stack, pool, allowed) as lots:
        yield (suspect for lot in lots for suspect in lot)


@contextmanager
def containers_in_lots(
    judge: Judge, stack: Stack, pool: Pool, allowed: Mapping[str, str]
) -> Iterator[Iterator[list[ContainerSuspect]]]:
    """Each container of the stack's workloads that are not declared, the pods of a lot started side by side.

    All are one lot, unless nodes have no room for so many: then the pods of a lot are gone once the next one is asked for.
    One whose twin does not come to run is recorded as such, and is not among them.

    Raises:
        NoAccess: this run did not deploy the stack.
        ProbeError: a pod that may do everything was refused or did not start.
        ClusterError: the API server did not list the workloads' pods.
    """
    for subject, reason in allowed.items():
        judge.note(f"{subject} is declared: {reason}")
    found = [
        (workload, name, template)
        for workload in stack.workloads()
        if f"{workload.namespace}/{workload.name}" not in allowed
        for name, template in container_templates(pool.cluster, workload).items()
    ]
    if not found:
        judge.not_applicable("the stack has no workload that is not declared")
    specs = [
        PodSpec(each.namespace, template=template, labels_matter=False, purpose="twin") for each, _, template in found
    ]
    with pool.lease_lots(*specs) as lots:
        yield (_suspects(judge, pool, found, pods) for pods in lots if pods)


def _suspects(
    judge: Judge,
    pool: Pool,
    found: Sequence[tuple[Workload, str, Mapping[str, Any]]],
    pods: Mapping[int, Pod | ProbeError],
) -> list[ContainerSuspect]:
    """Those whose twin runs, and what became of the others is recorded."""
    nodes = {pod.source.node for pod in pods.values() if isinstance(pod, Pod)}
    free = unrestricted_pods(pool, nodes) if nodes else {}
    suspects: list[ContainerSuspect] = []
    for number, pod in pods.items():
        workload, name, template = found[number]
        case = judge.case(f"{workload}, container {name}")
        if isinstance(pod, Pod):
            suspects.append(ContainerSuspect(workload, template, case, pod, free[pod.source.node]))
        else:
            tell_absent(case, pod)
    return suspects
