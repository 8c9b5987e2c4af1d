"""Controls of the family etcd, and what they share: requests without valid credentials to one of its services."""

from __future__ import annotations

from itertools import product
from typing import Any

from pytest_k8ssec.agent.tasks import host_and_port
from pytest_k8ssec.agent.vantage import NetworkVantage, Vantage
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.evidence import Evidence, Outcome, blocked
from pytest_k8ssec.facts.node import heard_at
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.probes.etcd import IN_PLAIN, OTHER_DOOR, STRANGERS, Door, by_strangers, with_real_certificate
from pytest_k8ssec.probes.nodes_in_reach import entered_control_planes
from pytest_k8ssec.verdict import Judge

_TALKED = {
    Outcome.HTTP: True,
    Outcome.TLS_ALERT: False,
    Outcome.CLOSED: False,
    Outcome.REFUSED: False,
    Outcome.UNREACHABLE: False,
}
_NOT_IN_PLAIN = (400, OTHER_DOOR)
"""What a TLS port says to plain HTTP, and what all that is not this door says, such as plain metrics on loopback."""


KNOCKED = ("source", "node", "address", "port", "credential")
"""What knocks differ in."""


def strangers_knock(judge: Judge, cluster: Cluster, door: Door, pod: Pod) -> None:
    """Try each of etcd's addresses from its own node, and its ports at the node's addresses from a pod, without valid credentials.

    Raises:
        NoAccess: no control-plane node can be entered.
        ProbeError: a probe broke.
    """
    for node in entered_control_planes(judge, cluster):
        heard = heard_at(cluster, node, "etcd")
        ports = sorted({door.port, *(port for _, port in heard)})
        own: Vantage = NetworkVantage(cluster, node)
        for source, addresses in ((own, heard), (pod.vantage, [*product(node.addresses, ports)])):
            for (host, port), words in product(addresses, STRANGERS):
                judge.coverage.exists(**_at(source, node, host, port, words))
            _knock(judge, cluster, door, node, source, addresses)


def _at(source: Vantage, node: Node, host: str, port: int, words: str) -> dict[str, Any]:
    values = (source.source.place, node.name, host, port, words)
    return dict(zip(KNOCKED, values, strict=True))


def _knock(
    judge: Judge, cluster: Cluster, door: Door, node: Node, source: Vantage, addresses: list[tuple[str, int]]
) -> None:
    """Try all ways at each address; where not even the real certificate opens it, that is evidence and no verdict."""
    for (host, port), (connection, answers) in by_strangers(source, door, addresses).items():
        at = {words: _at(source, node, host, port, words) for words in STRANGERS}
        proof = with_real_certificate(cluster, node, door, host, port)
        case = judge.case(f"{door.name} at {host_and_port(host, port)} from {source.source}", required=False)
        case.positive(f"{door.owner} certificate opens it", proof, succeeded=proof.status == 200)
        # Where TLS opens nothing, or the other door, plain text may be what opens this one.
        plain = answers.pop(IN_PLAIN)
        through = plain.status not in _NOT_IN_PLAIN and _talked(plain, connection)
        case.attack(IN_PLAIN, plain, through=through, at=at[IN_PLAIN])
        for words, answer in answers.items():
            if proof.status == OTHER_DOOR:
                judge.coverage.absent("it is etcd's other door, which another control asks", **at[words])
            else:
                case.attack(words, answer, through=_talked(answer, connection), at=at[words])


def _talked(answer: Evidence, connection: Evidence) -> bool | None:
    """Whether etcd talked to a stranger. No answer at all is a policy's or a firewall's; after a connection it says nothing."""
    if answer.outcome is Outcome.NO_ANSWER:
        return False if blocked(connection) else None
    return _TALKED.get(answer.outcome)
