"""No Secret's value, and no token, is in the audit log.

Audit logs are shipped, kept for years, and read by many who may not read Secrets. A policy that logs bodies of Secrets, or
of token requests and reviews, writes down each value that is created, changed or read. A canary Secret is created,
read, listed, replaced and patched. A token is requested, and reviewed as kubelets and webhooks do. In each other namespace
the Secret is created as a dry run, as a policy may tell namespaces apart. Where there are several API servers, each is asked
by itself. Once these events are in the log, the log is searched for both values, as they are and in base64.

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
from collections.abc import Iterable, Mapping
from itertools import product

import yaml

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.api_servers import HasApi
from pytest_k8ssec.clusters.headers import MERGE_PATCH_TYPE
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.errors import SabotageError, as_probe_error
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.facts.auditlog import AuditLogs, audit_logs
from pytest_k8ssec.facts.inventory import foreign_namespaces
from pytest_k8ssec.facts.node import argument_evidence, argument_file, control_planes
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.nodes_in_reach import servers_to_judge
from pytest_k8ssec.secrecy.redact import register
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import Judge

_SECONDS = 15
_OURS = "ours"
"""How the namespace of our own, and what is in none, is named in what is covered."""
_DEEDS = (
    "create secrets", "get secrets", "list secrets", "update secrets", "patch secrets", "create serviceaccounts/token",
    "create tokenreviews",
)  # fmt: skip
_AUTHENTICATION = "authentication.k8s.io/v1"


@control(
    severity=Severity.HIGH,
    subject="cluster",
    cis=("3.2.2",),
    owasp=("K03:2025",),
    apart=True,
    dimensions=("server", "namespace", "deed"),
)
def test_aud_no_secret_body(
    judge: Judge,
    cluster: Cluster,
    deployed: Stack | None,  # noqa: ARG001 - a policy may tell a stack's namespaces from others, so they have to be there
    pool: Pool,
) -> None:
    """Handle a canary Secret and a token in every way, and search the API servers' logs for both values."""
    logs, ours = audit_logs(cluster), pool.namespace("canary")
    servers, others = servers_to_judge(judge, cluster), foreign_namespaces(cluster.api)
    deeds = [*((_OURS, deed) for deed in _DEEDS), *((namespace, _DEEDS[0]) for namespace in others)]
    for server, (namespace, deed) in product(servers, deeds):
        judge.coverage.exists(server=server.name, namespace=namespace, deed=deed)
    for server in servers:
        marker, canary = f"k8ssec-{secrets.token_hex(8)}", register(secrets.token_hex(24))
        token = _handle(server, ours, marker, canary)
        for namespace in others:
            _offer_secret(server, namespace, marker, canary)
        case = judge.case(f"what API servers log of Secrets and tokens{server.words}")
        logged = _logged(logs, marker, {ours: _OURS}, deeds)
        for namespace, deed in deeds:
            seen = (namespace, deed) in logged
            where = f" in namespace {namespace}" if namespace != _OURS else ""
            shown = logs.evidence(f"{deed}{where}, marked as ours", "found" if seen else "")
            case.positive(f"it is in the log: {deed}{where}", shown, succeeded=seen)
        for what, forms, of_it in (
            ("a Secret's value", (canary, base64.b64encode(canary.encode()).decode()), _DEEDS[:5]),
            ("a service account's token", (token,), _DEEDS[5:]),
        ):
            lines = logs.lines(*forms)
            searched = logs.evidence(what, f"in {len(lines)} lines" if lines else "")
            at = [
                {"server": server.name, "namespace": namespace, "deed": deed}
                for namespace, deed in logged
                if deed in of_it
            ]
            case.attack(f"read {what}", searched, through=bool(lines), at=at)


def _logged(
    logs: AuditLogs, marker: str, names: Mapping[str, str], wanted: Iterable[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Namespace and deed of all that is in the log under a mark, once all that is wanted is there, or the time is over."""

    def found(events: Iterable[Body]) -> list[tuple[str, str]]:
        at = ((each.get("objectRef", {}).get("namespace") or _OURS, _deed(each)) for each in events)
        return list(dict.fromkeys((names.get(namespace, namespace), deed) for namespace, deed in at))

    return found(logs.events(marker, lambda events: set(wanted) <= set(found(events)), deadline=_SECONDS))


def _offer_secret(server: HasApi, namespace: str, marker: str, canary: str) -> None:
    """A dry run: whether it is let in or not, its body came to the API server."""
    secret = _secret(namespace, marker, canary)
    path = f"/api/v1/namespaces/{namespace}/secrets"
    with as_probe_error():
        server.api.request("POST", path, body=secret, params={"dryRun": "All"}, headers={"User-Agent": marker})


def _secret(namespace: str, marker: str, canary: str) -> Body:
    meta = {"name": marker, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"canary": canary}}


def _handle(cluster: HasApi, namespace: str, marker: str, canary: str) -> str:
    """Create, read, list and change the Secret, ask for a token, have it reviewed and return it; all of it marked."""
    marked = {"User-Agent": marker}
    secret = _secret(namespace, marker, canary)
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
