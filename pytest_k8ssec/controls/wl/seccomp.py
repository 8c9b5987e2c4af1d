"""Each process of the stack runs under a seccomp filter, and under AppArmor where nodes have it.

A filter takes the system calls away that no service needs, and most ways out of a container begin with one of those. A
workload can do without it: by `seccompProfile: {type: Unconfined}` on the pod or on one container, by `privileged: true`, or
by saying nothing where the kubelet has no default. So a twin of each container, init containers too, reads from the kernel
what it runs under: `Seccomp: 2` in /proc/self/status means a filter, `Seccomp: 0` means none. A pod of ours on the same node
that may do everything must be seen to have none.

A filter may let everything through, as a profile of a team's own (`Localhost`) that was made to log. So the twin makes three
system calls that change nothing, and that runtimes' own filters refuse: keyctl, kcmp with itself, and get_mempolicy. If none
is refused that the unrestricted pod makes, the filter is none.

AppArmor is judged on nodes where a pod of ours that asks for nothing runs under a profile, as only there a pod could have
one: in /proc/self/attr/current `unconfined` is none, and one in the mode `complain` forbids nothing. On other nodes this is
noted: their kernel has no AppArmor, or their container runtime does not use it.

What else a profile of a team's own lets through is not judged, and a note says so.

Remediation: `seccompProfile: {type: RuntimeDefault}` in the pod's securityContext, no other one in a container's, no
`privileged: true`, no `appArmorProfile: {type: Unconfined}`. A container that needs one is declared in
`[tool.k8ssec.allow.wl-seccomp]` as `"namespace/workload/container" = "reason"`, a whole workload as `"namespace/workload"`.

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
        seccompProfile: {type: RuntimeDefault}
      containers:
        - name: shop
          image: registry.example.com/shop:1.0
```

Sources: CIS Kubernetes Benchmark 5.6.2; https://kubernetes.io/docs/concepts/security/pod-security-standards/ (Seccomp, AppArmor);
https://kubernetes.io/docs/tutorials/security/apparmor/
"""

from __future__ import annotations

import copy
import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_k8ssec.agent.tasks import Privileges, SystemCalls
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.catalogue.declared import Declared
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.controls.wl import CONTAINER_DIMENSIONS, ContainerSuspect, containers_on_trial
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.evidence.causes import Fields
from pytest_k8ssec.facts.culprits.template_fields import NO_APP_ARMOR, NO_SECCOMP, OWN_SECCOMP, PRIVILEGED
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.sabotages.rollout import LOOSENED, deployment, weakened
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import Judge

_FILTER, _CALLS = "run without a seccomp filter", "make each system call that a runtime's own filter refuses"
_CHECKS = (_FILTER, _CALLS)
_FILTERED = {0: False, 2: True}
"""Seccomp modes (https://man7.org/linux/man-pages/man5/proc_pid_status.5.html); any other one says nothing."""
_FREE = ("unconfined", "(complain)", "(unconfined)")
"""How a profile's line ends that forbids nothing (https://man7.org/linux/man-pages/man2/aa_getcon.2.html)."""
_PROFILES = "/var/lib/kubelet/seccomp"
"""Where kubelets look for profiles of a team's own (https://kubernetes.io/docs/reference/node/seccomp/)."""
_REFUSED = ("EPERM", "EACCES", "ENOSYS", "killed")
"""What a filter does with a system call: an error of its choice, or the end of the process."""
_UNCONFINED = {"seccompProfile": {"type": "Unconfined"}}


@control(
    severity=Severity.MEDIUM,
    subject="stack",
    cis=("5.6.2",),
    nsa=("N1",),
    mitre=("T1611",),
    others=("C-0210",),
    apart=True,
    dimensions=CONTAINER_DIMENSIONS,
    blames=(Fields,),
    finding="{case} can {attack}",
)
def test_wl_seccomp(judge: Judge, stack: Stack, pool: Pool, allowed: Mapping[str, str]) -> None:
    """Let a twin of each container read its seccomp mode and its AppArmor profile, and make three system calls."""
    nodes: dict[str, Evidence] = {}
    with containers_on_trial(judge, stack, pool, Declared(judge, allowed), _CHECKS) as suspects:
        for suspect in suspects:
            seen, made = suspect.pod.probe(Privileges(), SystemCalls())
            free, shown_made = suspect.unrestricted.probe(Privileges(), SystemCalls())
            filtered, shown = _is_filtered(seen), _is_filtered(free)
            free_of_it = None if filtered is None else not filtered
            given = suspect.set_wrong(NO_SECCOMP, PRIVILEGED)
            suspect.case.attack(_FILTER, seen, through=free_of_it, at=suspect.at(_FILTER), cause=given)
            suspect.case.positive(
                "an unrestricted pod is seen to have none", free, succeeded=None if shown is None else not shown
            )
            _calls(suspect, made, shown_made)
            if _profile(suspect.template) == "Localhost" and filtered:
                judge.note(
                    f"{suspect.case.name}: its seccomp profile is its own; not all that it lets through is judged"
                )
            node = suspect.pod.source.node
            if node not in nodes:
                nodes[node] = _of_default(judge, pool, node)
            _app_armor(suspect, seen, free, nodes[node])


def _of_default(judge: Judge, pool: Pool, node: str) -> Evidence:
    """What a pod of ours on a node sees that asks for no AppArmor profile; a note where that is none."""
    (pod,) = pool.lease(PodSpec(pool.namespace("canary"), node=node, purpose="apparmor"))
    (seen,) = pod.probe(Privileges())
    if _is_confined(seen) is False or _has_no_app_armor(seen):
        judge.note(f"node {node}: gives no pod an AppArmor profile, so none is asked for there")
    return seen


def _calls(suspect: ContainerSuspect, made: Evidence, shown: Evidence) -> None:
    """Record whether a filter refuses any of the system calls that a pod without one makes."""
    usual = [name for name, became in shown.facts.items() if became not in _REFUSED]
    refused = [name for name in usual if made.facts.get(name) in _REFUSED]
    known = made.outcome is Outcome.DONE and bool(usual) and made.facts.keys() >= set(usual)
    given = suspect.set_wrong(OWN_SECCOMP, PRIVILEGED)
    suspect.case.attack(_CALLS, made, through=not refused if known else None, at=suspect.at(_CALLS), cause=given)
    suspect.case.positive("an unrestricted pod makes some of them", shown, succeeded=bool(usual))


def _app_armor(suspect: ContainerSuspect, seen: Evidence, free: Evidence, usual: Evidence) -> None:
    """Record the profile of a twin, where pods of its node have one."""
    if _is_confined(usual) is False or _has_no_app_armor(usual):
        return
    confined, shown = _is_confined(seen), _is_confined(free)
    case = suspect.case
    given = suspect.set_wrong(NO_APP_ARMOR, PRIVILEGED)
    free_of_it = None if confined is None else not confined
    case.attack("run without an AppArmor profile", seen, through=free_of_it, cause=given)
    case.positive("a pod that asks for no profile has one", usual, succeeded=_is_confined(usual))
    case.positive(
        "an unrestricted pod is seen to have no profile", free, succeeded=None if shown is None else not shown
    )


def _is_filtered(seen: Evidence) -> bool | None:
    """Whether a seccomp filter is in force; None where that can't be told."""
    return _FILTERED.get(seen.facts.get("seccomp", -1)) if seen.outcome is Outcome.DONE else None


def _has_no_app_armor(seen: Evidence) -> bool:
    """Whether the kernel is known to have no AppArmor."""
    return seen.outcome is Outcome.DONE and seen.facts.get("apparmor", "") is None


def _is_confined(seen: Evidence) -> bool | None:
    """Whether an AppArmor profile is enforced; None where that can't be told."""
    profile = seen.facts.get("apparmor") if seen.outcome is Outcome.DONE else None
    return not str(profile).endswith(_FREE) if profile else None


def _profile(template: Mapping[str, Any]) -> str:
    """The type of the profile that the main container of a template asks for; its own one wins over its pod's."""
    spec = template["spec"]
    asked = {**(spec.get("securityContext") or {}), **(spec["containers"][0].get("securityContext") or {})}
    return str((asked.get("seccompProfile") or {}).get("type", ""))


@sabotage(test_wl_seccomp, means=LOOSENED)
def unconfined_container(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """A container of the stack asks to be unconfined, while its pod asks for the runtime's profile."""
    with weakened(cluster.api, deployment(cluster.api, stack), container=_UNCONFINED) as proof:
        yield proof


@sabotage(test_wl_seccomp, means=LOOSENED)
def unconfined_pod(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """A pod of the stack asks to be unconfined, and its containers ask for nothing."""
    security = {"runAsNonRoot": True, "runAsUser": 65532, **_UNCONFINED}
    with weakened(
        cluster.api,
        deployment(cluster.api, stack),
        container={"seccompProfile": None},
        pod={"securityContext": security},
    ) as proof:
        yield proof


@sabotage(
    test_wl_seccomp, kills=("blast-radius",), means=LOOSENED
)  # a further container is a further place to begin at
def unconfined_init_container(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """A workload of the stack has an init container that asks to be unconfined; all else of it keeps its profile."""
    workload = deployment(cluster.api, stack)
    main = workload.template["spec"]["containers"][0]
    first = {
        **{key: copy.deepcopy(main[key]) for key in ("image", "imagePullPolicy", "resources") if key in main},
        "name": "k8ssec-init",
        "command": ["true"],
        "securityContext": {**(main.get("securityContext") or {}), **_UNCONFINED},
    }
    others = workload.template["spec"].get("initContainers") or []
    with weakened(cluster.api, workload, pod={"initContainers": [*others, first]}) as proof:
        yield proof


@sabotage(test_wl_seccomp)
def hollow_profile(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """A container of the stack has a profile of its own that lets nearly everything through: Pod Security allows that."""
    name = f"k8ssec-hollow-{secrets.token_hex(3)}.json"
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}]}
    write = f"mkdir -p {_PROFILES} && cat > {_PROFILES}/{name}"
    security = {"seccompProfile": {"type": "Localhost", "localhostProfile": name}}
    try:
        for node in cluster.nodes:
            cluster.on_node(node, ["sh", "-c", write], stdin=json.dumps(profile).encode())
        with weakened(cluster.api, deployment(cluster.api, stack), container=security, level="") as proof:
            yield proof
    finally:
        for node in cluster.nodes:
            cluster.on_node(node, ["rm", "-f", f"{_PROFILES}/{name}"])
