"""A private key that was found: whether it is one that API servers know anybody by, and what it makes."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509 import load_pem_x509_certificate

from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.facts.credentials import found_credentials, of_values
from pytest_k8ssec.facts.signing_keys import SigningKeys, leads_here, signing_keys
from pytest_k8ssec.probes.certificates import certificate_authority

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.api import KubeApi

CA, FRONT, OTHER, OLD = (certificate_authority(name) for name in ("kubernetes", "front-proxy-ca", "somebody", "old"))
CLAIMS = {"iss": "https://kubernetes.default.svc", "aud": ["https://kubernetes.default.svc"], "exp": 1, "iat": 0,
          "sub": "system:serviceaccount:default:default"}  # fmt: skip
PRIVATE: dict[str, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey] = {
    "RSA": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "EC": ec.generate_private_key(ec.SECP256R1()),
}


def encoded(number: int) -> str:
    """As a JWK has it."""
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def jwks() -> dict[str, Any]:
    """The public parts of what signs tokens."""
    one, other = PRIVATE["RSA"].public_key().public_numbers(), PRIVATE["EC"].public_key().public_numbers()
    assert isinstance(one, rsa.RSAPublicNumbers)
    assert isinstance(other, ec.EllipticCurvePublicNumbers)
    return {"keys": [
        {"kty": "RSA", "n": encoded(one.n), "e": encoded(one.e)},
        {"kty": "EC", "crv": "P-256", "x": encoded(other.x), "y": encoded(other.y)},
        {"kty": "oct"},
    ]}  # fmt: skip


@dataclass
class Api:
    """An API server that tells its public parts."""

    ca_file: Path
    refused: str = ""
    """Which path it does not tell."""
    server: str = "https://127.0.0.1:36443"
    sent: list[str] = field(default_factory=list)

    def request(self, method: str, path: str, **_: Any) -> Response:
        """Them."""
        self.sent.append(f"{method} {path}")
        if self.refused and self.refused in path:
            return Response(403, {}, 1.0)
        if path.endswith("jwks"):
            return Response(200, jwks(), 1.0)
        if path.endswith("token"):
            part = base64.urlsafe_b64encode(json.dumps(CLAIMS).encode()).decode().rstrip("=")
            return Response(201, {"status": {"token": f"e30.{part}.e30"}}, 1.0)
        if path.endswith("kubernetes"):
            return Response(200, {"spec": {"clusterIPs": ["10.96.0.1"]}}, 1.0)
        held = {"client-ca-file": CA.certificate, "requestheader-client-ca-file": OLD.certificate + FRONT.certificate,
                "requestheader-allowed-names": '["front-proxy-client"]', "requestheader-username-headers": '["X-Who"]'}  # fmt: skip
        return Response(200, {"data": held}, 1.0)


def known(tmp_path: Path, refused: str = "") -> SigningKeys:
    """What that API server tells."""
    (tmp_path / "ca.crt").write_text(CA.certificate)
    return signing_keys(cast("KubeApi", Api(tmp_path / "ca.crt", refused)), ("10.0.0.2",))


def pem(key: Any) -> str:
    """A private key, as kubeadm writes it."""
    return str(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode())  # fmt: skip


@pytest.mark.parametrize("kind", PRIVATE)
def test_who_has_the_key_of_tokens_signs_any(tmp_path: Path, kind: str) -> None:
    """With the claims that the API server gives, for some minutes from now; its signature is good."""
    (found,) = found_credentials(of_values({"KEY": pem(PRIVATE[kind]).encode()}, ""), known(tmp_path)).credentials
    assert found.anybody
    assert "signs the tokens" in found.form
    assert found.token not in repr(found)
    signed, _, signature = found.token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    public = PRIVATE[kind].public_key()
    if isinstance(public, rsa.RSAPublicKey):
        public.verify(raw, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    else:
        half = len(raw) // 2
        der = encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))
        public.verify(der, signed.encode(), ec.ECDSA(hashes.SHA256()))
    claims = json.loads(base64.urlsafe_b64decode(signed.split(".")[1] + "=="))
    assert (CLAIMS["sub"], CLAIMS["aud"]) == (claims["sub"], claims["aud"])
    assert claims["exp"] - claims["iat"] <= 600


def test_who_has_the_key_of_a_ca_signs_certificates(tmp_path: Path) -> None:
    """Of nobody, and of a client of the front proxy, who says in a header for whom it speaks."""
    keys = known(tmp_path)
    for held, issuer, headers in ((CA, CA, {}), (FRONT, FRONT, {"X-Who": "k8ssec-nobody"})):
        (found,) = found_credentials(of_values({"KEY": held.key.encode()}, ""), keys).credentials
        assert found.anybody
        assert headers == dict(found.headers)
        made, authority = (load_pem_x509_certificate(each.encode()) for each in (found.pem, issuer.certificate))
        made.verify_directly_issued_by(authority)
        assert ("front-proxy-client" if headers else "k8ssec-nobody") in made.subject.rfc4514_string()


def test_another_key_signs_nothing(tmp_path: Path) -> None:
    """It is told by its place."""
    found = found_credentials(of_values({"KEY": OTHER.key.encode()}, ""), known(tmp_path))
    assert ((), ("private key without its certificate in KEY",)) == (found.credentials, found.others)


def test_a_client_of_the_front_proxy_speaks_for_anybody(tmp_path: Path) -> None:
    """It is shown with and without the header: one of its own is anybody's too."""
    keys = known(tmp_path)
    (made,) = found_credentials(of_values({"KEY": FRONT.key.encode()}, ""), keys).credentials
    both = found_credentials(of_values({"PAIR": made.pem.encode()}, ""), keys).credentials
    assert [("client certificate", False), ("client certificate of the front proxy", True)] == [
        (each.form, each.anybody) for each in both
    ]
    usual = found_credentials(of_values({"PAIR": OTHER.pem.encode()}, ""), keys).credentials
    assert ["client certificate"] == [each.form for each in usual]


@pytest.mark.parametrize("refused", ["jwks", "token", "configmaps"])
def test_what_is_not_told_is_said(tmp_path: Path, refused: str) -> None:
    """Then of a private key nobody can say whether it is one."""
    assert not known(tmp_path).unread
    assert 1 == len(known(tmp_path, refused).unread)


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("https://kubernetes.default.svc", True),
        ("https://10.96.0.1:443", True),
        ("10.0.0.2:6443", True),
        ("https://example.com:6443", False),
        ("", False),
        ("https://[bad", False),
    ],
)
def test_a_kubeconfig_without_a_ca_is_for_whom_it_leads_to(tmp_path: Path, server: str, expected: bool) -> None:
    """As clients that verify nothing, or by a file beside it, take it; a token for others is shown to nobody."""
    keys = known(tmp_path)
    assert expected is leads_here(server, keys)
    for more in ({}, {"insecure-skip-tls-verify": True}, {"certificate-authority": "/ca.crt"}):
        text = yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config",
            "clusters": [{"name": "a", "cluster": {"server": server, **more}}],
            "users": [{"name": "b", "user": {"token": "opaque"}}],
            "contexts": [{"name": "c", "context": {"cluster": "a", "user": "b"}}],
        })  # fmt: skip
        found = found_credentials(of_values({"KEY": text.encode()}, ""), keys)
        assert (["opaque"] if expected else []) == [each.token for each in found.credentials]
        assert expected is not bool(found.others)
