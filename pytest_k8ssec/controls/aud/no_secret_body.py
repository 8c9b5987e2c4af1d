"""No Secret's value, and no token, is in the audit log.

Audit logs are shipped, kept for years, and read by many who may not read Secrets. A policy that logs bodies of Secrets, or
of token requests and reviews, writes down each value that is created, changed or read. A canary Secret is created,
read, listed, replaced and patched. A token is requested, and reviewed as kubelets and webhooks do. Once these events
are in the log, the log is searched for both values, as they are and in base64.

Remediation: log `secrets`, `configmaps`, `serviceaccounts/token` and `tokenreviews` at level Metadata, in a rule before any
that logs bodies; replace the values that were written down.

```yaml
# audit.yaml, what --audit-policy-file names: the first rule that fits decides
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    resources:
      - group: ""
        resources: [secrets, configmaps, serviceaccounts/token]
      - group: authentication.k8s.io
        resources: [tokenreviews]
  - level: RequestResponse
    verbs: [create, update, patch, delete, deletecollection]
    resources:
      - group: rbac.authorization.k8s.io
  - level: Metadata
```

Sources: CIS Kubernetes Benchmark 3.2.2; https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/#audit-policy
"""

from __future__ import annotations

import base64
import secrets

import yaml

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.headers import MERGE_PATCH_TYPE
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.facts.auditlog import audit_logs
from pytest_k8ssec.facts.node import argument_evidence, argument_file, control_planes
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.secrecy.redact import register
from pytest_k8ssec.verdict import Judge

_SECONDS = 15
_DEEDS = (
    "create secrets", "get secrets", "list secrets", "update secrets", "patch secrets", "create serviceaccounts/token",
    "create tokenreviews",
)  # fmt: skip
_AUTHENTICATION = "authentication.k8s.io/v1"


@control(severity=Severity.HIGH, subject="cluster", cis=("3.2.2",), owasp=("K03:2025",), apart=True)
def test_aud_no_secret_body(judge: Judge, cluster: Cluster, pool: Pool) -> None:
    """Handle a canary Secret and a token in every way, and search the API servers' logs for both values."""
    logs, marker = audit_logs(cluster), f"k8ssec-{secrets.token_hex(8)}"
    canary = register(secrets.token_hex(24))
    token = _handle(cluster, pool.namespace("canary"), marker, canary)
    events = logs.events(marker, lambda found: set(_DEEDS) <= {_deed(each) for each in found}, deadline=_SECONDS)
    logged = {_deed(event) for event in events}
    case = judge.case("what API servers log of Secrets and tokens")
    for deed in _DEEDS:
        shown = logs.evidence(f"{deed}, marked as ours", "found" if deed in logged else "")
        case.positive(f"it is in the log: {deed}", shown, succeeded=deed in logged)
    for what, forms in (
        ("a Secret's value", (canary, base64.b64encode(canary.encode()).decode())),
        ("a service account's token", (token,)),
    ):
        lines = logs.lines(*forms)
        searched = logs.evidence(what, f"in {len(lines)} lines" if lines else "")
        case.attack(f"read {what}", searched, through=bool(lines))


def _handle(cluster: Cluster, namespace: str, marker: str, canary: str) -> str:
    """Create, read, list and change the Secret, ask for a token, have it reviewed and return it; all of it marked."""
    marked = {"User-Agent": marker}
    secret: Body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": marker, "namespace": namespace}}
    secret["stringData"] = {"canary": canary}
    path, collection = cluster.api.path_of(secret), cluster.api.path_of(secret, collection=True)
    cluster.api.call("POST", collection, body=secret, headers=marked)
    try:
        cluster.api.call("GET", path, headers=marked)
        cluster.api.call("GET", collection, params={"fieldSelector": f"metadata.name={marker}"}, headers=marked)
        cluster.api.call("PUT", path, body=secret, headers=marked)
        merge = {**marked, "Content-Type": MERGE_PATCH_TYPE}
        cluster.api.call("PATCH", path, body={"stringData": secret["stringData"]}, headers=merge)
    finally:
        cluster.api.delete(path)
    request = {"apiVersion": _AUTHENTICATION, "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token"
    token = register(str(cluster.api.call("POST", account, body=request, headers=marked)["status"]["token"]))
    review = {"apiVersion": _AUTHENTICATION, "kind": "TokenReview", "spec": {"token": token}}
    cluster.api.call("POST", f"/apis/{_AUTHENTICATION}/tokenreviews", body=review, headers=marked)
    return token


def _deed(event: Body) -> str:
    about = event.get("objectRef", {})
    return f"{event.get('verb')} {'/'.join(filter(None, (about.get('resource'), about.get('subresource'))))}"


_BODIES = yaml.safe_dump(
    {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "RequestResponse", "resources": [{"group": "", "resources": ["secrets"]}]},
            {"level": "Metadata"},
        ],
    }
)


def _logs_bodies(cluster: Cluster) -> Evidence:
    (node, *_) = control_planes(cluster)
    if argument_file(cluster, node, "kube-apiserver", "audit-policy-file") != _BODIES:
        raise SabotageError("kube-apiserver: its audit policy is not the one that logs bodies")
    return argument_evidence(cluster, node, "kube-apiserver", "audit-policy-file", "audit-log-path")


@sabotage(test_aud_no_secret_body, proof=_logs_bodies)
def bodies_of_secrets(config: KindConfig) -> None:
    """The audit policy logs the bodies of Secrets."""
    config.replace("control-plane/audit.yaml", _BODIES)
