"""The API server gives no data to anybody without credentials.

Anonymous requests are let in by default, for health checks, and carry the user system:anonymous. One binding of a role to
that user, or to the group system:unauthenticated, gives the cluster to everybody who can reach the API server: such
bindings are made by hand, by old installers and by charts. Lists of Secrets, nodes, pods and ConfigMaps, metrics, node
logs and profiles are asked for without credentials, from a pod and from outside; no body is ever read. Secrets, ConfigMaps
and pods are asked for in each namespace but our own too, as a binding may be in one only.

Remediation: remove what binds roles to system:anonymous and system:unauthenticated (`kubectl get
clusterrolebindings,rolebindings -A -o wide | grep -E 'system:(anonymous|unauthenticated)'`), and let anonymous requests
only to health endpoints, by `anonymous.conditions` in an AuthenticationConfiguration.

```yaml
# kind.yaml
nodes:
  - role: control-plane
    extraMounts: # into a folder that kubeadm mounts into the API server
      - hostPath: authentication.yaml
        containerPath: /etc/kubernetes/pki/authentication.yaml
        readOnly: true
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    apiServer:
      extraArgs:
        authentication-config: /etc/kubernetes/pki/authentication.yaml
---
# authentication.yaml, beside kind.yaml
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions:
    - path: /livez
    - path: /readyz
    - path: /healthz
    - path: /api/v1/namespaces/kube-public/configmaps/cluster-info # nodes that join read it
```

Sources: CIS Kubernetes Benchmark 1.2.1;
https://kubernetes.io/docs/reference/access-authn-authz/authentication/#anonymous-requests
"""

from __future__ import annotations

from collections.abc import Callable

from pytest_k8ssec.agent.tasks import Http
from pytest_k8ssec.agent.vantage import NetworkVantage, probe
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.clusters.ports import API_SERVER_PORT
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.pods.manifests import OBJECT_LABEL
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.identities import api_evidence, auditor
from pytest_k8ssec.sabotages.proofs import unset
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import Judge

_DATA = (
    "/api/v1/secrets?limit=1",
    "/api/v1/nodes?limit=1",
    "/api/v1/pods?limit=1",
    "/api/v1/configmaps?limit=1",
    "/metrics",
    "/logs/",
    "/debug/pprof/",
)
_IN_EACH_NAMESPACE = ("secrets", "configmaps", "pods")
_TIMEOUT = 5.0
"""Seconds for an answer: there are many requests at a time, and a pod of ours has half a processor for them."""


@control(
    severity=Severity.CRITICAL, subject="cluster", cis=("1.2.1",), others=("KHV005", "C-0262", "KSV-0122"), apart=True
)
def test_api_anon_data(
    judge: Judge,
    cluster: Cluster,
    deployed: Stack | None,  # noqa: ARG001 - what a stack binds to system:anonymous is judged too, so it has to be there
    pool: Pool,
    attacker: Callable[..., Pod],
    outside: NetworkVantage,
) -> None:
    """Ask each API server for data without credentials, from a pod and from beside the nodes."""
    token = auditor(pool).token
    # Not ours: which of those are there by now depends on what else runs.
    namespaces = [
        each["metadata"]["name"]
        for each in cluster.api.list("/api/v1/namespaces")
        if OBJECT_LABEL not in (each["metadata"].get("labels") or {})
    ]
    inside = (f"/api/v1/namespaces/{name}/{kind}?limit=1" for name in namespaces for kind in _IN_EACH_NAMESPACE)
    paths = (*_DATA, *inside)
    for node in (node for node in cluster.nodes if node.control_plane):
        for vantage in (attacker().vantage, outside):
            alive, authorised, *answers = probe(
                vantage,
                [
                    Http(node.address, API_SERVER_PORT, "/livez", timeout=_TIMEOUT),
                    Http(
                        node.address,
                        API_SERVER_PORT,
                        _DATA[1],
                        headers={"Authorization": f"Bearer {token}"},
                        identity="as our auditor",
                        timeout=_TIMEOUT,
                    ),
                    *(Http(node.address, API_SERVER_PORT, path, timeout=_TIMEOUT) for path in paths),
                ],
            )
            case = judge.case(f"API server on {node.name} from {vantage.source.kind}")
            case.positive("it answers", alive, succeeded=alive.outcome is Outcome.HTTP)
            case.positive(
                "an authorised client gets data from the same place", authorised, succeeded=authorised.status == 200
            )
            for path, answer in zip(paths, answers, strict=True):
                case.attack(path, answer, through=_given(answer))


def _given(answer: Evidence) -> bool | None:
    if answer.status == 200:
        return True
    return False if answer.status in (401, 403) else None


def _anonymous_may_view(cluster: Cluster) -> Evidence:
    """Bind the role, as the sabotage's second half that no configuration can say, and show that both are there."""
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:anonymous"}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "k8ssec-anonymous-view"},
        "roleRef": role,
        "subjects": [subject],
    }
    cluster.api.create(binding)
    read = cluster.api.request("GET", cluster.api.path_of(binding))
    flags = unset(cluster, "kube-apiserver", "authentication-config")
    return api_evidence("", f"{flags.detail}; read the binding of view to system:anonymous", read)


@sabotage(test_api_anon_data, kills=("api-anon-minimal",), proof=_anonymous_may_view)
def anonymous_view(config: KindConfig) -> None:
    """Anonymous requests are let in everywhere, and system:anonymous is bound to `view`; either alone changes nothing."""
    config.api_server(authentication_config=None)
