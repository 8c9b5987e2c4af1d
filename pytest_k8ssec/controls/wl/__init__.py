"""Controls of the family Workloads, and what they share: each puts every container of the stack on trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

from pytest_k8ssec.catalogue.declared import Declared, object_names
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence.causes import FieldCheck, Fields
from pytest_k8ssec.facts.container_users import user_in_spec
from pytest_k8ssec.facts.containers import container_templates
from pytest_k8ssec.facts.culprits.template_fields import fields_of_template
from pytest_k8ssec.pods.absent import tell_absent
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.pods.unrestricted import unrestricted_pods
from pytest_k8ssec.stack import Stack, Workload
from pytest_k8ssec.verdict import Case, Judge

CONTAINER_DIMENSIONS = ("workload", "container", "check")
"""Those of a control of containers. Equal ones of several pods are one."""


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
    container: str = ""
    """Its name, and which pod's it is where the pods differ, as a case is named."""

    def set_wrong(self, *checks: FieldCheck) -> Fields:
        """The cause of what got through it: fields of its pod template, ``{}`` standing for this container."""
        return fields_of_template(self.workload, self.template["spec"]["containers"][0]["name"], *checks)

    def at(self, check: str) -> dict[str, str]:
        """The combination that one check of it is."""
        return _at(self.workload, self.container, check)

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


@contextmanager
def containers_on_trial(
    judge: Judge, stack: Stack, pool: Pool, declared: Declared, checks: Sequence[str] = ()
) -> Iterator[Iterator[ContainerSuspect]]:
    """Each container of the stack's workloads that are not declared, one after the other; see :func:`containers_in_lots`."""
    with containers_in_lots(judge, stack, pool, declared, checks) as lots:
        yield (suspect for lot in lots for suspect in lot)


@contextmanager
def containers_in_lots(
    judge: Judge, stack: Stack, pool: Pool, declared: Declared, checks: Sequence[str] = ()
) -> Iterator[Iterator[list[ContainerSuspect]]]:
    """Each container of the stack's workloads that are not declared, the pods of a lot started side by side.

    All are one lot, unless nodes have no room for so many: then the pods of a lot are gone once the next one is asked for.
    One whose twin does not come to run is recorded as such, and is not among them.

    Args:
        checks: what there is to check of each, where the control's dimensions are :data:`CONTAINER_DIMENSIONS`.

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
        judge.not_applicable("the stack has no workload that is not declared")
    for (workload, name, _), check in product(found, checks):
        judge.coverage.exists(**_at(workload, name, check))
    specs = [
        PodSpec(each.namespace, template=template, labels_matter=False, purpose="twin") for each, _, template in found
    ]
    with pool.lease_lots(*specs) as lots:
        yield (_suspects(judge, pool, found, pods, checks) for pods in lots if pods)
    declared.tell_unused()  # parts of a container are asked for while it is on trial


def _suspects(
    judge: Judge,
    pool: Pool,
    found: Sequence[tuple[Workload, str, Mapping[str, Any]]],
    pods: Mapping[int, Pod | ProbeError],
    checks: Sequence[str],
) -> list[ContainerSuspect]:
    """Those whose twin runs, and what became of the others is recorded."""
    nodes = {pod.source.node for pod in pods.values() if isinstance(pod, Pod)}
    free = unrestricted_pods(pool, nodes) if nodes else {}
    suspects: list[ContainerSuspect] = []
    for number, pod in pods.items():
        workload, name, template = found[number]
        case = judge.case(f"{workload}, container {name}")
        if isinstance(pod, Pod):
            suspects.append(ContainerSuspect(workload, template, case, pod, free[pod.source.node], name))
        else:
            tell_absent(case, pod, at=[_at(workload, name, check) for check in checks])
    return suspects


def _at(workload: Workload, container: str, check: str) -> dict[str, str]:
    return {"workload": str(workload), "container": container, "check": check}


def _names(workload: Workload, template: Mapping[str, Any]) -> tuple[str, ...]:
    container = template["spec"]["containers"][0]["name"]
    return object_names(workload.kind, workload.namespace, workload.name, [f"/{container}"])
