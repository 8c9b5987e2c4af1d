"""Group 7 of the walk: which ways lead out of a container to its node.

If a container does not get something, the edge is refuted only if a canary on the same node got it at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_k8ssec.agent.tasks import HostFile, Namespaces, Privileges, Task, WhichFile, Writable
from pytest_k8ssec.attack.container import Answers, Container
from pytest_k8ssec.attack.graph import Edge, Kind, Status, Vertex
from pytest_k8ssec.attack.placement import Scene
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.facts.capabilities import names
from pytest_k8ssec.probes.planted_files import RUNTIME_SOCKETS, Planted

_KUBELET = "/var/lib/kubelet"
"""Where a node keeps the volumes of its pods, tokens among them, and its own certificate."""
KEYS = (_KUBELET, "/etc/kubernetes", "/var/lib/etcd")
"""Where tokens and keys lie on a node; but for the first, on a control plane alone. A file of ours is planted there."""
_CORE = "/proc/sys/kernel/core_pattern"
_FOUND = {Outcome.DONE: Status.PROVEN, Outcome.ABSENT: Status.REFUTED}
_BY_CAPABILITY = {"privileged-mount": "SYS_ADMIN", "module-load": "SYS_MODULE", "token-paths": "DAC_READ_SEARCH"}
"""Inferred only: to try them would change the node, or read its files by guessed handles (open_by_handle_at)."""


def host_tasks(scene: Scene, node: str, traces: Planted) -> list[Task]:
    """What containers and canaries on a node, given by its name, are both asked about it."""
    return [Privileges(), *_files(scene, node, traces), RUNTIME_SOCKETS, Namespaces(), Writable(_CORE)]


def own_tasks(container: Container) -> list[Task]:
    """What one container is asked besides: whether what it mounts of its node is its kernel's."""
    return [Writable(path) for path in _cores(container)]


def _files(scene: Scene, node: str, traces: Planted) -> tuple[HostFile, HostFile]:
    """The canaries anywhere on the node, and those beside its keys."""
    beside = tuple(path for path in traces.paths if _among_keys(scene, node, path))
    return HostFile(traces.paths, traces.nonce), HostFile(beside, traces.nonce)


def _among_keys(scene: Scene, node: str, path: str) -> bool:
    control_plane = any(each.control_plane and each.name == node for each in scene.cluster.nodes)
    folders = KEYS if control_plane else (_KUBELET,)
    return any(f"{path}/".startswith(f"{folder}/") for folder in folders)


def _cores(container: Container) -> list[str]:
    """Where the kernel's core pattern is seen through what is mounted of the node."""
    mounted = ((place, path.rstrip("/")) for place, path in container.mounts.items())
    return [place.rstrip("/") + _CORE[len(path) :] for place, path in mounted if f"{_CORE}/".startswith(f"{path}/")]


def ways_out(container: Container, found: Answers, shown: Answers) -> Iterator[Edge]:
    """All edges to the node."""
    node = container.pod.source.node
    anywhere, keys = _files(container.scene, node, container.traces)
    privileges = found[str(Privileges())].evidence
    root = privileges.outcome is Outcome.DONE and privileges.facts["uid"] == 0
    held = set(names(privileges.facts["effective"])) if privileges.outcome is Outcome.DONE else set()
    files = Vertex(Kind.VOLUME, f"files of node {container.node.name}")

    def looked(kind: str, target: Vertex, task: Task) -> Edge:
        answer = found[str(task)].evidence
        status = _FOUND.get(answer.outcome, Status.UNKNOWN)
        if status is Status.REFUTED and shown[str(task)].evidence.outcome is not Outcome.DONE:
            status = Status.UNKNOWN
        return container.edge(kind, target, status, answer)

    read = looked("host-read", files, anywhere)
    yield read
    for place, path in container.mounts.items():
        here = found[str(WhichFile(place))].evidence
        if here.facts.get("file") == container.traces.files.get(path, "none"):
            yield container.edge("host-read", files, Status.PROVEN, here)
            if root and _among_keys(container.scene, node, path):  # a single file has nothing planted beside it
                yield container.edge("token-paths", container.node, Status.PROVEN, here)
    tokens = looked("token-paths", container.node, keys)
    status = Status.REFUTED if tokens.open and not root else tokens.status  # they are root's, in root's folders
    yield container.edge("token-paths", container.node, status, tokens.evidence)
    writes = read.open and bool(read.evidence.facts.get("writable"))
    # Root, beside the pods' volumes, has the node; that some other folder leads there is not tried.
    wrote = Status.PROVEN if status is Status.PROVEN else Status.INFERRED
    yield container.edge("host-write", container.node, wrote if writes else _not_open(read), read.evidence)
    runtime = looked("cri-socket", container.node, RUNTIME_SOCKETS)
    there = runtime.evidence.outcome is Outcome.DENIED  # who gets to be its owner opens it
    yield container.edge("cri-socket", container.node, Status.INFERRED if there else runtime.status, runtime.evidence)
    yield from _processes(container, found[str(Namespaces())].evidence, shown[str(Namespaces())].evidence, held)
    for kind, capability in _BY_CAPABILITY.items():
        yield container.edge(kind, container.node, _inferred(capability in held, privileges), privileges)
    for path in (_CORE, *_cores(container)):
        core = found[str(Writable(path))].evidence
        status = _inferred(core.outcome is Outcome.DONE, core)
        if status is Status.REFUTED and shown[str(Writable(_CORE))].evidence.outcome is not Outcome.DONE:
            status = Status.UNKNOWN
        yield container.edge("core-pattern", container.node, status, core)


def _processes(container: Container, spaces: Evidence, shown: Evidence, held: set[str]) -> Iterator[Edge]:
    known = spaces.outcome is Outcome.DONE and shown.facts.get("pid") == container.traces.namespaces["pid"]
    for kind, host in container.traces.namespaces.items():
        target = Vertex(Kind.ENDPOINT, f"{kind} namespace of node {container.node.name}")
        shared = spaces.facts.get(kind) == host
        status = Status.PROVEN if shared else Status.REFUTED
        yield container.edge("host-namespace", target, status if known else Status.UNKNOWN, spaces)
    among = spaces.facts.get("pid") == container.traces.namespaces["pid"]
    for edge, capability in (("nsenter", "SYS_ADMIN"), ("ptrace", "SYS_PTRACE")):
        status = _inferred(among and capability in held, spaces) if known else Status.UNKNOWN
        yield container.edge(edge, container.node, status, spaces)


def _inferred(possible: bool, evidence: Evidence) -> Status:  # noqa: FBT001 - a fact and how it is known
    if evidence.broken:
        return Status.UNKNOWN
    return Status.INFERRED if possible else Status.REFUTED


def _not_open(edge: Edge) -> Status:
    return Status.UNKNOWN if edge.status is Status.UNKNOWN else Status.REFUTED
