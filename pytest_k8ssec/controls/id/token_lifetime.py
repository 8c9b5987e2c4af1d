"""The token that a pod finds in its file system is good for about an hour.

The kubelet renews a mounted token long before its hour is over. For clients that never read it again, API servers extend
such tokens to a year by default (`--service-account-extend-token-expiration`): one that leaks today opens the cluster for
as long as its pod lives. It is the token in the mount that counts, not any one by TokenRequest, which is never extended. So
a pod of ours that asks for a token reads its own, and shows it to the API server. Which of several API servers gave it, the
pod does not know: so each is also asked for a token as a kubelet asks, for that pod and for 3607 seconds.

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

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pytest_k8ssec.agent.tasks import Tokens
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.api_servers import ApiServer
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.errors import as_probe_error
from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.evidence.causes import FieldCheck, Setting
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.identities import Identity, holder, service_account
from pytest_k8ssec.probes.nodes_in_reach import servers_to_judge
from pytest_k8ssec.sabotages.proofs import set_to
from pytest_k8ssec.verdict import Judge

_FLAG = "service-account-extend-token-expiration"
_MOUNTED, _ASKED = "that in a mount", "one as kubelets ask for"
_KUBELETS = 3607
"""Seconds that a kubelet asks for, by which an API server knows a token that it may extend."""
_LIMIT = 3700
"""Seconds: the kubelet asks for 3607, an hour and a grace by which the API server knows that it may extend."""


_SET_WRONG = Setting(
    "kube-apiserver", FieldCheck((("service-account-extend-token-expiration",),), bad=("true",), unset=True)
)


@control(
    severity=Severity.MEDIUM,
    subject="cluster",
    cis=("1.2.30",),
    others=("C-0290",),
    apart=True,
    dimensions=("token",),
    blames=(Setting,),
)
def test_id_token_lifetime(judge: Judge, cluster: Cluster, pool: Pool) -> None:
    """Read the token that is mounted into a pod of ours, and one from each API server, and from when until when they are valid."""
    servers = servers_to_judge(judge, cluster)
    for token in (_MOUNTED, *map(_from, servers)):
        judge.coverage.exists(token=token)
    (pod,) = pool.lease(PodSpec(pool.namespace("canary"), automount=True, purpose="with-token"))
    (answer,) = pod.ask(Tokens())
    for token in answer.raw.get("tokens", []):
        claims, path = token["claims"], token["path"]
        identity = holder(cluster.api, token["token"], str(claims.get("sub", "")))
        _judged(judge, f"token at {path}", identity, claims, answer.evidence, _MOUNTED)
    for server in servers:
        identity, asked = _as_kubelets_ask(server, pod)
        _judged(judge, _from(server), identity, claims_of(identity.token), asked, _from(server))


def _from(server: ApiServer) -> str:
    return f"{_ASKED}{server.words}"


def _judged(
    judge: Judge, name: str, identity: Identity, claims: Mapping[str, Any], evidence: Evidence, token: str
) -> None:
    """Record how long a token that is accepted is good for."""
    known = identity.who_am_i()
    case = judge.case(name, causes=[_SET_WRONG])
    case.positive("the API server accepts it", known, succeeded=identity.is_itself(known))
    seconds = lifetime(claims)
    read = replace(evidence, detail="can't tell" if seconds is None else f"valid for {seconds:.0f} s")
    through = None if seconds is None else seconds > _LIMIT
    case.attack("keep it for longer than an hour", read, through=through, at={"token": token})


def _as_kubelets_ask(server: ApiServer, pod: Pod) -> tuple[Identity, Evidence]:
    """A token for a pod of ours, bound to it and for just the seconds by which an API server knows what it is for.

    Raises:
        ProbeError: there is no such pod, or no token was given.

    Source: https://pkg.go.dev/k8s.io/kubernetes/pkg/serviceaccount, WarnOnlyBoundTokenExpirationPeriod
    """
    where = pod.vantage
    with as_probe_error():
        manifest = server.api.get(f"/api/v1/namespaces/{where.namespace}/pods/{where.pod}")
    bound_to = {"apiVersion": "v1", "kind": "Pod", **manifest}
    account = str(manifest["spec"].get("serviceAccountName") or "default")
    identity = service_account(server, where.namespace, account, bound_to=bound_to, seconds=_KUBELETS)
    asked = f"ask for a token of {identity.user}, bound to pod {where.pod}, for {_KUBELETS} s"
    return identity, Evidence(Source("client", "this process"), asked, Outcome.DONE)


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a JSON web token, {} where it is none; its signature is not looked at. Source: RFC 7519, section 3."""
    try:
        _, body, _ = token.split(".")
        found = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


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
