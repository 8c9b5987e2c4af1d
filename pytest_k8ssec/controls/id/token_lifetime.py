"""The token that a pod finds in its file system is good for about an hour.

The kubelet renews a mounted token long before its hour is over. For clients that never read it again, API servers extend
such tokens to a year by default (`--service-account-extend-token-expiration`): one that leaks today opens the cluster for
as long as its pod lives. It is the token in the mount that counts, not one by TokenRequest, which is never extended. So a
pod of ours that asks for a token reads its own, and shows it to the API server.

Remediation: start kube-apiserver with `--service-account-extend-token-expiration=false`, once no client is left that reads
its token only once (metric `serviceaccount_stale_tokens_total`).

```yaml
# kind.yaml
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    apiServer:
      extraArgs:
        service-account-extend-token-expiration: "false"
```

Sources: CIS Kubernetes Benchmark 1.2.30;
https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pytest_k8ssec.agent.tasks import Tokens
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.identities import holder
from pytest_k8ssec.sabotages.proofs import set_to
from pytest_k8ssec.verdict import Judge

_FLAG = "service-account-extend-token-expiration"
_LIMIT = 3700
"""Seconds: the kubelet asks for 3607, an hour and a grace by which the API server knows that it may extend."""


@control(severity=Severity.MEDIUM, subject="cluster", cis=("1.2.30",), others=("C-0290",), apart=True)
def test_id_token_lifetime(judge: Judge, cluster: Cluster, pool: Pool) -> None:
    """Read the token that is mounted into a pod of ours, and from when until when it is valid."""
    (pod,) = pool.lease(PodSpec(pool.namespace("canary"), automount=True, purpose="with-token"))
    (answer,) = pod.ask(Tokens())
    for token in answer.raw.get("tokens", []):
        claims, path = token["claims"], token["path"]
        identity = holder(cluster.api, token["token"], str(claims.get("sub", "")))
        known = identity.who_am_i()
        case = judge.case(f"token at {path}")
        case.positive("the API server accepts it", known, succeeded=identity.is_itself(known))
        seconds = lifetime(claims)
        read = replace(answer.evidence, detail="can't tell" if seconds is None else f"valid for {seconds:.0f} s")
        case.attack("keep it for longer than an hour", read, through=None if seconds is None else seconds > _LIMIT)


def lifetime(claims: Mapping[str, Any]) -> float | None:
    """Seconds from a token's issue until its end, without end for one of the old kind; None where it can't be told."""
    if "exp" not in claims:
        return math.inf
    return float(claims["exp"] - claims["iat"]) if "iat" in claims else None


def _extends(cluster: Cluster) -> Evidence:
    return set_to(cluster, "kube-apiserver", _FLAG, "true")


@sabotage(test_id_token_lifetime, proof=_extends)
def extended_tokens(config: KindConfig) -> None:
    """The API server extends mounted tokens to a year, as it does by default."""
    config.api_server(service_account_extend_token_expiration="true")  # noqa: S106 - a flag, no password
