"""Groups 5 and 6 of the walk: which network services accept a container, and whether it could join as a node.

Each service gets one connect and one harmless question. If neither the container nor a canary gets a connection,
nothing is there, and there is no edge. If a connection is made but the question gets no answer, the edge is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pytest_k8ssec.agent.tasks import Http, Task, Tcp
from pytest_k8ssec.attack.container import Answers, Container
from pytest_k8ssec.attack.graph import Edge, Kind, Status, Vertex
from pytest_k8ssec.attack.kinds import KINDS
from pytest_k8ssec.attack.placement import Scene
from pytest_k8ssec.clusters.bootstrap_tokens import PUBLIC_BOOTSTRAP_TOKEN
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.clusters.ports import API_SERVER_PORT, ETCD_PORT, KUBELET_PORT
from pytest_k8ssec.evidence import Evidence, Outcome, blocked
from pytest_k8ssec.probes.cloud_metadata import metadata
from pytest_k8ssec.probes.etcd import CLIENTS
from pytest_k8ssec.probes.identities import NOBODY, Identity, self_review

_NO_TLS = "the peer does not speak TLS"
"""In agent/remote/agent.py's own words."""
_RUN = f"/exec/default/{NOBODY}/{NOBODY}?command=true&output=1"
_FURTHEST = (Status.PROVEN, Status.UNKNOWN, Status.REFUTED)
_BOOTSTRAP_USER = f"system:bootstrap:{PUBLIC_BOOTSTRAP_TOKEN.partition('.')[0]}"


def network_tasks(scene: Scene) -> list[Task]:
    """What containers and canaries are both asked: control plane, kubelets and the metadata service."""
    asked: list[Task] = [*_metadata(scene)]
    for node in scene.reach.answering:
        for address in node.addresses:
            asked += [Tcp(address, KUBELET_PORT), _kubelet(address)]
            if node.control_plane:
                asked += [Tcp(address, API_SERVER_PORT), _join(address), Tcp(address, ETCD_PORT)]
                asked += [_etcd(address, tls=True), _etcd(address, tls=False)]
    return asked


def _metadata(scene: Scene) -> tuple[Tcp, ...]:
    return metadata(address for node in scene.cluster.nodes for address in node.addresses if address)


def _at(node: Node, port: int) -> tuple[Tcp, ...]:
    """A port at each address of a node: a policy may let out by one family only."""
    return tuple(Tcp(address, port) for address in node.addresses)


def stack_listener_tasks(container: Container) -> list[Task]:
    """The stack's own listeners, one connect or datagram each."""
    return [each.task for each in container.targets]


def _kubelet(address: str) -> Http:
    return Http(address, KUBELET_PORT, _RUN)


def _etcd(address: str, *, tls: bool) -> Http:
    return Http(
        address, ETCD_PORT, CLIENTS.path, tls=tls, method=CLIENTS.method, body=CLIENTS.body,
        identity="without a certificate",
    )  # fmt: skip


def _join(address: str) -> Http:
    return self_review(address, API_SERVER_PORT, PUBLIC_BOOTSTRAP_TOKEN, "with kind's public bootstrap token")


def network(container: Container, found: Answers, shown: Answers, identities: dict[str, Identity]) -> Iterator[Edge]:
    """All edges to network services.

    Args:
        identities: by user; who joins is added to them.
    """
    for node in container.scene.reach.answering:
        short = container.scene.short(node.name)
        yield from _door(container, _at(node, KUBELET_PORT), f"kubelet on {short}", found, shown)
        yield from _furthest(_kubelet_run(container, node, found))
        if not node.control_plane:
            continue
        yield from _door(container, _at(node, ETCD_PORT), f"etcd on {short}", found, shown)
        yield from _furthest(edge for each in node.addresses for edge in _etcd_read(container, node, each, found))
        yield from _door(container, _at(node, API_SERVER_PORT), f"API server on {short}", found, shown)
        for edge in _furthest(_joined(container, node, found)):
            if edge.open:
                api, who = container.scene.cluster.api, edge.target.name
                identities[who] = Identity(api, who, PUBLIC_BOOTSTRAP_TOKEN)
            yield edge
    for edge in _door(container, _metadata(container.scene), "metadata service", found, shown):
        yield Edge(KINDS["metadata"], edge.source, edge.target, edge.status, edge.evidence)
    yield from _others(container, found)


def _furthest(edges: Iterable[Edge]) -> list[Edge]:
    """Of what one thing gave by its several addresses, what leads furthest; none where there is none."""
    return sorted(edges, key=lambda edge: _FURTHEST.index(edge.status))[:1]


def _kubelet_run(container: Container, node: Node, found: Answers) -> Iterator[Edge]:
    """Whether the kubelet runs commands for anybody."""
    target = Vertex(Kind.KUBELET, container.scene.short(node.name))
    through = {200: True, 400: True, 404: True, 401: False, 403: False}
    for address in node.addresses:
        connect, answer = (found[str(task)].evidence for task in (Tcp(address, KUBELET_PORT), _kubelet(address)))
        yield from _spoken(container, "kubelet-anonymous", target, connect, answer, through)


def _joined(container: Container, node: Node, found: Answers) -> Iterator[Edge]:
    """Whether the API server takes kind's public bootstrap token."""
    who = Vertex(Kind.IDENTITY, _BOOTSTRAP_USER)
    for address in node.addresses:
        connect, answer = (found[str(task)].evidence for task in (Tcp(address, API_SERVER_PORT), _join(address)))
        yield from _spoken(container, "bootstrap-token", who, connect, answer, {201: True, 401: False})


def _door(container: Container, tasks: Sequence[Tcp], name: str, found: Answers, shown: Answers) -> Iterator[Edge]:
    """A connection to what listens, by any of its addresses; of several edges the one that leads furthest."""
    yield from _furthest(edge for task in tasks for edge in _by_one(container, task, name, found, shown))


def _by_one(container: Container, task: Task, name: str, found: Answers, shown: Answers) -> Iterator[Edge]:
    """One connection; where neither the container nor the canary gets one, there is nothing."""
    answer, known = found[str(task)].evidence, shown[str(task)].evidence
    stopped = blocked(answer)
    if stopped is False:
        yield container.edge("endpoint", Vertex(Kind.ENDPOINT, name), Status.PROVEN, answer)
    elif blocked(known) is False:
        status = Status.REFUTED if stopped else Status.UNKNOWN
        yield container.edge("endpoint", Vertex(Kind.ENDPOINT, name), status, answer)
    elif stopped is None:
        yield container.edge("endpoint", Vertex(Kind.ENDPOINT, name), Status.UNKNOWN, answer)


def _etcd_read(container: Container, node: Node, address: str, found: Answers) -> Iterator[Edge]:
    """Whether etcd answers without a certificate, or in plain text; that it does not speak TLS is no refusal."""
    target = Vertex(Kind.ETCD, container.scene.short(node.name))
    connect = found[str(Tcp(address, ETCD_PORT))].evidence
    answer, plain = (found[str(_etcd(address, tls=tls))].evidence for tls in (True, False))
    if plain.status == 200:
        yield container.edge("etcd-read", target, Status.PROVEN, plain)
    elif answer.outcome in (Outcome.TLS_ALERT, Outcome.CLOSED):
        status = Status.UNKNOWN if answer.detail == _NO_TLS else Status.REFUTED
        yield container.edge("etcd-read", target, status, answer)
    else:
        yield from _spoken(container, "etcd-read", target, connect, answer, {200: True, 401: False})


def _spoken(
    container: Container, kind: str, target: Vertex, connect: Evidence, answer: Evidence, through: Mapping[int, bool]
) -> Iterator[Edge]:
    """What came of a question; nothing is told of it only where the connect beside it was stopped as well."""
    if answer.outcome is Outcome.HTTP:
        known = through.get(answer.status or 0)
        status = Status.UNKNOWN if known is None else Status.PROVEN if known else Status.REFUTED
        yield container.edge(kind, target, status, answer)
    elif not (blocked(answer) and blocked(connect)):
        yield container.edge(kind, target, Status.UNKNOWN, answer)


def _others(container: Container, found: Answers) -> Iterator[Edge]:
    """The stack's own listeners, shown to listen by their sockets: any pod of a workload that answers is enough."""
    best: dict[Vertex, Edge] = {}
    for target in container.targets:
        answer = found[str(target.task)].evidence
        stopped = blocked(answer)
        if stopped and target.protocol == "UDP":
            continue  # what ignores a datagram was not shown to answer anybody
        status = Status.UNKNOWN if stopped is None else Status.REFUTED if stopped else Status.PROVEN
        edge = container.edge("endpoint", target.vertex, status, answer)
        if target.vertex not in best or edge.open:
            best[target.vertex] = edge
    yield from best.values()
