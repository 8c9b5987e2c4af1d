"""etcd through its v3 API: with the client certificate that stays on the node, or with what an attacker would have.

The v2 API is gone since etcd 3.6: ``/v2/keys`` sees nothing and proves nothing. Requests go to the gRPC gateway
(https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/), and ask for a count only unless a key of ours is read.
"""

from __future__ import annotations

import base64
import json
import time
from functools import cache

from pytest_k8ssec.clusters.interface import Cluster, Node
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
        node, [*_CURL, "--output", "/dev/null", "--write-out", "%{http_code} %{errormsg}", "--data", COUNT_ALL, url], check=False
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
