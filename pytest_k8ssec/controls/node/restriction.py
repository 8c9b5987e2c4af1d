"""A node can change and read only what is its own.

Whoever breaks out of a container has its node's credentials. These must not reach further than that node. With them
nobody may change another node, to draw its pods away; or give the node a label that places reserved pods on it; or read
a Secret that none of its pods uses. The Node authorizer prevents the last, the admission plugin NodeRestriction the
others. Each node is impersonated, as its credentials never leave it; every change is a dry run. It tries the next nodes,
up to four of them, as nothing tells other nodes apart; it reads by name, and asks for a list.

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

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.api import Body, KubeApi
from pytest_k8ssec.clusters.api_servers import ApiServer
from pytest_k8ssec.clusters.headers import MERGE_PATCH_TYPE, METADATA_OF_MANY, METADATA_OF_ONE
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.identities import api_evidence
from pytest_k8ssec.probes.nodes_in_reach import servers_to_judge
from pytest_k8ssec.sabotages.proofs import without_plugin
from pytest_k8ssec.verdict import Judge

_PLUGIN = "NodeRestriction"
_RESERVED = "node-restriction.kubernetes.io/k8ssec"
_FREE = "k8ssec.dev/canary"
_THROUGH = {200: True, 403: False}
_OTHERS_MAX = 4
"""So many other nodes each node tries to change: NodeRestriction compares one name with another."""
_OTHER = "label another node"
_RESERVE, _READ, _LIST = "give itself a reserved label", "read a Secret that none of its pods uses", "list Secrets"


@dataclass(frozen=True, slots=True)
class _AsNode:
    """A node's rights, by impersonation."""

    api: KubeApi
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

    def list(self, path: str) -> Evidence:
        """List objects' metadata."""
        return self._send("GET", path, MERGE_PATCH_TYPE, None, f"list {path}, metadata only", METADATA_OF_MANY)

    def _send(
        self,
        method: str,
        path: str,
        kind: str,
        body: Body | None,
        what: str,
        accept: Mapping[str, str] = METADATA_OF_ONE,
    ) -> Evidence:
        user = f"system:node:{self.node}"
        headers = {"Impersonate-User": user, "Impersonate-Group": "system:nodes", **accept}
        answer = self.api.request(
            method, path, body=body, params={"dryRun": "All"} if body else {}, headers={**headers, "Content-Type": kind}
        )
        return api_evidence(user, what, answer)


@control(
    severity=Severity.HIGH,
    subject="cluster",
    cis=("1.2.7", "1.2.14"),
    mitre=("T1078",),
    others=("C-0119", "C-0127"),
    dimensions=("server", "node", "check"),
)
def test_node_restriction(judge: Judge, cluster: Cluster, pool: Pool) -> None:
    """Let each node change other ones, label itself with a reserved label, and read a Secret that is not its own."""
    servers = servers_to_judge(judge, cluster)
    for server, node in product(servers, cluster.nodes):
        tried = (_RESERVE, _READ, _LIST, *(_change(other) for other in _others(cluster, node)), _more(cluster))
        for check in filter(None, tried):
            judge.coverage.exists(**_at(server, node, check))
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "not-a-nodes-own", "namespace": pool.namespace("canary")},
    }
    with cluster.api.applied(secret):
        path = cluster.api.path_of(secret)
        for server in servers:
            exists = api_evidence("", f"GET {path}", server.api.request("GET", path))
            for node in cluster.nodes:
                _as_node(judge, cluster, server, node, path, exists)


def _at(server: ApiServer, node: Node, check: str) -> dict[str, str]:
    return {"server": server.name, "node": node.name, "check": check}


def _as_node(judge: Judge, cluster: Cluster, server: ApiServer, node: Node, secret: str, exists: Evidence) -> None:
    """Try all of it at one API server in the name of one node."""
    identity = _AsNode(server.api, node.name)
    own, labelled = identity.read(f"/api/v1/nodes/{node.name}"), identity.label(node.name, _FREE)
    case = judge.case(f"node {node.name}{server.words}")
    case.positive("it reads its own Node", own, succeeded=own.status == 200)
    case.positive("it labels its own Node", labelled, succeeded=labelled.status == 200)
    case.positive("the Secret exists", exists, succeeded=exists.status == 200)
    for what, answer in _attempts(cluster, identity, node, secret):
        checks = [what, *([_more(cluster)] if what.startswith(_OTHER) and _more(cluster) else [])]
        at = [_at(server, node, check) for check in checks]
        case.attack(what, answer, through=_THROUGH.get(answer.status or 0), at=at)


def _attempts(cluster: Cluster, identity: _AsNode, node: Node, secret: str) -> list[tuple[str, Evidence]]:
    return [
        *((_change(other), identity.label(other.name, _FREE)) for other in _others(cluster, node)),
        (_RESERVE, identity.label(node.name, _RESERVED)),
        (_READ, identity.read(secret)),
        (_LIST, identity.list(secret.rpartition("/")[0])),
    ]


def _others(cluster: Cluster, node: Node) -> list[Node]:
    """The other nodes that a node tries to change: those after it in the cluster's list, and round."""
    nodes = cluster.nodes
    at = [each.name for each in nodes].index(node.name)
    return [*nodes[at + 1 :], *nodes[:at]][:_OTHERS_MAX]


def _change(other: Node) -> str:
    return f"{_OTHER}, {other.name}"


def _more(cluster: Cluster) -> str:
    """The nodes for which those that are tried speak, as one check; "" where each is tried."""
    more = len(cluster.nodes) - 1 - _OTHERS_MAX
    return f"{_OTHER}, {more} more" if more > 0 else ""


def _not_restricted(cluster: Cluster) -> Evidence:
    return without_plugin(cluster, _PLUGIN)


@sabotage(test_node_restriction, proof=_not_restricted)
def no_node_restriction(config: KindConfig) -> None:
    """The API server runs without NodeRestriction; all else stays, the Node authorizer too."""
    config.api_server(enable_admission_plugins="DenyServiceExternalIPs")
