"""A pod runs no image that its own credentials could not have pulled.

An image that a node pulled with one team's credentials stays on the node's disk. With `IfNotPresent` any pod that is
scheduled there runs it without credentials: private images, and what is built into them, are open to everybody. A pod
that asks for `IfNotPresent`, and one that asks for `Never`, are offered as dry runs, for a container and for an init
container, to each API server; with AlwaysPullImages they come back with `Always`, so that the registry is asked each time.

That plugin also keeps preloaded images from starting: those that kind loads onto its nodes, and the network plugin's on
a cluster without a registry in reach. Such a cluster is declared, `[tool.k8ssec.allow.sup-pull-auth]` with
`"preloaded-images" = "reason"`, and is then not applicable. The cluster that comes with this package is one, and needs no
declaration.

Remediation: start the API server with `--enable-admission-plugins=...,AlwaysPullImages`; from Kubernetes 1.35 on the
kubelets' `imagePullCredentialsVerificationPolicy` is a milder measure for the same purpose, which this control does not
see.

```yaml
# kind.yaml
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    apiServer:
      extraArgs:
        enable-admission-plugins: NodeRestriction,AlwaysPullImages
```

Sources: CIS Kubernetes Benchmark 1.2.11;
https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#alwayspullimages
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import product
from typing import Any

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.admission import offered
from pytest_k8ssec.probes.nodes_in_reach import servers_to_judge
from pytest_k8ssec.probes.podsecurity import offered_pod
from pytest_k8ssec.sabotages.proofs import without_plugin
from pytest_k8ssec.verdict import Judge

_PLUGIN = "AlwaysPullImages"
_PRELOADED = "preloaded-images"
_CONTAINERS = {"a container": "containers", "an init container": "initContainers"}
"""Which container asks, and where it stands in a pod."""
_POLICIES = ("IfNotPresent", "Never")
_THROUGH = {"Always": False, "IfNotPresent": True, "Never": True}


@control(
    severity=Severity.MEDIUM,
    subject="cluster",
    cis=("1.2.11",),
    others=("C-0123", "MS-TA9037"),
    dimensions=("server", "container", "policy"),
)
def test_sup_pull_auth(judge: Judge, cluster: Cluster, pool: Pool, allowed: Mapping[str, str]) -> None:
    """Offer pods that would run an image which is there already, and look at what admission makes of them."""
    if _PRELOADED in allowed:
        judge.not_applicable(f"preloaded images are declared: {allowed[_PRELOADED]}")
        return
    path = f"/api/v1/namespaces/{pool.namespace('canary')}/pods"
    servers = servers_to_judge(judge, cluster)
    for server, container, policy in product(servers, _CONTAINERS, _POLICIES):
        judge.coverage.exists(server=server.name, container=container, policy=policy)
    for server, container in product(servers, _CONTAINERS):
        case = judge.case(f"{container} of an image that is on the node{server.words}")
        for policy in _POLICIES:
            answer, made = offered(server, path, _pod(cluster.probe_image, container, policy))
            kept = _policy(made, container) if answer.status == 201 else ""
            at = {"server": server.name, "container": container, "policy": policy}
            case.attack(f"run it without a pull, by {policy}", answer, through=_THROUGH.get(kept), at=at)
        shown, made = offered(server, path, _pod(cluster.probe_image, container, "Always"))
        # That a policy which is there already comes back shows that the answer's is the one that would be stored.
        always = _policy(made, container) == "Always"
        case.positive("one that asks for Always comes back so", shown, succeeded=always)


def _pod(image: str, container: str, policy: str) -> dict[str, Any]:
    """A pod of which one container asks for a policy; where that is the init container, the other one always pulls."""
    offer = offered_pod(image)
    first = offer["spec"]["containers"][0]
    first["imagePullPolicy"] = "Always"
    if _CONTAINERS[container] != "containers":
        offer["spec"][_CONTAINERS[container]] = [{**copy.deepcopy(first), "name": "init"}]
    offer["spec"][_CONTAINERS[container]][0]["imagePullPolicy"] = policy
    return offer


def _policy(made: Mapping[str, Any], container: str) -> str:
    """The policy of that container, as it would be stored; "" where there is none."""
    containers = made.get("spec", {}).get(_CONTAINERS[container]) or [{}]
    return str(containers[0].get("imagePullPolicy", ""))


def _without_plugin(cluster: Cluster) -> Evidence:
    return without_plugin(cluster, _PLUGIN)


@sabotage(test_sup_pull_auth, proof=_without_plugin)
def pulled_images_for_all(config: KindConfig) -> None:
    """The API server runs without AlwaysPullImages."""
    config.api_server(enable_admission_plugins="NodeRestriction,DenyServiceExternalIPs")
