"""Groups 1, 5, 6 and 7 of the walk: what a process in a container finds, from where it stands.

All is asked in one exec. Whatever the container is refused is refuted only if a canary of ours, which may do everything, gets
it in the same moment from the same node; what the canary doesn't reach either is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_k8ssec.attack.graph import Edge, Kind, Status, Vertex
from pytest_k8ssec.attack.kinds import KINDS
from pytest_k8ssec.attack.meter import Meter
from pytest_k8ssec.attack.scene import Scene, secret_volumes, variables
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.probes.capabilities import names
from pytest_k8ssec.probes.cni import blocked
from pytest_k8ssec.probes.etcd import CLIENTS
from pytest_k8ssec.probes.identities import NOBODY, PUBLIC_BOOTSTRAP_TOKEN, Identity, holder, self_review
from pytest_k8ssec.probes.metadata import METADATA
from pytest_k8ssec.probes.planted import Planted, host_mounts
from pytest_k8ssec.probes.pool import Pod
from pytest_k8ssec.probes.tasks import (
    HostFile,
    HostSocket,
    Http,
    Namespaces,
    Privileges,
    Readable,
    Task,
    Tcp,
    Tokens,
    WhichFile,
    Writable,
)
from pytest_k8ssec.probes.vantage import Answer

KUBELET_FOLDER = "/var/lib/kubelet"
"""Where a node keeps the volumes of its pods, tokens among them; a canary is planted there."""
SOCKETS = HostSocket(
    ("/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/cri-dockerd.sock", "/run/docker.sock")
)
_API, _KUBELET, _ETCD = 6443, 10250, 2379
_RUN = f"/exec/default/{NOBODY}/{NOBODY}?command=true&output=1"
_CORE = "/proc/sys/kernel/core_pattern"
_FOUND = {Outcome.DONE: Status.PROVEN, Outcome.ABSENT: Status.REFUTED}
_BOOTSTRAP_USER = f"system:bootstrap:{PUBLIC_BOOTSTRAP_TOKEN.partition('.')[0]}"
_BY_CAPABILITY = {"privileged-mount": "SYS_ADMIN", "module-load": "SYS_MODULE"}
"""Inferred only: to try either would change the node."""


@dataclass(frozen=True, slots=True)
class Target:
    """One thing of the stack that listens."""

    vertex: Vertex
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Container:
    """One container to look round in."""

    name: str
    """``namespace/workload/container``."""
    template: Mapping[str, Any]
    """Its pod template, in which it is the main container."""
    pod: Pod
    """Its twin."""
    traces: Planted
    scene: Scene
    targets: Sequence[Target]

    @property
    def vertex(self) -> Vertex:
        """Where its edges leave from."""
        return Vertex(Kind.CONTAINER, self.name)

    @property
    def node(self) -> Vertex:
        """The node that it runs on."""
        return self.scene.node(self.pod.source.node)

    @property
    def tokens(self) -> Tokens:
        """The search for tokens; those in the node's own files are told by another edge."""
        return Tokens(tuple(host_mounts(self.template)))

    def edge(self, kind: str, target: Vertex, status: Status, evidence: Evidence) -> Edge:
        """An edge that leaves from it; what a broken probe says is unknown."""
        known = Status.UNKNOWN if evidence.broken else status
        return Edge(KINDS[kind], self.vertex, target, known, evidence)


_Answers = dict[str, Answer]
"""By the task's own words: a task may hold what can't be a key."""


@dataclass(frozen=True, slots=True)
class Look:
    """What came of looking round in one container."""

    container: Container
    found: _Answers
    shown: _Answers
    """What a canary of ours, which may do everything, found on the same node at the same time."""


def look(container: Container, shown: _Answers) -> Look:
    """Look round in a container, in one exec.

    Raises:
        ProbeError: the exec broke.
    """
    mounts = container.template["spec"]["containers"][0].get("volumeMounts") or ()
    own: list[Task] = [container.tokens, Privileges()]
    own += [WhichFile(each["mountPath"]) for each in mounts]
    held = secret_volumes(container.template["spec"])
    own += [Readable(each["mountPath"]) for each in mounts if each["name"] in held]  # no others: a node's hold devices
    own += [*_shared(container.scene, container.traces), *(Tcp(each.address, each.port) for each in container.targets)]
    return Look(container, _asked(container.pod, own), shown)


def look_as_canary(pod: Pod, scene: Scene, traces: Planted) -> _Answers:
    """What a pod of ours that may do everything finds where containers on its node look, too. Raises ProbeError."""
    return _asked(pod, _shared(scene, traces))


def _asked(pod: Pod, tasks: Sequence[Task]) -> _Answers:
    distinct = {str(task): task for task in tasks}
    return dict(zip(distinct, pod.ask(*distinct.values()), strict=True))


def of_look(looked: Look, meter: Meter, identities: dict[str, Identity]) -> Iterator[Edge]:
    """All edges that leave a container by what is in it and around it.

    Args:
        identities: by user, those whose tokens were found; filled as they are.

    Raises:
        BoundReached: the walk may not go on; what came so far stands.
        ProbeError: no HTTP answer came.
    """
    container, found, shown = looked.container, looked.found, looked.shown
    yield from _volumes(container, found)
    yield from _tokens(container, found[str(container.tokens)], meter, identities)
    yield from _network(container, found, shown, identities)
    yield from _host(container, found, shown)


# -- 1: local ---------------------------------------------------------------------------------------------------------


def _volumes(container: Container, found: _Answers) -> Iterator[Edge]:
    spec = container.template["spec"]
    namespace, workload, _ = container.name.split("/")
    held = secret_volumes(spec)
    for mount in spec["containers"][0].get("volumeMounts") or ():
        volume = Vertex(Kind.VOLUME, f"{namespace}/{workload}/{mount['name']}")
        there = found[str(WhichFile(mount["mountPath"]))].evidence
        status = {Outcome.DONE: Status.PROVEN, Outcome.DENIED: Status.REFUTED}.get(there.outcome, Status.UNKNOWN)
        yield container.edge("volume-discover", volume, status, there)
        for secret in held.get(mount["name"], ()):
            opened = found[str(Readable(mount["mountPath"]))].evidence
            known = Status.UNKNOWN if opened.broken else _FOUND.get(opened.outcome, Status.UNKNOWN)
            yield Edge(KINDS["secret-volume"], volume, Vertex(Kind.SECRET, f"{namespace}/{secret}"), known, opened)
    for secret in variables(spec["containers"][:1]):
        told = container.scene.told(f"the pod template of {workload}", "a twin has none of its variables")
        yield container.edge("secret-variable", Vertex(Kind.SECRET, f"{namespace}/{secret}"), Status.INFERRED, told)


def _tokens(container: Container, answer: Answer, meter: Meter, identities: dict[str, Identity]) -> Iterator[Edge]:
    """Each token that was found, shown to the API server, which says whom it makes us."""
    account = str(container.template["spec"].get("serviceAccountName") or "default")
    own = Vertex(Kind.IDENTITY, f"system:serviceaccount:{container.pod.vantage.namespace}:{account}")
    tokens = answer.raw.get("tokens", [])
    if not tokens:
        known = Status.REFUTED if answer.evidence.outcome is Outcome.ABSENT else Status.UNKNOWN
        yield container.edge("token-steal", own, known, answer.evidence)
    for token in tokens:
        claimed = str(token["claims"].get("sub", ""))
        meter.request()
        identity = holder(container.scene.cluster.api, token["token"], claimed)
        review = identity.who_am_i()
        status = {201: Status.PROVEN, 401: Status.REFUTED}.get(review.status or 0, Status.UNKNOWN)
        user = review.detail if status is Status.PROVEN else claimed
        if status is Status.PROVEN:
            identities[user] = identity
        yield container.edge("token-steal", Vertex(Kind.IDENTITY, user), status, review)


# -- 5 and 6: network, join -------------------------------------------------------------------------------------------


def _shared(scene: Scene, traces: Planted) -> list[Task]:
    """What containers and canaries are asked alike: the node, the control plane, kubelets and the metadata service.

    At each door a connect, and one harmless question.
    """
    tasks: list[Task] = [*_files(traces), SOCKETS, Namespaces(), Writable(_CORE), METADATA]
    for node in scene.cluster.nodes:
        tasks += [Tcp(node.address, _KUBELET), _kubelet(node)]
        if node.control_plane:
            tasks += [Tcp(node.address, _API), _join(node), Tcp(node.address, _ETCD), _etcd(node)]
    return tasks


def _kubelet(node: Node) -> Http:
    return Http(node.address, _KUBELET, _RUN)


def _etcd(node: Node) -> Http:
    return Http(
        node.address, _ETCD, CLIENTS.path, method=CLIENTS.method, body=CLIENTS.body, identity="without a certificate"
    )


def _join(node: Node) -> Http:
    return self_review(node.address, _API, PUBLIC_BOOTSTRAP_TOKEN, "with kind's public bootstrap token")


def _network(container: Container, found: _Answers, shown: _Answers, identities: dict[str, Identity]) -> Iterator[Edge]:
    for node in container.scene.cluster.nodes:
        short = container.scene.short(node.name)
        yield from _door(container, Tcp(node.address, _KUBELET), f"kubelet on {short}", found, shown)
        answer = found[str(_kubelet(node))].evidence
        through = {200: True, 400: True, 404: True, 401: False, 403: False}
        yield from _spoken(container, "kubelet-anonymous", Vertex(Kind.KUBELET, short), answer, through)
        if not node.control_plane:
            continue
        yield from _door(container, Tcp(node.address, _ETCD), f"etcd on {short}", found, shown)
        etcd, refused = found[str(_etcd(node))].evidence, (Outcome.TLS_ALERT, Outcome.CLOSED)
        if etcd.outcome in refused:
            yield container.edge("etcd-read", Vertex(Kind.ETCD, short), Status.REFUTED, etcd)
        else:
            yield from _spoken(container, "etcd-read", Vertex(Kind.ETCD, short), etcd, {200: True, 401: False})
        yield from _door(container, Tcp(node.address, _API), f"API server on {short}", found, shown)
        joined = found[str(_join(node))].evidence
        who = Vertex(Kind.IDENTITY, _BOOTSTRAP_USER)
        for edge in _spoken(container, "bootstrap-token", who, joined, {201: True, 401: False}):
            if edge.open:
                api = container.scene.cluster.api
                identities[who.name] = Identity(api, who.name, PUBLIC_BOOTSTRAP_TOKEN)
            yield edge
    for edge in _door(container, METADATA, "metadata service", found, shown):
        yield Edge(KINDS["metadata"], edge.source, edge.target, edge.status, edge.evidence)
    yield from _others(container, found)


def _door(container: Container, task: Task, name: str, found: _Answers, shown: _Answers) -> Iterator[Edge]:
    """One connection to what listens; where neither the container nor the canary gets one, there is nothing."""
    answer, known = found[str(task)].evidence, shown[str(task)].evidence
    stopped = blocked(answer)
    if stopped is False:
        yield container.edge("endpoint", Vertex(Kind.ENDPOINT, name), Status.PROVEN, answer)
    elif blocked(known) is False:
        status = Status.REFUTED if stopped else Status.UNKNOWN
        yield container.edge("endpoint", Vertex(Kind.ENDPOINT, name), status, answer)
    elif stopped is None:
        yield container.edge("endpoint", Vertex(Kind.ENDPOINT, name), Status.UNKNOWN, answer)


def _spoken(
    container: Container, kind: str, target: Vertex, answer: Evidence, through: Mapping[int, bool]
) -> Iterator[Edge]:
    """What came of a question; that it found no listener is told by the connect beside it."""
    if answer.outcome is Outcome.HTTP:
        known = through.get(answer.status or 0)
        status = Status.UNKNOWN if known is None else Status.PROVEN if known else Status.REFUTED
        yield container.edge(kind, target, status, answer)
    elif blocked(answer) is None:
        yield container.edge(kind, target, Status.UNKNOWN, answer)


def _others(container: Container, found: _Answers) -> Iterator[Edge]:
    """The stack's own listeners, shown to listen by their sockets: any pod of a workload that answers is enough."""
    best: dict[Vertex, Edge] = {}
    for target in container.targets:
        answer = found[str(Tcp(target.address, target.port))].evidence
        stopped = blocked(answer)
        status = Status.UNKNOWN if stopped is None else Status.REFUTED if stopped else Status.PROVEN
        edge = container.edge("endpoint", target.vertex, status, answer)
        if target.vertex not in best or edge.open:
            best[target.vertex] = edge
    yield from best.values()


# -- 7: host ----------------------------------------------------------------------------------------------------------


def _files(traces: Planted) -> tuple[HostFile, HostFile]:
    """The canaries anywhere on the node, and the one beside the pods' volumes."""
    beside = tuple(path for path in traces.paths if path.startswith(f"{KUBELET_FOLDER}/"))
    return HostFile(traces.paths, traces.nonce), HostFile(beside, traces.nonce)


def _host(container: Container, found: _Answers, shown: _Answers) -> Iterator[Edge]:
    anywhere, kubelet = _files(container.traces)
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
    for place, path in host_mounts(container.template).items():
        here = found[str(WhichFile(place))].evidence
        if here.facts.get("file") == container.traces.files.get(path, "none"):
            yield container.edge("host-read", files, Status.PROVEN, here)
    yield container.edge(
        "host-write",
        container.node,
        Status.PROVEN if read.open and read.evidence.facts.get("writable") else _not_open(read),
        read.evidence,
    )
    tokens = looked("token-paths", container.node, kubelet)
    status = Status.REFUTED if tokens.open and not root else tokens.status  # they are root's, in root's folders
    yield container.edge("token-paths", container.node, status, tokens.evidence)
    runtime = looked("cri-socket", container.node, SOCKETS)
    there = runtime.evidence.outcome is Outcome.DENIED  # who gets to be its owner opens it
    yield container.edge("cri-socket", container.node, Status.INFERRED if there else runtime.status, runtime.evidence)
    yield from _processes(container, found[str(Namespaces())].evidence, shown[str(Namespaces())].evidence, held)
    for kind, capability in _BY_CAPABILITY.items():
        yield container.edge(kind, container.node, _inferred(capability in held, privileges), privileges)
    core = found[str(Writable(_CORE))].evidence
    yield container.edge("core-pattern", container.node, _inferred(core.outcome is Outcome.DONE, core), core)


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
