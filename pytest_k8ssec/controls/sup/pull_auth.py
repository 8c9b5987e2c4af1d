"""A pod runs no image that its own credentials could not have pulled.

An image that a node pulled with one team's credentials stays on the node's disk. With `IfNotPresent` any pod that is
scheduled there runs it without credentials: private images, and what is built into them, are open to everybody. A pod
that asks for `IfNotPresent` is offered as a dry run; with AlwaysPullImages it comes back with `Always`, so that the
registry is asked each time.

That plugin also keeps preloaded images from starting: those that kind loads onto its nodes, and the network plugin's on
a cluster without a registry in reach. Such a cluster is declared, `[tool.k8ssec.allow.sup-pull-auth]` with
`"preloaded-images" = "reason"`, and is then not applicable.

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

from collections.abc import Mapping
from typing import Any

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.admission import offered
from pytest_k8ssec.probes.podsecurity import offered_pod
from pytest_k8ssec.sabotages.proofs import without_plugin
from pytest_k8ssec.verdict import Judge

_PLUGIN = "AlwaysPullImages"
_PRELOADED = "preloaded-images"
_THROUGH = {"Always": False, "IfNotPresent": True, "Never": True}


@control(severity=Severity.MEDIUM, subject="cluster", cis=("1.2.11",), others=("C-0123", "MS-TA9037"))
def test_sup_pull_auth(judge: Judge, cluster: Cluster, pool: Pool, allowed: Mapping[str, str]) -> None:
    """Offer a pod that would run an image which is there already, and look at what admission makes of it."""
    if _PRELOADED in allowed:
        judge.not_applicable(f"preloaded images are declared: {allowed[_PRELOADED]}")
        return
    path = f"/api/v1/namespaces/{pool.namespace('canary')}/pods"
    case = judge.case("a pod of an image that is on the node")
    answer, made = offered(cluster, path, _pod(cluster.probe_image, "IfNotPresent"))
    kept = _policy(made) if answer.status == 201 else ""
    case.attack("run it without a pull", answer, through=_THROUGH.get(kept))
    shown, made = offered(cluster, path, _pod(cluster.probe_image, "Always"))
    # That a policy which is there already comes back shows that the answer's is the one that would be stored.
    case.positive("a pod that asks for Always comes back so", shown, succeeded=_policy(made) == "Always")


def _pod(image: str, policy: str) -> dict[str, Any]:
    offer = offered_pod(image)
    offer["spec"]["containers"][0]["imagePullPolicy"] = policy
    return offer


def _policy(made: Mapping[str, Any]) -> str:
    containers = made.get("spec", {}).get("containers", [{}])
    return str(containers[0].get("imagePullPolicy", ""))


def _without_plugin(cluster: Cluster) -> Evidence:
    return without_plugin(cluster, _PLUGIN)


@sabotage(test_sup_pull_auth, proof=_without_plugin)
def pulled_images_for_all(config: KindConfig) -> None:
    """The API server runs without AlwaysPullImages."""
    config.api_server(enable_admission_plugins="NodeRestriction,DenyServiceExternalIPs")
