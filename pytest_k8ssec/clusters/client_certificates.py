"""Client certificates that the cluster itself signs: who has one and its key is that user to the API server.

Sources: https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#kubernetes-signers;
https://kubernetes.io/docs/tasks/tls/certificate-issue-client-csr/
"""

from __future__ import annotations

import base64
import secrets

from pytest_k8ssec.clusters.api import Body, KubeApi
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.secrecy.redact import register

_REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
_LIVES, _SECONDS = 3600, 30


def signed_client_certificate(api: KubeApi, user: str) -> str:
    """A client certificate of a user, valid for an hour, and its key, PEM. The request for it is removed again.

    The groups of the user are none but ``system:authenticated``: admission refuses ``system:masters``.

    Raises:
        ClusterError: it was not signed.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    name = f"k8ssec-{secrets.token_hex(4)}"
    manifest: Body = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"],
            "expirationSeconds": _LIVES,
        },
    }
    approval = {"type": "Approved", "status": "True", "reason": "k8ssec", "message": "made by this run, for itself"}
    with api.applied(manifest) as (made,):
        made["status"] = {"conditions": [approval]}
        api.call("PUT", f"{_REQUESTS}/{name}/approval", body=made)
        what = f"certificate signing request {name}: was not signed"
        signed = api.wait(_REQUESTS, name, _is_signed, deadline=_SECONDS, what=what)
    if signed is None:
        raise ClusterError(f"{what}: it is gone")
    return base64.b64decode(signed["status"]["certificate"]).decode() + register(pem)


def kubeconfig(api: KubeApi, pem: str) -> str:
    """A kubeconfig as a pod of the cluster would use one, whose user has a client certificate and its key.

    Args:
        pem: both, the certificate first.
    """
    import yaml

    at = pem.index("-----BEGIN PRIVATE")
    authority, certificate, key = (
        base64.b64encode(each).decode() for each in (api.ca_file.read_bytes(), pem[:at].encode(), pem[at:].encode())
    )
    cluster = {"server": "https://kubernetes.default.svc", "certificate-authority-data": authority}
    user = {"client-certificate-data": certificate, "client-key-data": key}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "own", "cluster": cluster}],
            "users": [{"name": "own", "user": user}],
            "contexts": [{"name": "own", "context": {"cluster": "own", "user": "own"}}],
            "current-context": "own",
        }
    )


def _is_signed(request: Body | None) -> bool:
    return request is None or bool(request.get("status", {}).get("certificate"))
