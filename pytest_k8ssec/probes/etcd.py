"""etcd through its v3 API: with the client certificate that stays on the node, or with what an attacker would have.

The v2 API is gone since etcd 3.6: ``/v2/keys`` sees nothing and proves nothing. Requests go to the gRPC gateway
(https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/), and ask for a count only unless a key of ours is read.
"""

from __future__ import annotations

import base64
import json
import shlex
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.probes.nodefacts import node_source
from pytest_k8ssec.probes.tasks import Http, authority

PKI = "/etc/kubernetes/pki"
RANGE = "/v3/kv/range"
_CURL = (
    "curl", "--silent", "--insecure", "--max-time", "5", "--cert", f"{PKI}/apiserver-etcd-client.crt",
    "--key", f"{PKI}/apiserver-etcd-client.key",
)  # fmt: skip


def _bytes(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


COUNT_ALL = json.dumps({"key": _bytes("\0"), "range_end": _bytes("\0"), "count_only": True})
"""Asks how many keys there are, and for no key."""


def range_attempt(host: str, port: int, *, certificate: str = "", identity: str = "without a certificate") -> Http:
    """An attempt to count all keys."""
    return Http(host, port, RANGE, method="POST", body=COUNT_ALL, certificate=certificate, identity=identity)


def with_real_certificate(cluster: Cluster, node: Node, host: str, port: int) -> Evidence:
    """The API server's own etcd certificate, used on the node by root: it never leaves it.

    Raises:
        ProbeError: the node could not be asked.
    """
    started = time.monotonic()
    url = f"https://{authority(host, port)}{RANGE}"
    done = cluster.on_node(
        node,
        [*_CURL, "--output", "/dev/null", "--write-out", "%{http_code} %{errormsg}", "--data", COUNT_ALL, url],
        check=False,
    )
    status, _, words = done.text.partition(" ")
    answered = status.isdigit() and status != "000"
    return Evidence(
        node_source(node),
        f"POST {url} with the API server's etcd certificate",
        Outcome.HTTP if answered else Outcome.REFUSED if done.code == 7 else Outcome.CLOSED,
        "" if answered else words or f"curl exit code {done.code}",
        status=int(status) if answered else None,
        latency_ms=round((time.monotonic() - started) * 1000, 1),
    )


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
    curl = [*_CURL, "--fail", "--data", query, f"https://127.0.0.1:2379{RANGE}"]
    line = shlex.join(curl) + (f" | {shlex.join(through)}" if through else "")
    return cluster.on_node(node, ["bash", "-o", "pipefail", "-c", line], deadline=30).stdout


def _json(body: bytes, node: Node) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        raise ProbeError(f"etcd on {node.name}: answered with something that is not JSON") from None
    if not isinstance(found, dict):
        raise ProbeError(f"etcd on {node.name}: answered with something that is no object")
    return found


@cache
def foreign_certificate() -> str:
    """A client certificate of a CA that nobody trusts, with its key, PEM: what anybody can make for themselves."""
    import datetime as dt

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(common: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])

    now = dt.datetime.now(dt.UTC)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name("kube-apiserver-etcd-client"))
        .issuer_name(name("etcd-ca"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return (certificate.public_bytes(serialization.Encoding.PEM) + private).decode()
