"""The fields of a pod template by which containers get what they should not have; to be asked for once an attack got through."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pytest_k8ssec.evidence.causes import FieldCheck, Fields
from pytest_k8ssec.stack import Workload

_SPEC: Final = {"Pod": ("spec",), "CronJob": ("spec", "jobTemplate", "spec", "template", "spec")}
_TEMPLATE: Final = ("spec", "template", "spec")
_API: Final = {"Pod": "v1", "ReplicationController": "v1", "Job": "batch/v1", "CronJob": "batch/v1"}
_OWN, _POD = ("{}", "securityContext"), ("securityContext",)

PRIVILEGED: Final = FieldCheck(((*_OWN, "privileged"),), bad=(True,))
AS_ROOT: Final = FieldCheck(((*_OWN, "runAsUser"), (*_POD, "runAsUser")), bad=(0,), unset=True)
MORE_CAPABILITIES: Final = FieldCheck(((*_OWN, "capabilities", "add"),))
KEPT_CAPABILITIES: Final = FieldCheck(((*_OWN, "capabilities", "drop"),), lacks="ALL", unset=True)
MAY_GAIN: Final = FieldCheck(((*_OWN, "allowPrivilegeEscalation"),), bad=(True,), unset=True)
WRITABLE_ROOT: Final = FieldCheck(((*_OWN, "readOnlyRootFilesystem"),), bad=(False,), unset=True)
NO_SECCOMP: Final = FieldCheck(
    ((*_OWN, "seccompProfile", "type"), (*_POD, "seccompProfile", "type")), bad=("Unconfined",), unset=True
)
OWN_SECCOMP: Final = FieldCheck(
    ((*_OWN, "seccompProfile", "type"), (*_POD, "seccompProfile", "type")), bad=("Localhost", "Unconfined"), unset=True
)
NO_APP_ARMOR: Final = FieldCheck(
    ((*_OWN, "appArmorProfile", "type"), (*_POD, "appArmorProfile", "type")), bad=("Unconfined", "Localhost")
)
HOST_PATHS: Final = FieldCheck((("volumes", "*", "hostPath", "path"),))
CLAIMS: Final = FieldCheck((("volumes", "*", "persistentVolumeClaim", "claimName"),))
HOST_SPACES: Final = {
    kind: FieldCheck(((field,),), bad=(True,))
    for kind, field in (("pid", "hostPID"), ("ipc", "hostIPC"), ("net", "hostNetwork"))
}
"""By kind of namespace, as the kernel calls it."""
MOUNTS_TOKEN: Final = FieldCheck((("automountServiceAccountToken",),), bad=(True,))
PROJECTS_TOKEN: Final = FieldCheck((("volumes", "*", "projected", "sources", "*", "serviceAccountToken", "path"),))


_AUTOMOUNTS: Final = FieldCheck((("automountServiceAccountToken",),), bad=(True,), unset=True)


def field_of_account(namespace: str, name: str) -> Fields:
    """The cause that a service account gives its token to each pod that does not say otherwise."""
    return Fields("ServiceAccount", "v1", namespace, name, (_AUTOMOUNTS,))


def fields_of_token(workload: Workload, container: str, account: str) -> tuple[Fields, ...]:
    """What may give a container a token: its workload's template, and where that says nothing its account.

    A live pod does not tell: what its account gave it stands in its spec as a volume like any other.

    Args:
        workload: as the API server has it.
        container: its name.
        account: the name of the account that it runs as.
    """
    own = fields_of_template(workload, container, MOUNTS_TOKEN, PROJECTS_TOKEN)
    said = workload.template["spec"].get("automountServiceAccountToken")
    return (own,) if said is not None else (own, field_of_account(workload.namespace, account))


def fields_of_template(workload: Workload, container: str, *checks: FieldCheck) -> Fields:
    """The cause that fields of a workload's pod template are, as the API server has it."""
    start = _SPEC.get(workload.kind, _TEMPLATE)
    own = f"{{{container}}}"
    whole = tuple(
        replace(check, paths=tuple((*start, *(own if part == "{}" else part for part in path)) for path in check.paths))
        for check in checks
    )
    return Fields(workload.kind, _API.get(workload.kind, "apps/v1"), workload.namespace, workload.name, whole)
