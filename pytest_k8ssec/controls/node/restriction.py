"""A node can change and read only what is its own.

Whoever breaks out of a container has its node's credentials. These must not reach further than that node. With them
nobody may change another node, to draw its pods away; or give the node a label that places reserved pods on it; or read
a Secret that none of its pods uses. The Node authorizer prevents the last, the admission plugin NodeRestriction the
others. Each node is impersonated, as its credentials never leave it; every change is a dry run.

Remediation: start kube-apiserver with `--authorization-mode=Node,RBAC` and with NodeRestriction among
`--enable-admission-plugins` (kubeadm sets it, until `enable-admission-plugins` is set to something else).

```yaml
# kind.yaml
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    apiServer:
      extraArgs:
        authorization-mode: Node,RBAC
        enable-admission-plugins: NodeRestriction
```

Sources: CIS Kubernetes Benchmark 1.2.7, 1.2.14;
https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.headers import MERGE_PATCH_TYPE
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.identities import api_evidence
from pytest_k8ssec.sabotages.proofs import without_plugin
from pytest_k8ssec.verdict import Judge

_PLUGIN = "NodeRestriction"
_RESERVED = "node-restriction.kubernetes.io/k8ssec"
_FREE = "k8ssec.dev/canary"
_THROUGH = {200: True, 403: False}
_NAME_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


@dataclass(frozen=True, slots=True)
class _AsNode:
    """A node's rights, by impersonation."""

    cluster: Cluster
    node: str

    def label(self, node: str, label: str) -> Evidence:
        """Put a label on a node, as a dry run."""
        change = {"metadata": {"labels": {label: "true"}}}
        return self._send(
            "PATCH", f"/api/v1/nodes/{node}", MERGE_PATCH_TYPE, change, f"label node {node} {label} (dry run)"
        )

    def read(self, path: str) -> Evidence:
        """Get an object's metadata."""
        return self._send("GET", path, MERGE_PATCH_TYPE, None, f"GET {path}, metadata only")

    def _send(self, method: str, path: str, kind: str, body: Body | None, what: str) -> Evidence:
        user = f"system:node:{self.node}"
        headers = {"Impersonate-User": user, "Impersonate-Group": "system:nodes", "Accept": _NAME_ONLY}
        answer = self.cluster.api.request(
            method, path, body=body, params={"dryRun": "All"} if body else {}, headers={**headers, "Content-Type": kind}
        )
        return api_evidence(user, what, answer)


@control(
    severity=Severity.HIGH,
    subject="cluster",
    cis=("1.2.7", "1.2.14"),
    mitre=("T1078",),
    others=("C-0119", "C-0127"),
)
def test_node_restriction(judge: Judge, cluster: Cluster, pool: Pool) -> None:
    """Let each node change another one, label itself with a reserved label, and read a Secret that is not its own."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "not-a-nodes-own", "namespace": pool.namespace("canary")},
    }
    with cluster.api.applied(secret):
        path = cluster.api.path_of(secret)
        exists = api_evidence("", f"GET {path}", cluster.api.request("GET", path))
        for node in cluster.nodes:
            identity = _AsNode(cluster, node.name)
            own, labelled = identity.read(f"/api/v1/nodes/{node.name}"), identity.label(node.name, _FREE)
            case = judge.case(f"node {node.name}")
            case.positive("it reads its own Node", own, succeeded=own.status == 200)
            case.positive("it labels its own Node", labelled, succeeded=labelled.status == 200)
            case.positive("the Secret exists", exists, succeeded=exists.status == 200)
            for what, answer in _attempts(cluster, identity, node, path):
                case.attack(what, answer, through=_THROUGH.get(answer.status or 0))


def _attempts(cluster: Cluster, identity: _AsNode, node: Node, secret: str) -> list[tuple[str, Evidence]]:
    others = [other.name for other in cluster.nodes if other is not node][:1]
    return [
        *((f"label another node, {other}", identity.label(other, _FREE)) for other in others),
        ("give itself a reserved label", identity.label(node.name, _RESERVED)),
        ("read a Secret that none of its pods uses", identity.read(secret)),
    ]


def _not_restricted(cluster: Cluster) -> Evidence:
    return without_plugin(cluster, _PLUGIN)


@sabotage(test_node_restriction, proof=_not_restricted)
def no_node_restriction(config: KindConfig) -> None:
    """The API server runs without NodeRestriction; all else stays, the Node authorizer too."""
    config.api_server(enable_admission_plugins="DenyServiceExternalIPs")
