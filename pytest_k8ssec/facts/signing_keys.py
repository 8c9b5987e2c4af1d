"""Keys by which a cluster's API servers know whom they talk to: who has the private part of one is anybody.

Three pairs do that: the one that signs tokens of service accounts, the CA of client certificates, and the CA of the front
proxy, whose clients name any user in a header. Their public parts are read from the API itself; what is made with a private
part that was found lives for minutes, and names an account that has no right, or nobody.

Sources: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#external-public-keys (JWKS);
https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/#original-request-username-and-group;
https://kubernetes.io/docs/setup/best-practices/certificates/
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_k8ssec.clusters.api import Body, KubeApi

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

_SECONDS = 600
_FRONT = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
_TOKENS = "/api/v1/namespaces/default/serviceaccounts/default/token"
_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
SOMEBODY = "k8ssec-nobody"
"""Whom a certificate of ours names: he has no right."""


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The public parts, and how API servers expect what is signed by the private ones."""

    authority: bytes = b""
    """PEM of the CA by which clients know the API servers."""
    client_authority: bytes = b""
    """PEM of the CA of client certificates."""
    token_keys: tuple[bytes, ...] = ()
    """Public keys of tokens, DER."""
    claims: Mapping[str, Any] = field(default_factory=dict)
    """Of a token that the API server issued."""
    front_proxy: bytes = b""
    """PEM of the front proxy's CA, b"" where there is none."""
    front_name: str = ""
    """A name that the front proxy's clients may have."""
    user_header: str = ""
    hosts: frozenset[str] = frozenset()
    """Names and addresses by which clients reach the API servers."""
    unread: tuple[str, ...] = ()
    """Which of these could not be read: of such a key nobody can say whether it is one."""


@dataclass(frozen=True, slots=True)
class Forged:
    """What a key that was found makes: of these, what is not "" is to be shown."""

    form: str
    token: str = field(default="", repr=False)
    pem: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


def signing_keys(api: KubeApi, addresses: tuple[str, ...]) -> SigningKeys:
    """Read the public parts from a cluster.

    Args:
        addresses: of its control planes.

    Raises:
        ClusterError: no HTTP answer came.
    """
    keys = api.request("GET", "/openid/v1/jwks", headers={"Accept": "application/jwk-set+json, application/json"})
    front = api.request("GET", _FRONT)
    token = api.request("POST", _TOKENS, body=_token_request())
    service = api.request("GET", "/api/v1/namespaces/default/services/kubernetes")
    asked = {"the public keys of tokens": keys, "the front proxy's CA": front, "a token's claims": token}
    none = front.status == 404  # there is no front proxy
    unread = tuple(what for what, answer in asked.items() if not answer.ok and not (none and answer is front))
    proxied = (front.body.get("data") or {}) if front.ok else {}
    names, headers = (_listed(proxied, f"requestheader-{what}") for what in ("allowed-names", "username-headers"))
    cluster_ips = (service.body.get("spec") or {}).get("clusterIPs") or () if service.ok else ()
    own, issued = api.ca_file.read_bytes(), str((token.body.get("status") or {}).get("token") or "") if token.ok else ""
    return SigningKeys(
        own,
        str(proxied.get("client-ca-file") or "").encode() or own,
        tuple(filter(None, map(_public_of_jwk, keys.body.get("keys") or ()))) if keys.ok else (),
        _claims_of(issued) if issued else {},
        str(proxied.get("requestheader-client-ca-file", "")).encode(),
        (names or [SOMEBODY])[0],
        (headers or ["X-Remote-User"])[0],
        frozenset((*_NAMES, *addresses, *cluster_ips, _host(api.server))),
        unread,
    )


def forged_by(key: str, public: bytes, known: SigningKeys) -> Forged | None:
    """What a private key makes that an API server takes for anybody's; None where it is none of these keys.

    Args:
        key: PEM.
        public: its public part, DER.
    """
    if public in known.token_keys and known.claims:
        return Forged("key that signs the tokens of all service accounts", token=_token(key, known.claims))
    if authority := _whose(public, known.client_authority):
        pem = _certificate(key, authority, SOMEBODY)
        return Forged("key of the CA that signs client certificates", pem=pem)
    if authority := _whose(public, known.front_proxy):
        pem = _certificate(key, authority, known.front_name)
        return Forged("key of the front proxy's CA", pem=pem, headers={known.user_header: SOMEBODY})
    return None


def is_front_proxy(certificate: str, known: SigningKeys) -> bool:
    """Whether a certificate is one of the front proxy's clients, who may say that they speak for anybody."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.x509 import load_pem_x509_certificate

    for authority in _each(known.front_proxy):
        try:
            one, issuer = (load_pem_x509_certificate(each) for each in (certificate.encode(), authority))
            one.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature, Warning):
            continue
        return True
    return False


def _token_request() -> Body:
    spec = {"expirationSeconds": _SECONDS}
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}


def _listed(held: Mapping[str, Any], name: str) -> list[str]:
    try:
        return [str(each) for each in json.loads(held.get(name) or "[]")]
    except ValueError:
        return []


def _host(url: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(url).hostname or ""


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _claims_of(token: str) -> dict[str, Any]:
    return dict(json.loads(_decoded(token.split(".")[1])))


def _public_of_jwk(jwk: Mapping[str, Any]) -> bytes:
    """DER of a public key; b"" of a kind that API servers don't sign by. Source: RFC 7518, section 6."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    def number(name: str) -> int:
        return int.from_bytes(_decoded(str(jwk[name])), "big")

    if jwk.get("kty") == "RSA":
        return _der(rsa.RSAPublicNumbers(number("e"), number("n")).public_key())
    curves = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
    if jwk.get("kty") == "EC" and jwk.get("crv") in curves:
        return _der(ec.EllipticCurvePublicNumbers(number("x"), number("y"), curves[str(jwk["crv"])]).public_key())
    return b""


def _der(public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _each(bundle: bytes) -> list[bytes]:
    """The certificates of a file that may hold several, as while a CA is replaced."""
    end = b"-----END CERTIFICATE-----"
    return [part + end for part in bundle.split(end) if b"-----BEGIN" in part]


def _whose(public: bytes, bundle: bytes) -> bytes:
    """The one of some CAs that a public key is of; b"" for none."""
    return next((each for each in _each(bundle) if _public_of_certificate(each) == public), b"")


def _public_of_certificate(pem: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.x509 import load_pem_x509_certificate

    try:
        public = load_pem_x509_certificate(pem).public_key()
    except (ValueError, Warning):
        return b""
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _token(key: str, claims: Mapping[str, Any]) -> str:
    """A token with these claims, for some minutes from now. Source: RFC 7515, RFC 7518 section 3."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    private = serialization.load_pem_private_key(key.encode(), password=None)
    sizes = {256: ("ES256", hashes.SHA256()), 384: ("ES384", hashes.SHA384()), 521: ("ES512", hashes.SHA512())}
    algorithm = sizes[private.curve.key_size][0] if isinstance(private, ec.EllipticCurvePrivateKey) else "RS256"
    now = int(time.time())
    own = {**claims, "iat": now, "nbf": now - 1, "exp": now + _SECONDS}
    signed = ".".join(_encoded(json.dumps(part).encode()) for part in ({"alg": algorithm, "typ": "JWT"}, own))
    if isinstance(private, ec.EllipticCurvePrivateKey):
        der = private.sign(signed.encode(), ec.ECDSA(sizes[private.curve.key_size][1]))
        length = (private.curve.key_size + 7) // 8
        signature = b"".join(part.to_bytes(length, "big") for part in decode_dss_signature(der))
    elif isinstance(private, rsa.RSAPrivateKey):
        signature = private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    else:
        raise TypeError("a key of a kind that signs no tokens")
    return f"{signed}.{_encoded(signature)}"


def _certificate(key: str, authority: bytes, name: str) -> str:
    """A client certificate and its key, PEM, signed by a CA's key that was found."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    signer = serialization.load_pem_private_key(key.encode(), password=None)
    own, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(x509.load_pem_x509_certificate(authority).subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(seconds=_SECONDS))
        .not_valid_after(now + dt.timedelta(seconds=_SECONDS))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(signer, hashes.SHA256())  # type: ignore[arg-type]  # what is no key for it, a CA does not have
    )
    kept = own.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return (made.public_bytes(serialization.Encoding.PEM) + kept).decode()


def _named(name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def leads_here(url: str, known: SigningKeys) -> bool:
    """Whether clients reach the cluster's API servers by a URL."""
    try:
        return _host(url if "//" in url else f"//{url}") in known.hosts
    except ValueError:
        return False
