"""Which nodes can be looked at: those that can be entered, and those whose kubelet answers a pod of ours or the API server.

The API server's word is not enough: a node may be Ready in its list and answer nobody, as one that is cut off, one that was
removed a moment ago, or one that only pretends to be a node (https://kwok.sigs.k8s.io). To ask such nodes one by one for each
port of each control would take hours, and silence is all that it would tell. So they are found out once.

A kubelet that is silent to pods need not be out of reach: many clusters keep pods from it, and whoever runs a command in a pod
there has the API server connect, not a pod. So a node is given up only if the API server, asked to pass on a request, says
that it got no connection either, or that there is no such node.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from pytest_k8ssec.agent.tasks import Tcp
from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.clusters.api_servers import ApiServer, api_servers
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.clusters.ports import KUBELET_PORT
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.evidence import Evidence, Outcome, Source, got_through
from pytest_k8ssec.facts.node import control_planes
from pytest_k8ssec.plain import few
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.verdict import Judge

_TIMEOUT = 1.0
"""Seconds that one connection may take."""
_ROUNDS = 2
"""How often a silent one is asked, in all: a lost packet is no silence."""
_TOGETHER = 100
"""So many of the nodes that are silent to pods the API server is asked about at a time: each may take as long as it may."""
_SERVER_SECONDS = 5
_NOT_REACHED = frozenset({404, 502, 503, 504})
"""How an API server says that there is no such node, or that it got no connection to its kubelet, which has this path
(k8s.io/apimachinery, pkg/util/net/proxy: ``error trying to reach service``). All else came from a kubelet, or says that we
may not ask: neither shows that the node is out of reach."""
_HERE = Source("client", "this process")


@dataclass(frozen=True, slots=True)
class NodesInReach:
    """The nodes of a cluster, by whether anything can be found out about them."""

    answering: tuple[Node, ...]
    """Those that are judged, control plane first."""
    silent: tuple[Node, ...] = ()
    evidence: Evidence | None = None
    """What came of asking the first of the silent ones; None where there is none."""

    @property
    def words(self) -> str:
        """The silent ones in words, by number and name; "" for none."""
        names = [node.name for node in self.silent]
        return f"{len(names)} nodes whose kubelets answer nobody: {few(names)}" if names else ""


def nodes_in_reach(pool: Pool) -> NodesInReach:
    """Ask the kubelet of each node that can't be entered for a connection, from a pod of ours; found out once.

    About those that are silent the API server is asked. Where all nodes can be entered, nothing is sent. The pool waits for no pod on a silent one from now on.

    Raises:
        ProbeError: the pod did not start, or the exec broke.
    """
    return pool.remember("nodes that can be looked at", lambda: _found_out(pool))


def nodes_to_judge(judge: Judge, pool: Pool) -> tuple[Node, ...]:
    """The nodes that a control asks one by one. All others are one case for the judge, which can't be held.

    Raises:
        ProbeError: as :func:`nodes_in_reach`.
    """
    found = nodes_in_reach(pool)
    if found.evidence is not None:
        not_looked_at(judge, found.words, found.evidence)
    return found.answering


def entered_nodes(judge: Judge, nodes: Sequence[Node]) -> tuple[Node, ...]:
    """The nodes that can be entered. All others are one case for the judge, which can't be held."""
    closed = [node.name for node in nodes if not node.container]
    if closed:
        nothing = Evidence(_HERE, f"enter {closed[0]}", Outcome.ERROR, "not a container of this docker daemon")
        not_looked_at(judge, f"{len(closed)} nodes that can't be entered: {few(closed)}", nothing)
    return tuple(node for node in nodes if node.container)


def entered_control_planes(judge: Judge, cluster: Cluster) -> tuple[Node, ...]:
    """The control-plane nodes that can be entered; all others are one case, as with :func:`entered_nodes`.

    Raises:
        NoAccess: there is none, as on a managed cluster.
    """
    control_planes(cluster)
    return entered_nodes(judge, [node for node in cluster.nodes if node.control_plane])


def servers_to_judge(judge: Judge, cluster: Cluster) -> tuple[ApiServer, ...]:
    """The API servers that a control asks one by one. All others are one case for the judge, which can't be held."""
    servers, silent = api_servers(cluster)
    if silent:
        name, why = next(iter(silent.items()))
        nothing = Evidence(_HERE, f"ask the API server on {name}", Outcome.ERROR, why)
        not_looked_at(judge, f"{len(silent)} API servers that can't be asked by themselves: {few([*silent])}", nothing)
    return servers


def not_looked_at(judge: Judge, whom: str, evidence: Evidence) -> None:
    """Record, once for all of them, that nobody knows anything of some nodes: so no verdict on nodes is held."""
    case = judge.case(whom)
    case.positive("something answers there", evidence, succeeded=got_through(evidence) or None)
    case.attack("attack them", replace(evidence, outcome=Outcome.ERROR), through=None)


def _found_out(pool: Pool) -> NodesInReach:
    nodes = tuple(pool.cluster.nodes)
    if all(node.container for node in nodes):
        return NodesInReach(nodes)
    waiting = [node for node in nodes if not node.container and node.address]
    unnamed = [node for node in nodes if not node.container and not node.address]
    answers: dict[str, Evidence] = {
        node.name: Evidence(_HERE, f"look for the address of {node.name}", Outcome.ERROR, "it has none")
        for node in unnamed
    }
    for _ in range(_ROUNDS):
        if waiting:
            asked = pool.attacker().probe(*(Tcp(node.address, KUBELET_PORT, timeout=_TIMEOUT) for node in waiting))
            answers |= {node.name: answer for node, answer in zip(waiting, asked, strict=True)}
            waiting = [node for node in waiting if not got_through(answers[node.name])]
    said = _by_server(pool.cluster.api, waiting)
    answers |= {name: _both(answers[name], words) for name, words in said.items()}
    mute = {*said, *(node.name for node in unnamed)}
    silent = tuple(node for node in nodes if node.name in mute)
    answering = tuple(node for node in nodes if node.name not in mute)
    pool.shun(mute)
    return NodesInReach(answering, silent, answers[silent[0].name] if silent else None)


def _by_server(api: KubeApi, nodes: Sequence[Node]) -> dict[str, str]:
    """The nodes whose kubelets the API server does not reach either, by name, and what it says."""

    def ask(node: Node) -> str:
        try:
            # Not a GET: that would be sent once more where no answer comes.
            answer = api.request("HEAD", f"/api/v1/nodes/{node.name}/proxy/healthz", deadline=_SERVER_SECONDS)
        except ClusterError:
            return f"does not get an answer within {_SERVER_SECONDS} s"
        return f"HTTP {answer.status}" if answer.status in _NOT_REACHED else ""

    if not nodes:
        return {}
    with ThreadPoolExecutor(min(_TOGETHER, len(nodes)), thread_name_prefix="k8ssec-nodes") as threads:
        told = threads.map(ask, nodes)
        return {node.name: words for node, words in zip(nodes, told, strict=True) if words}


def _both(answer: Evidence, words: str) -> Evidence:
    """What a pod got, and what the API server said of the same kubelet."""
    return replace(answer, detail="; ".join(filter(None, (answer.detail, f"the API server, asked for it: {words}"))))
