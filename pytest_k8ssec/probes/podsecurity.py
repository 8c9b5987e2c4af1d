"""Pods that each break one rule of the Pod Security Standards, and a compliant one, offered to admission as dry runs.

Rules and levels: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pytest_k8ssec.clusters.api_servers import HasApi
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import as_probe_error
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.pods.manifests import container_security
from pytest_k8ssec.pods.resources import Resources, shaped
from pytest_k8ssec.probes.admission import offered, only_quota_refused
from pytest_k8ssec.probes.guises import PLAIN, Guise

LEVELS = ("privileged", "baseline", "restricted")
"""From lax to strict."""

Spec = dict[str, Any]
_UNDECIDED, _BROKEN = (401, 408, 429), 500
_NOT_HIM = " cannot impersonate resource "


@dataclass(frozen=True, slots=True)
class Check:
    """One rule, and how a pod breaks it."""

    name: str
    level: str
    """The most lenient level that has the rule."""
    words: str
    """What admission's refusal says of it."""
    breaks: Callable[[Spec, Spec], object]
    """Changes pod spec and container so that they break this rule and no other one that matters."""
    of: str = ""
    """The name of the check that this one tries elsewhere in a pod; "" for none."""


def _security(container: Spec) -> Spec:
    found: Spec = container["securityContext"]
    return found


CHECKS = (
    Check("privileged", "baseline", "privileged", lambda _, c: _security(c).update(privileged=True, allowPrivilegeEscalation=True)),
    Check("hostNetwork", "baseline", "host namespaces", lambda s, _: s.update(hostNetwork=True)),
    Check("hostPID", "baseline", "host namespaces", lambda s, _: s.update(hostPID=True)),
    Check("hostIPC", "baseline", "host namespaces", lambda s, _: s.update(hostIPC=True)),
    Check("hostPath", "baseline", "hostPath", lambda s, _: s.update(volumes=[{"name": "host", "hostPath": {"path": "/"}}])),
    Check("hostPort", "baseline", "hostPort", lambda _, c: c.update(ports=[{"containerPort": 80, "hostPort": 8997}])),
    Check("capabilities", "baseline", "capabilities", lambda _, c: _security(c)["capabilities"].update(add=["SYS_ADMIN"])),
    Check("sysctls", "baseline", "forbidden sysctls", lambda s, _: s.update(
        securityContext={**s["securityContext"], "sysctls": [{"name": "kernel.msgmax", "value": "65536"}]})),
    Check("seccomp unconfined", "baseline", "seccompProfile", lambda _, c: _security(c).update(seccompProfile={"type": "Unconfined"})),
    Check("AppArmor unconfined", "baseline", "AppArmor", lambda _, c: _security(c).update(appArmorProfile={"type": "Unconfined"})),
    Check("run as root", "restricted", "runAsUser=0", lambda _, c: _security(c).update(runAsUser=0, runAsNonRoot=True)),
    Check("runAsNonRoot unset", "restricted", "runAsNonRoot != true", lambda s, c: (
        s["securityContext"].pop("runAsNonRoot"), _security(c).pop("runAsNonRoot"))),
    Check("privilege escalation", "restricted", "allowPrivilegeEscalation != false", lambda _, c: _security(c).update(
        allowPrivilegeEscalation=True)),
    Check("capabilities kept", "restricted", "unrestricted capabilities", lambda _, c: _security(c).pop("capabilities")),
    Check("seccomp unset", "restricted", "seccompProfile", lambda s, c: (
        s["securityContext"].pop("seccompProfile"), _security(c).pop("seccompProfile"))),
)  # fmt: skip
"""procMount is left out: since Kubernetes 1.34 validation refuses it by itself outside of user namespaces."""


_OF_CONTAINERS = {
    "privileged", "hostPort", "capabilities", "seccomp unconfined", "AppArmor unconfined", "run as root", "runAsNonRoot unset",
    "privilege escalation", "capabilities kept", "seccomp unset",
}  # fmt: skip
"""What a container may break by itself."""


def _in_init(check: Check) -> Check:
    """The same in an init container, which a rule may have forgotten, beside a container that breaks nothing."""

    def breaks(spec: Spec, container: Spec) -> None:
        spec["initContainers"] = [{**copy.deepcopy(container), "name": "init"}]
        check.breaks(spec, spec["initContainers"][0])

    return Check(f"{check.name} in an init container", check.level, check.words, breaks, check.name)


IN_INIT = tuple(_in_init(check) for check in CHECKS if check.name in _OF_CONTAINERS)
"""Those that a container breaks by itself, in an init container."""

OF_WHOLE = ("privileged", "hostNetwork", "hostPID", "hostPath")
"""The checks that :data:`WHOLE` breaks."""


def _break_whole(spec: Spec, container: Spec) -> None:
    for check in CHECKS:
        if check.name in OF_WHOLE:
            check.breaks(spec, container)


WHOLE = Check("privileged, with all of the host", "baseline", "host namespaces", _break_whole)
"""What is left of a node's isolation is nothing: whoever is exempt from all checks gets this in."""

OFFERED: Resources = {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"cpu": "50m", "memory": "32Mi"}}
"""What an offered pod asks for, where its namespace says nothing else."""


def room_in(cluster: Cluster, namespace: str) -> Resources:
    """What a pod that is offered to a namespace may ask for there. Raises ProbeError."""
    path = f"/api/v1/namespaces/{namespace}"
    with as_probe_error():
        return shaped(OFFERED, cluster.api.list(f"{path}/limitranges"), cluster.api.list(f"{path}/resourcequotas"))


def fits(answer: Evidence) -> bool:
    """Whether an offered pod was let in, or would be in a namespace whose quota has room."""
    return answer.status == 201 or only_quota_refused(answer)


def may_bring(answer: Evidence) -> bool | None:
    """Whether who offers a compliant pod may bring one there; None where nobody came to be asked, or no answer was come to.

    The first of these is that our administrator may not impersonate whom we would be.
    """
    undecided = answer.status is None or answer.status in _UNDECIDED or answer.status >= _BROKEN
    return None if undecided or (answer.status == 403 and _NOT_HIM in answer.detail) else fits(answer)


def offered_pod(image: str, check: Check | None = None, *, room: Resources = OFFERED) -> Spec:
    """A pod that every level lets in, or one that differs from it by what one check forbids.

    Args:
        room: its requests and limits, as :func:`room_in` tells them.
    """
    spec: Spec = {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "probe",
                "image": image,
                "command": ["true"],
                "securityContext": copy.deepcopy(container_security()),
                "resources": copy.deepcopy(dict(room)),
            }
        ],
    }
    if check is not None:
        check.breaks(spec, spec["containers"][0])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "k8ssec-offer-"}, "spec": spec}


def offer(cluster: HasApi, namespace: str, manifest: Spec, guise: Guise = PLAIN) -> Evidence:
    """Offer a pod to a namespace as a dry run, to the cluster or one of its API servers: 201 means that it would run.

    Raises:
        ProbeError: no HTTP answer came.
    """
    answer, _ = offered(cluster, f"/api/v1/namespaces/{namespace}/pods", manifest, guise=guise)
    return answer
