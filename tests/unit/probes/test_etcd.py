"""A certificate shown on the node: what curl says of etcd, told apart from a curl that could not ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.probes.etcd import CLIENTS, PEERS, own_ports, raw_value, with_real_certificate

NODE = Node("control-plane", "10.0.0.2", control_plane=True, container="control-plane")


class OneAnswer:
    """A cluster on whose nodes every command ends in the same way."""

    def __init__(self, code: int, out: str) -> None:
        self.code, self.out = code, out
        self.asked: list[str] = []

    def on_node(self, _node: Node, argv: Sequence[str], **_: object) -> Completed:
        """The answer."""
        self.asked = list(argv)
        return Completed(tuple(argv), self.code, self.out.encode(), b"")


@pytest.mark.parametrize(
    ("code", "out", "outcome", "status"),
    [
        (0, "200 ", Outcome.HTTP, 200),
        (0, "404 ", Outcome.HTTP, 404),
        (7, "000 Failed to connect", Outcome.REFUSED, None),
        (28, "000 Connection timed out", Outcome.NO_ANSWER, None),
        (35, "000 tlsv1 alert unknown ca", Outcome.TLS_ALERT, None),
        (56, "000 tlsv13 alert certificate required", Outcome.TLS_ALERT, None),
        (52, "000 Empty reply from server", Outcome.CLOSED, None),
        (35, "000 wrong version number", Outcome.CLOSED, None),
        (58, "000 could not load PEM client certificate", Outcome.ERROR, None),
        (1, "", Outcome.ERROR, None),
        (127, "", Outcome.ERROR, None),
    ],
)
def test_only_what_etcd_did_is_an_answer(code: int, out: str, outcome: Outcome, status: int | None) -> None:
    """A certificate that is not there, or no curl, proves nothing about etcd."""
    cluster = cast("Cluster", OneAnswer(code, out))
    found = with_real_certificate(cluster, NODE, CLIENTS, "127.0.0.1", 2379)
    assert (outcome, status) == (found.outcome, found.status)


def test_each_door_is_asked_with_its_own_certificate() -> None:
    """By its path on the node, and for nothing but a count or the members."""
    for door, key, path in ((CLIENTS, "apiserver-etcd-client", "/v3/kv/range"), (PEERS, "etcd/peer", "/members")):
        cluster = OneAnswer(0, "200 ")
        with_real_certificate(cast("Cluster", cluster), NODE, door, "::1", door.port)
        assert f"/etc/kubernetes/pki/{key}.key" in cluster.asked
        assert f"https://[::1]:{door.port}{path}" == cluster.asked[-1]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "10.0.0.2"])
def test_etcd_is_asked_past_the_api_server_where_it_listens(host: str) -> None:
    """On a cluster with IPv6 only, its loopback is another one."""

    class Etcd(OneAnswer):
        def on_node(self, _node: Node, argv: Sequence[str], **_: object) -> Completed:
            if argv[0] == "ss":
                line = f'LISTEN 0 4096 {host}:2379 0.0.0.0:* users:(("etcd",pid=7,fd=8))\n'
                return Completed(tuple(argv), 0, line.encode(), b"")
            return super().on_node(_node, argv)

    cluster = Etcd(0, "{}")
    raw_value(cast("Cluster", cluster), NODE, "/registry/x", lambda _: "")
    assert f"https://{host}:2379/v3/kv/range" in cluster.asked[-1]


def test_ports_are_unknown_where_the_node_can_not_be_entered() -> None:
    """That is no error: the known ones are tried."""
    sockets = 'LISTEN 0 4096 127.0.0.1:2379 0.0.0.0:* users:(("etcd",pid=7,fd=8))\n'
    cluster = cast("Cluster", OneAnswer(0, sockets))
    assert {2379} == own_ports(cluster, NODE)
    assert set() == own_ports(cluster, Node("managed", "10.0.0.3", control_plane=True))
