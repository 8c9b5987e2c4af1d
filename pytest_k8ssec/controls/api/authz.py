"""The API server gives an account without rights nothing.

One binding to system:authenticated or system:serviceaccounts, or an authorization mode of AlwaysAllow, makes every token of
the cluster an administrator's, and every pod that mounts one a way in. A service account that was made on the spot, and
that nobody gave any right, tries to list what is worth stealing (names only, one of each kind), to read and delete what
does not exist, and to create what would give it more rights; writes are dry runs. An authorised request for a name that
does not exist is answered 404, a refused one 403 in the authorizer's own words, so nothing has to be read to know. A 403 of
admission (a webhook, a policy) comes after the authorizer let the request through, and is inconclusive.

Where there are several API servers, each is asked by itself: the mode is a flag of each. Our own credentials show this at the same moment: they get 404. The API server shows that the account's token is valid:
it names the token's owner.

Remediation: set `--authorization-mode=Node,RBAC`, and remove what binds roles to groups that everybody is in (`kubectl get
clusterrolebindings,rolebindings -A -o wide | grep -E 'system:(authenticated|serviceaccounts)'`; Kubernetes' own
system:basic-user, system:discovery, system:public-info-viewer and system:service-account-issuer-discovery stay).

```yaml
# kind.yaml
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    apiServer:
      extraArgs:
        authorization-mode: Node,RBAC
```

Sources: CIS Kubernetes Benchmark 1.2.6, 1.2.8; https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.rbac_objects import RBAC, binding, named_subject, rule
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.escalation import has_the_right
from pytest_k8ssec.probes.identities import Identity, api_evidence, nobody
from pytest_k8ssec.probes.nodes_in_reach import servers_to_judge
from pytest_k8ssec.sabotages.grants import everybody_may
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import Judge

_NAME = "k8ssec-nope"
_NAMES_ONLY = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
_SECRET = f"/api/v1/namespaces/kube-system/secrets/{_NAME}"


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One request that needs a right."""

    what: str
    method: str
    path: str
    body: dict[str, Any] | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def by(self, identity: Identity) -> Evidence:
        """Send it in somebody's name. Raises ProbeError."""
        return identity.attempt(
            self.method, self.path, body=self.body, params=self.params, headers=self.headers, what=self.what
        )


def _lists(kind: str, path: str) -> _Attempt:
    return _Attempt(f"list {kind} (names, one)", "GET", path, params={"limit": "1"}, headers=_NAMES_ONLY)


def _writes(what: str, method: str, path: str, body: dict[str, Any] | None = None) -> _Attempt:
    return _Attempt(f"{what} (dry run)", method, path, body, params={"dryRun": "All"})


def _attempts(user: str) -> tuple[_Attempt, ...]:
    """What an account without rights must not be able to do."""
    bound = binding(_NAME, named_subject("User", user), "cluster-admin")
    return (
        _lists("Secrets", "/api/v1/secrets"),
        _lists("ConfigMaps", "/api/v1/configmaps"),
        _lists("pods", "/api/v1/pods"),
        _lists("nodes", "/api/v1/nodes"),
        _Attempt("read a Secret that does not exist", "GET", _SECRET),
        _writes("delete a Secret that does not exist", "DELETE", _SECRET),
        _writes("create a namespace", "POST", "/api/v1/namespaces", {"metadata": {"name": _NAME}}),
        _writes("bind itself to cluster-admin", "POST", f"/apis/{RBAC}/v1/clusterrolebindings", bound),
    )


@control(
    severity=Severity.CRITICAL,
    subject="cluster",
    cis=("1.2.6", "1.2.8"),
    owasp=("K03:2022", "K02:2025"),
    others=("C-0088", "C-0118", "C-0265", "KHV007"),
    apart=True,
    dimensions=("server", "attempt"),
)
def test_api_authz(
    judge: Judge,
    cluster: Cluster,
    deployed: Stack | None,  # noqa: ARG001 - what a stack binds to everybody is judged too, so it has to be there
    pool: Pool,
) -> None:
    """Let an account without rights list, read, delete and create, at each API server."""
    stranger, servers = nobody(pool), servers_to_judge(judge, cluster)
    attempts = _attempts(stranger.user)
    for server, attempt in product(servers, attempts):
        judge.coverage.exists(server=server.name, attempt=attempt.what)
    for server in servers:
        there = replace(stranger, api=server.api)
        case = judge.case(f"service account without rights at {server.api.server}")
        known = there.who_am_i()
        case.positive("its token is valid", known, succeeded=there.is_itself(known))
        allowed = api_evidence("", f"GET {_SECRET} with our own credentials", server.api.request("GET", _SECRET))
        case.positive("who may read Secrets is told 404", allowed, succeeded=allowed.status == 404)
        for attempt in attempts:
            answer = attempt.by(there)
            at = {"server": server.name, "attempt": attempt.what}
            case.attack(attempt.what, answer, through=has_the_right(answer), at=at)


@sabotage(
    test_api_authz,
    kills=(
        "adm-psa",
        "blast-radius",
        "kubelet-authz",
        "node-restriction",
        "rbac-cluster-admin",
        "rbac-escalation",
        "rbac-nodes-proxy",
        "rbac-secrets-read",
    ),
)
def everybody_is_admin(cluster: Cluster) -> Iterator[Evidence]:
    """The group that everybody with a token is in is bound to cluster-admin."""
    everything, everybody = rule("*", "*", group="*"), named_subject("Group", "system:authenticated")
    everybody_may(cluster, everything, no_more=True)  # else nobody could tell when it is undone
    with cluster.api.applied(binding("k8ssec-everybody-is-admin", everybody, "cluster-admin")):
        yield everybody_may(cluster, everything)
    everybody_may(cluster, everything, no_more=True)
