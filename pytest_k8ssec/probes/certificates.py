"""Makes certificates that anybody could make, and that nobody has a reason to trust.

Cryptography is imported where it is needed, as most runs need none of it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from functools import cache


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, PEM."""

    certificate: str
    key: str = field(repr=False)

    @property
    def pem(self) -> str:
        """Both, one after the other."""
        return self.certificate + self.key


@cache
def foreign_certificate() -> Pair:
    """A client certificate of a CA that nobody trusts, in the name of etcd's own client, the API server."""
    return _issue("kube-apiserver-etcd-client", "etcd-ca", signed_by_itself=False)


def certificate_authority(name: str) -> Pair:
    """A certificate authority."""
    return _issue(name, name, signed_by_itself=True)


def _issue(subject: str, issuer: str, *, signed_by_itself: bool) -> Pair:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(common: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])

    now = dt.datetime.now(dt.UTC)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signer = key if signed_by_itself else rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=signed_by_itself, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .sign(signer, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return Pair(certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode())
