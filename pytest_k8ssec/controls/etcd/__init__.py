"""Controls of the family etcd, and what they share: requests without valid credentials to one of its services."""

from __future__ import annotations

from pytest_k8ssec.agent.tasks import host_and_port
from pytest_k8ssec.agent.vantage import NetworkVantage, Vantage
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.evidence import Evidence, Outcome, blocked
from pytest_k8ssec.facts.node import control_planes, heard_at
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.probes.etcd import IN_PLAIN, OTHER_DOOR, Door, by_strangers, with_real_certificate
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


def strangers_knock(judge: Judge, cluster: Cluster, door: Door, pod: Pod) -> None:
    """Try each of etcd's addresses from its own node, and the node's address from a pod, without valid credentials.

    Raises:
        ProbeError: a probe broke.
    """
    for node in control_planes(cluster):
        _knock(judge, cluster, door, node, NetworkVantage(cluster, node), heard_at(cluster, node, "etcd"))
        _knock(judge, cluster, door, node, pod.vantage, [(address, door.port) for address in node.addresses])


def _knock(
    judge: Judge, cluster: Cluster, door: Door, node: Node, source: Vantage, addresses: list[tuple[str, int]]
) -> None:
    """Try all ways at each address; where not even the real certificate opens it, that is evidence and no verdict."""
    for (host, port), (connection, answers) in by_strangers(source, door, addresses).items():
        proof = with_real_certificate(cluster, node, door, host, port)
        case = judge.case(f"{door.name} at {host_and_port(host, port)} from {source.source}", required=False)
        case.positive(f"{door.owner} certificate opens it", proof, succeeded=proof.status == 200)
        # Where TLS opens nothing, or the other door, plain text may be what opens this one.
        plain = answers.pop(IN_PLAIN)
        case.attack(IN_PLAIN, plain, through=plain.status not in _NOT_IN_PLAIN and _talked(plain, connection))
        if proof.status == OTHER_DOOR:
            continue  # the control of the other door asks there
        for words, answer in answers.items():
            case.attack(words, answer, through=_talked(answer, connection))


def _talked(answer: Evidence, connection: Evidence) -> bool | None:
    """Whether etcd talked to a stranger. No answer at all is a policy's or a firewall's; after a connection it says nothing."""
    if answer.outcome is Outcome.NO_ANSWER:
        return False if blocked(connection) else None
    return _TALKED.get(answer.outcome)
