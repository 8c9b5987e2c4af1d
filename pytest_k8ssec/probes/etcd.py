"""etcd through its v3 API: with the client certificate that stays on the node, or with what an attacker would have.

The v2 API is gone since etcd 3.6: a request to ``/v2/keys`` finds nothing and proves nothing. Requests go to the gRPC
gateway (https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/), and ask for a count only unless a key of ours is read.
"""

from __future__ import annotations

import base64
import json
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_k8ssec.agent.tasks import Http, Task, Tcp, Trust, host_and_port
from pytest_k8ssec.agent.vantage import Answer, Vantage, probe
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.clusters.ports import ETCD_PORT
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Evidence, Outcome, got_through
from pytest_k8ssec.facts.node import argument_file, arguments, heard_at, listeners, node_source
from pytest_k8ssec.probes.certificates import foreign_certificate

PKI = "/etc/kubernetes/pki"
RANGE = "/v3/kv/range"


def _bytes(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


COUNT_ALL = json.dumps({"key": _bytes("\0"), "range_end": _bytes("\0"), "count_only": True})
"""Asks how many keys there are, and for no key."""


@dataclass(frozen=True, slots=True)
class Door:
    """One of etcd's two services, and the harmless request that shows whether it accepts a client."""

    name: str
    port: int
    """Where it is unless somebody moved it."""
    method: str
    path: str
    body: str
    certificate: str
    """The certificate that opens it, below kubeadm's PKI directory on a control-plane node."""
    owner: str
    """Whose certificate that is, for the report."""


CLIENTS = Door("etcd", ETCD_PORT, "POST", RANGE, COUNT_ALL, "apiserver-etcd-client", "the API server's etcd")
PEERS = Door("etcd's peers' door", 2380, "GET", "/members", "", "etcd/peer", "etcd's own peer")

OTHER_DOOR = 404
"""How each service answers to the other's path: with the real certificate, it shows which one listens at an address."""

IN_PLAIN = "in plain text"
"""A client that does not even speak TLS: one socket may accept both."""
_VERSION, _VERSION_BYTES = '"etcdserver"', 200
"""What etcd's answer to ``/version`` has, and within how many bytes."""
_MADE_UP = "with a certificate of a made-up CA"
STRANGERS = (IN_PLAIN, "without a certificate", _MADE_UP)
"""As whom each address is tried."""


def own_ports(cluster: Cluster, node: Node) -> set[int]:
    """The ports that etcd's process listens on; none where the node can't be entered.

    Raises:
        ProbeError: the node could not tell.
    """
    return {each.port for each in listeners(cluster, node, "etcd")} if node.container else set()


def server_ca(cluster: Cluster, node: Node) -> str:
    """The CA by which a control-plane node's API server knows its etcd, PEM; "" where it is told of none.

    Raises:
        ProbeError: no API server runs there, or the file can't be read.
    """
    told = arguments(cluster, node, "kube-apiserver").get("etcd-cafile")
    return argument_file(cluster, node, "kube-apiserver", "etcd-cafile") if told else ""


def is_it_etcd(address: str, port: int, ca: str) -> list[Task]:
    """The tasks that tell whether etcd is behind a port, be it by somebody who only hands on: see :func:`etcd_speaks`.

    etcd shows its certificate before it asks for one. kubeadm's names ``localhost`` on each node, so that one is known at
    any address (https://pkg.go.dev/k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil#GetEtcdAltNames). Where it asks for none,
    it tells its version (https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/).

    Args:
        ca: PEM of the CA that etcd's certificate is of; "" if it has none.
    """
    shown: list[Task] = [Trust(address, port, ca, "etcd's CA", server_name="localhost")] if ca else []
    versions = [Http(address, port, "/version", tls=tls, keep=_VERSION_BYTES) for tls in (False, True)]
    return [Tcp(address, port), *versions, *shown]


def etcd_speaks(answers: Sequence[Answer]) -> tuple[bool | None, Evidence]:
    """Whether etcd is behind a port (None where that can't be told), and the evidence that says so.

    Args:
        answers: to the tasks of :func:`is_it_etcd`.
    """
    connection, plain, tls, *shown = answers
    for answer in shown:
        if got_through(answer.evidence):
            return True, answer.evidence
    for answer in (plain, tls):
        if _VERSION in answer.raw.get("body", ""):
            return True, answer.evidence
    for answer in answers:
        if answer.evidence.broken:
            return None, answer.evidence
    if got_through(connection.evidence) is not True:
        return got_through(connection.evidence), connection.evidence
    # One that ends the handshake by an alert may have shown a certificate before that.
    for answer in shown:
        if answer.evidence.outcome is Outcome.TLS_ALERT:
            return None, answer.evidence
    return False, (shown or [tls])[0].evidence


def by_strangers(
    source: Vantage, door: Door, addresses: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], tuple[Evidence, dict[str, Evidence]]]:
    """Try each address in plain text, without a certificate, and with one of a made-up CA; one exec for all.

    Returns:
        by address, what came of a bare connection, and the evidence by as whom it was sent.

    Raises:
        ProbeError: the exec broke.
    """
    tried = {
        (address, words): Http(
            *address, door.path, method=door.method, body=door.body, tls=words != IN_PLAIN,
            certificate=foreign_certificate().pem if words == _MADE_UP else "", identity=words,
        )
        for address in addresses
        for words in STRANGERS
    }  # fmt: skip
    found = probe(source, [*(Tcp(*address) for address in addresses), *tried.values()])
    reached, answers = found[: len(addresses)], dict(zip(tried, found[len(addresses) :], strict=True))
    return {
        address: (connection, {words: answers[address, words] for words in STRANGERS})
        for address, connection in zip(addresses, reached, strict=True)
    }


def with_real_certificate(cluster: Cluster, node: Node, door: Door, host: str, port: int) -> Evidence:
    """Send the request with the service's real certificate, which root uses on the node: it never leaves the node.

    Raises:
        ProbeError: the node could not be asked.
    """
    return with_certificate(cluster, node, door, host, port, name=door.certificate, owner=door.owner)


def with_certificate(
    cluster: Cluster, node: Node, door: Door, host: str, port: int, *, name: str, owner: str
) -> Evidence:
    """Send the request with a control-plane node's certificate, which root uses there: it never leaves the node.

    Args:
        name: of the certificate and its key, below kubeadm's PKI directory and without their endings.
        owner: whose it is, for the report.

    Raises:
        ProbeError: the node could not be asked.
    """
    started = time.monotonic()
    url = f"https://{host_and_port(host, port)}{door.path}"
    data = ["--data", door.body] if door.body else []
    done = cluster.on_node(
        node,
        [*_curl(name), "--output", "/dev/null", "--write-out", "%{http_code} %{errormsg}", *data, url],
        check=False,
    )
    status, _, words = done.text.partition(" ")
    answered = status.isdigit() and status != "000"
    return Evidence(
        node_source(node),
        f"{door.method} {url} with {owner} certificate",
        Outcome.HTTP if answered else _unanswered(done.code, words),
        "" if answered else words or f"curl exit code {done.code}",
        status=int(status) if answered else None,
        latency_ms=round((time.monotonic() - started) * 1000, 1),
    )


def _unanswered(code: int, words: str) -> Outcome:
    """What curl's exit code says of the peer; all other codes, a certificate that is not there too, are our own failure."""
    if code in (35, 52, 55, 56):  # the handshake, the answer, sending or receiving
        return Outcome.TLS_ALERT if "alert" in words else Outcome.CLOSED
    return {7: Outcome.REFUSED, 28: Outcome.NO_ANSWER}.get(code, Outcome.ERROR)


def _curl(certificate: str) -> list[str]:
    """curl on a node, with a certificate below kubeadm's PKI directory.

    Without ALPN, as the agent's requests are: etcd's peers' door agrees on HTTP/2 and then does not speak it.
    """
    file = f"{PKI}/{certificate}"
    options = ["--silent", "--insecure", "--no-alpn", "--http1.1", "--max-time", "5"]
    return ["curl", *options, "--cert", f"{file}.crt", "--key", f"{file}.key"]


def _range(key: str, **more: str | bool) -> str:
    return json.dumps({"key": _bytes(key), **more})


def raw_value(cluster: Cluster, node: Node, key: str, describe: Callable[[bytes], str]) -> tuple[bytes, Evidence]:
    """The raw value of one key *of our own*, and evidence that shows only what ``describe`` says of it.

    Returns:
        the value, empty where etcd has no such key.

    Raises:
        ProbeError: etcd could not be asked, or did not answer as it should.
    """
    body = _gateway(cluster, node, _range(key), ())
    found = _json(body, node)
    value = base64.b64decode(found["kvs"][0]["value"]) if found.get("kvs") else b""
    outcome, words = (Outcome.DONE, describe(value)) if value else (Outcome.ABSENT, "no such key")
    return value, Evidence(node_source(node), f"range {key} in etcd, past the API server", outcome, words)


def raw_prefixes(cluster: Cluster, node: Node, prefix: str) -> tuple[dict[str, bytes], Evidence]:
    """The first 24 bytes of every value below a prefix; the rest is cut off on the node and never leaves it.

    Returns:
        first bytes by key, and evidence of how many there are.

    Raises:
        ProbeError: etcd could not be asked, or did not answer as it should.
    """
    query = _range(prefix, range_end=_bytes(prefix[:-1] + chr(ord(prefix[-1]) + 1)))
    # 32 characters of base64 are 24 bytes.
    body = _gateway(cluster, node, query, ("jq", "-c", "{kvs: [.kvs[]? | {key, value: .value[:32]}]}"))
    found = {
        base64.b64decode(pair["key"]).decode(): base64.b64decode(pair["value"]) for pair in _json(body, node)["kvs"]
    }
    words = f"{len(found)} keys, 24 bytes of each value"
    outcome = Outcome.DONE if found else Outcome.ABSENT
    return found, Evidence(node_source(node), f"range {prefix} in etcd, past the API server", outcome, words)


def _gateway(cluster: Cluster, node: Node, query: str, through: Sequence[str]) -> bytes:
    """etcd's answer to a range request, sent on the node with the API server's own certificate.

    Args:
        through: a command that the answer is piped through on the node.
    """
    heard = [host for host, port in heard_at(cluster, node, "etcd") if port == ETCD_PORT]
    server = (
        f"https://{host_and_port((*heard, '127.0.0.1')[0], ETCD_PORT)}{RANGE}"  # on an IPv6 cluster it may be [::1]
    )
    curl = [*_curl(CLIENTS.certificate), "--fail", "--data", query, server]
    line = shlex.join(curl) + (f" | {shlex.join(through)}" if through else "")
    return cluster.on_node(node, ["bash", "-o", "pipefail", "-c", line], deadline=30).stdout


def _json(body: bytes, node: Node) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        raise ProbeError(f"etcd on {node.name}: answered with something that is not JSON") from None
    if not isinstance(found, dict):
        raise ProbeError(f"etcd on {node.name}: answered with something that is not a JSON object")
    return found
