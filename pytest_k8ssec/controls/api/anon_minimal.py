"""The API server tells nobody without credentials more than that it is alive.

By default everybody who reaches the API server learns its exact version, and so its published vulnerabilities. In a
cluster made by kubeadm everybody also gets the ConfigMap `cluster-info`, which names the API server and its CA for
nodes that join. No health check needs either. Both are asked for without credentials, and what lists the APIs that are
served, at each address of each control-plane node, from a pod: 401 and 403 are refusals, 200 is a breach, and so is 404,
which only a request that was let in gets.

Anonymous requests can't simply be turned off: kubeadm's own probes, and nodes that join, come without credentials.

Remediation: let anonymous requests only to `/livez`, `/readyz` and `/healthz`, by `anonymous.conditions` in an
AuthenticationConfiguration (`--authentication-config`); once all nodes have joined, delete the ConfigMap
kube-public/cluster-info and the RoleBinding kubeadm:bootstrap-signer-clusterinfo.

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
---
# kind-after.yaml, beside kind.yaml: what k8ssec does once all nodes have joined
steps:
  - remove-bootstrap-tokens # cluster-info with them
```

Sources: CIS Kubernetes Benchmark 1.2.1;
https://kubernetes.io/docs/reference/access-authn-authz/authentication/#anonymous-requests
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from pytest_k8ssec.agent.tasks import Http
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.clusters.ports import API_SERVER_PORT
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.evidence.causes import FieldCheck, Setting
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.identities import auditor
from pytest_k8ssec.sabotages.proofs import unset
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import Judge

_VERSION = "/version"
_TOLD = (_VERSION, "/api/v1/namespaces/kube-public/configmaps/cluster-info", "/api", "/apis", "/openapi/v2")
"""The version; what nodes that join read; and what an API server has, by which its version and add-ons are known as well."""
_THROUGH = {200: True, 404: True, 401: False, 403: False}


_SET_WRONG = Setting(
    "kube-apiserver", FieldCheck((("authentication-config",), ("anonymous-auth",)), bad=("true",), unset=True)
)


@control(
    severity=Severity.LOW,
    subject="cluster",
    cis=("1.2.1",),
    others=("C-0113", "KHV002"),
    apart=True,
    dimensions=("node", "address", "path"),
    blames=(Setting,),
)
def test_api_anon_minimal(
    judge: Judge,
    cluster: Cluster,
    deployed: Stack | None,  # noqa: ARG001 - what a stack binds to system:anonymous is judged too, so it has to be there
    pool: Pool,
    attacker: Callable[..., Pod],
) -> None:
    """Ask each API server what it is without credentials, from a pod."""
    bearer = auditor(pool).bearer
    doors = [(node, address) for node in cluster.nodes if node.control_plane for address in node.addresses]
    for (node, address), path in product(doors, _TOLD):
        judge.coverage.exists(node=node.name, address=address, path=path)
    for node, address in doors:
        alive, authorised, *answers = attacker().probe(
            Http(address, API_SERVER_PORT, "/livez"),
            Http(address, API_SERVER_PORT, _VERSION, headers=bearer, identity="as our auditor"),
            *(Http(address, API_SERVER_PORT, path) for path in _TOLD),
        )
        case = judge.case(f"API server on {node.name} ({address})", causes=[_SET_WRONG])
        case.positive("it answers", alive, succeeded=alive.outcome is Outcome.HTTP)
        case.positive("with credentials it tells its version", authorised, succeeded=authorised.status == 200)
        for path, answer in zip(_TOLD, answers, strict=True):
            at = {"node": node.name, "address": address, "path": path}
            case.attack(path, answer, through=_THROUGH.get(answer.status or 0), at=at)


def _lets_anonymous_in(cluster: Cluster) -> Evidence:
    return unset(cluster, "kube-apiserver", "authentication-config", "anonymous-auth")


@sabotage(test_api_anon_minimal, proof=_lets_anonymous_in)
def anonymous_everywhere(config: KindConfig) -> None:
    """Anonymous requests are let in at every path, as they are by default."""
    config.api_server(authentication_config=None)
