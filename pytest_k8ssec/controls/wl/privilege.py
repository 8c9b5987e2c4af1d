"""No process of the stack has privileges to begin with, nor can it get any.

A container is a process of its node. What keeps it in is that it is nobody there: no root, no capability, no way to
gain one by a setuid program, and no place to write a tool to. A twin of each container of the stack asks the kernel
what it is (/proc/self/status), tries to mount a file system in a mount namespace of its own, and to create a file on
its root file system. EROFS alone proves a read-only root: EACCES proves only that the process is not its owner. A pod
of ours on the same node that may do everything does the same, and must get through.

A twin is made of a live pod's own spec, and of the template where that differs. It runs as the user that the container was
started as, so an image's `USER` counts; where neither spec nor image tells, nothing is said of root.

A capability that is needed is declared in `[tool.k8ssec.allow.wl-privilege]` as `"namespace/workload:NET_BIND_SERVICE"
= "reason"`, one container as `"namespace/workload/container" = "reason"`, a whole workload as `"namespace/workload" =
"reason"`. `"DaemonSet namespace/workload"` tells it from another kind of that name.

Remediation: give each container a securityContext with `runAsNonRoot: true`, `allowPrivilegeEscalation: false`,
`readOnlyRootFilesystem: true`, `capabilities.drop: [ALL]`, and an emptyDir where it has to write.

```yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
spec:
  selector: {matchLabels: {app.kubernetes.io/name: shop}}
  template:
    metadata: {labels: {app.kubernetes.io/name: shop}}
    spec:
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        seccompProfile: {type: RuntimeDefault}
      containers:
        - name: shop
          image: registry.example.com/shop:1.0
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
          volumeMounts:
            - {name: scratch, mountPath: /tmp}
      volumes:
        - name: scratch
          emptyDir: {}
```

Sources: CIS Kubernetes Benchmark 5.2.2, 5.2.6, 5.2.7;
https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pytest_k8ssec.agent.tasks import Mount, Privileges, Task, Write
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.catalogue.declared import Declared
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.controls.wl import CONTAINER_DIMENSIONS, ContainerSuspect, containers_on_trial
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.evidence.causes import Fields
from pytest_k8ssec.facts.capabilities import names
from pytest_k8ssec.facts.culprits.template_fields import (
    AS_ROOT,
    KEPT_CAPABILITIES,
    MAY_GAIN,
    MORE_CAPABILITIES,
    PRIVILEGED,
    WRITABLE_ROOT,
)
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.sabotages.rollout import LOOSENED, deployment, weakened
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import Judge

_FOLDERS = ("/", "/tmp", "/var/tmp")  # noqa: S108 - in a container
_TASKS: tuple[Task, ...] = (Privileges(), Mount(), *map(Write, _FOLDERS))
_ROOT, _CAPABILITY, _GAIN = "be root", "use a capability", "gain privileges by a program"
_MOUNT = "mount a file system"
_CHECKS = (_ROOT, _CAPABILITY, _GAIN, _MOUNT, *(f"write to {folder}" for folder in _FOLDERS))
_UNTOLD = "nobody tells as whom its image starts it, and its spec does not either"
_AS_ROOT = {"runAsUser": 0, "runAsNonRoot": False}


@control(
    severity=Severity.CRITICAL,
    subject="stack",
    cis=("5.2.2", "5.2.6", "5.2.7"),
    others=("C-0013", "C-0016", "C-0017", "C-0057", "KSV-0014", "KSV-0017"),
    dimensions=CONTAINER_DIMENSIONS,
    blames=(Fields,),
    finding="{case} can {attack}",
)
def test_wl_privilege(judge: Judge, stack: Stack, pool: Pool, allowed: Mapping[str, str]) -> None:
    """Let a twin of each container look at itself, mount a file system and write to its root."""
    declared = Declared(judge, allowed)
    with containers_on_trial(judge, stack, pool, declared, _CHECKS) as suspects:
        for suspect in suspects:
            seen, mounted, *written = suspect.pod.probe(*_TASKS)
            _itself(suspect, seen, declared)
            free = suspect.set_wrong(PRIVILEGED, MORE_CAPABILITIES)
            suspect.case.attack(_MOUNT, mounted, through=_done(mounted), at=suspect.at(_MOUNT), cause=free)
            for folder, answer in zip(_FOLDERS, written, strict=True):
                at = suspect.at(f"write to {folder}")
                if answer.outcome is Outcome.ABSENT:
                    judge.coverage.absent("there is no such folder", **at)
                else:
                    open_root = suspect.set_wrong(WRITABLE_ROOT)
                    suspect.case.attack(f"write to {folder}", answer, through=_written(answer), at=at, cause=open_root)
            _shown(suspect)


def _itself(suspect: ContainerSuspect, seen: Evidence, declared: Declared) -> None:
    known = seen.outcome is Outcome.DONE
    has = names(seen.facts["effective"]) if known else ()
    held = [name for name in has if not declared.covers(*(f"{each}:{name}" for each in suspect.names))]
    what = f"use capabilities: {', '.join(held)}" if held else _CAPABILITY
    # A twin whose image's user nobody told runs as root: that it has something then says nothing.
    told = known and suspect.user_is_known
    root = seen if suspect.user_is_known else replace(seen, detail=f"{_UNTOLD}; its twin: {seen.detail}")
    is_root = seen.facts["uid"] == 0 if told else None
    suspect.case.attack(_ROOT, root, through=is_root, at=suspect.at(_ROOT), cause=suspect.set_wrong(AS_ROOT))
    through = bool(held) if told or (known and not held) else None
    given = suspect.set_wrong(PRIVILEGED, MORE_CAPABILITIES, KEPT_CAPABILITIES)
    used = [[f"{each}:{name}" for each in suspect.names] for name in held]
    suspect.case.attack(what, seen, through=through, at=suspect.at(_CAPABILITY), cause=given, used=used)
    gains = not seen.facts["no_new_privileges"] if known else None
    suspect.case.attack(_GAIN, seen, through=gains, at=suspect.at(_GAIN), cause=suspect.set_wrong(MAY_GAIN, PRIVILEGED))


def _done(answer: Evidence) -> bool | None:
    return {Outcome.DONE: True, Outcome.DENIED: False}.get(answer.outcome)


def _written(answer: Evidence) -> bool | None:
    """EACCES says nothing: whoever gets to be the folder's owner writes."""
    return False if answer.outcome is Outcome.DENIED and answer.detail == "EROFS" else _done(answer) or None


def _shown(suspect: ContainerSuspect) -> None:
    """The same attacks by a pod that may do everything, on the same node."""
    seen, mounted, written, *_ = suspect.unrestricted.probe(*_TASKS)
    free = seen.outcome is Outcome.DONE and seen.facts["uid"] == 0 and bool(seen.facts["effective"])
    suspect.case.positive("an unrestricted pod sees that it is root", seen, succeeded=free)
    suspect.case.positive("an unrestricted pod mounts", mounted, succeeded=_done(mounted))
    suspect.case.positive("an unrestricted pod writes", written, succeeded=_done(written))


@sabotage(
    test_wl_privilege,
    kills={"blast-radius": ("new edge privileged-mount:",), "wl-netraw": (), "wl-seccomp": ()},
    means=LOOSENED,
)
def privileged_container(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """A workload of the stack runs privileged, in a namespace that lets it."""
    with weakened(
        cluster.api,
        deployment(cluster.api, stack),
        container={**_AS_ROOT, "privileged": True, "allowPrivilegeEscalation": True},
    ) as proof:
        yield proof


@sabotage(test_wl_privilege)
def runs_as_root(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """A workload of the stack runs as root, without capabilities, in a namespace of the level `baseline`: that lets it."""
    with weakened(cluster.api, deployment(cluster.api, stack), container=_AS_ROOT, level="baseline") as proof:
        yield proof


@sabotage(test_wl_privilege)
def writable_root(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """A workload of the stack has a root file system that can be written: no Pod Security level forbids it."""
    with weakened(
        cluster.api, deployment(cluster.api, stack), container={"readOnlyRootFilesystem": False}, level=""
    ) as proof:
        yield proof
