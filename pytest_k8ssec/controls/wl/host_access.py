"""No process of the stack reaches its node's files, processes, network or container runtime.

A hostPath volume, a shared process or network namespace or the runtime's socket is a way out of the container: with any
of them, whoever gets into the pod is soon root on its node. Small files are planted on each node: in its root, in
folders that hostPath volumes usually name, and in those that the stack's own name. A twin of each container looks for
them under each of its mounts and under /proc/1/root, looks for the container runtime's socket, and reports its kernel
namespaces, none of which may be its node's. A path that it mounts by a hostPath, or by a claim of a volume that is a
folder of a node, is compared with the node's own, as nothing can be planted in a file. Twins are made of live pods as
they are, and of the template where it differs. A pod of ours on the same node that may do everything must find all of
them.

Remediation: no `hostPath` volumes and no PersistentVolumes of such folders (Pod Security lets those in), no `hostPID`,
`hostIPC`, `hostNetwork`; Pod Security `baseline` refuses the rest. An agent that needs one is declared in
`[tool.k8ssec.allow.wl-host-access]` as `"namespace/workload" = "reason"`.

```yaml
# refuses pods with hostPath, hostPID, hostIPC, hostNetwork and privileged containers
apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels:
    pod-security.kubernetes.io/enforce: baseline
    pod-security.kubernetes.io/enforce-version: latest
```

Sources: CIS Kubernetes Benchmark 5.2.3 to 5.2.5, 5.2.11; https://kubernetes.io/docs/concepts/storage/volumes/#hostpath
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_k8ssec.agent.tasks import HostFile, Namespaces, WhichFile
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.catalogue.declared import Declared
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.controls.wl import CONTAINER_DIMENSIONS, ContainerSuspect, containers_in_lots
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.evidence.causes import Fields
from pytest_k8ssec.facts.culprits.template_fields import CLAIMS, HOST_PATHS, HOST_SPACES, PRIVILEGED
from pytest_k8ssec.pods.claims import claimed_folders
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.planted_files import RUNTIME_SOCKETS, Planted, host_mounts, planted
from pytest_k8ssec.sabotages.claimed_folder import claimed_folder
from pytest_k8ssec.sabotages.rollout import LOOSENED, deployment, weakened
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import Judge

_READ, _REACH = "read a file of the node", "reach the container runtime"
_SHARED = {
    "ipc": "share the node's IPC namespace",
    "mnt": "share the node's mount namespace",
    "net": "share the node's network namespace",
    "pid": "share the node's process namespace",
}
_CHECKS = (_READ, _REACH, *_SHARED.values())
_FOUND = {Outcome.DONE: True, Outcome.ABSENT: False}
_REACHED = {**_FOUND, Outcome.DENIED: True}
"""A socket that is there but may not be opened: whoever gets to be its owner opens it."""


@control(
    severity=Severity.CRITICAL,
    subject="stack",
    cis=("5.2.3", "5.2.4", "5.2.5", "5.2.11"),
    others=("C-0038", "C-0041", "C-0048", "C-0074", "KHV047"),
    dimensions=CONTAINER_DIMENSIONS,
    blames=(Fields,),
    finding="{case} can {attack}",
)
def test_wl_host_access(judge: Judge, cluster: Cluster, stack: Stack, pool: Pool, allowed: Mapping[str, str]) -> None:
    """Let a twin of each container look for its node's files, namespaces and runtime socket."""
    with containers_in_lots(judge, stack, pool, Declared(judge, allowed), _CHECKS) as lots:
        for suspects in lots:
            namespaces = {each.workload.namespace for each in suspects}
            _in_turn(judge, cluster, suspects, {each: claimed_folders(cluster.api, each) for each in namespaces})


def _in_turn(
    judge: Judge, cluster: Cluster, suspects: Sequence[ContainerSuspect], claimed: Mapping[str, Mapping[str, str]]
) -> None:
    """One node after the other, as files are planted there.

    Args:
        claimed: the folder of a node that each claim of a namespace is.
    """
    mounts = [host_mounts(suspect.template, claimed[suspect.workload.namespace]) for suspect in suspects]
    for suspect, own in zip(suspects, mounts, strict=True):
        for place, path in own.items():
            judge.coverage.exists(**suspect.at(_mount(place, path)))
    mounted = sorted({path for each in mounts for path in each.values()})
    for name in sorted({suspect.pod.source.node for suspect in suspects}):
        node = next(node for node in cluster.nodes if node.name == name)
        with planted(cluster, node, mounted) as traces:
            for suspect, own in zip(suspects, mounts, strict=True):
                if suspect.pod.source.node == name:
                    _attack(suspect, own, traces)


def _attack(suspect: ContainerSuspect, mounts: Mapping[str, str], traces: Planted) -> None:
    case = suspect.case
    file, socket, spaces = _look(suspect.pod, traces)
    shown_file, shown_socket, shown_spaces = _look(suspect.unrestricted, traces)
    mounted = suspect.set_wrong(HOST_PATHS, CLAIMS, PRIVILEGED)
    case.attack(_READ, file, through=_FOUND.get(file.outcome), at=suspect.at(_READ), cause=mounted)
    case.attack(_REACH, socket, through=_REACHED.get(socket.outcome), at=suspect.at(_REACH), cause=mounted)
    for place, path in mounts.items():
        (here,) = suspect.pod.probe(WhichFile(place))
        same = here.facts.get("file") == traces.files.get(path, "none")
        what = _mount(place, path)
        case.attack(what, here, through=True if same else None, at=suspect.at(what), cause=mounted)
    for kind, what in _SHARED.items():
        known = spaces.outcome is Outcome.DONE
        through = spaces.facts[kind] == traces.namespaces[kind] if known else None
        shared = suspect.set_wrong(HOST_SPACES[kind]) if kind in HOST_SPACES else ()
        case.attack(what, spaces, through=through, at=suspect.at(what), cause=shared)
    case.positive("an unrestricted pod reads a file of the node", shown_file, succeeded=_FOUND.get(shown_file.outcome))
    case.positive("an unrestricted pod reaches the runtime", shown_socket, succeeded=_FOUND.get(shown_socket.outcome))
    case.positive(
        "an unrestricted pod shares the node's process namespace",
        shown_spaces,
        succeeded=shown_spaces.facts.get("pid") == traces.namespaces["pid"],
    )


def _mount(place: str, path: str) -> str:
    return f"mount {path} of the node at {place}"


def _look(pod: Pod, traces: Planted) -> list[Evidence]:
    return pod.probe(HostFile(traces.paths, traces.nonce), RUNTIME_SOCKETS, Namespaces())


@sabotage(
    test_wl_host_access,
    shows=("mount /var/log of the node at",),
    kills={"blast-radius": ("new edge host-read:",)},
    means=LOOSENED,
)
def host_path_mounted(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """A workload of the stack mounts its node's logs."""
    volume = {"name": "node", "hostPath": {"path": "/var/log"}}
    with weakened(cluster.api, deployment(cluster.api, stack), volume=(volume, "/node")) as proof:
        yield proof


@sabotage(
    test_wl_host_access, shows=(_SHARED["pid"],), kills={"blast-radius": ("new edge host-namespace:",)}, means=LOOSENED
)
def host_processes_shared(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """A workload of the stack shares its node's process namespace."""
    with weakened(cluster.api, deployment(cluster.api, stack), pod={"hostPID": True}) as proof:
        yield proof


@sabotage(
    test_wl_host_access,
    shows=("mount /etc/kubernetes of the node at",),
    kills={"blast-radius": ("new edge host-read:",)},
)
def host_folder_claimed(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """A workload of the stack claims a volume that is a folder of its node: Pod Security lets that in."""
    with claimed_folder(cluster.api, stack, "/etc/kubernetes") as proof:
        yield proof
