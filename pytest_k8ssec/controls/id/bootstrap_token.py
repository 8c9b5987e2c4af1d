"""No bootstrap token is left, least of all the one that everybody knows.

A bootstrap token lets a new node join: whoever holds one asks for a kubelet's certificate and becomes a node. It is needed
for minutes and often stays for good, and kind joins the nodes of every cluster with one and the same public token. That
token, and no other, is shown to each API server, at each address of its node. Tokens of other values are never guessed: their Secrets are looked for by
their type, and only their names are read. API servers remember for ten seconds that they accepted a token, so the token
counts as accepted only if it is accepted for longer than that.

A cluster that is growing right now is declared, with the reason, in `[tool.k8ssec.allow.id-bootstrap-token]` as
`"kube-system/bootstrap-token-abc123" = "reason"`.

Remediation: `kubeadm token delete` each token once its nodes have joined, let tokens expire (`kubeadm token create --ttl
15m`), or run without `--enable-bootstrap-token-auth`.

```yaml
# kind-after.yaml, beside kind.yaml: what k8ssec does once all nodes have joined
steps:
  - remove-bootstrap-tokens
```

Sources: CIS Kubernetes Benchmark 3.1.3; https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from pytest_k8ssec.agent.tasks import Http
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.bootstrap_tokens import PUBLIC_BOOTSTRAP_TOKEN, SYSTEM_NAMESPACE, TOKEN_TYPE
from pytest_k8ssec.clusters.headers import METADATA_OF_MANY
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.ports import API_SERVER_PORT
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.evidence.causes import Known
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.identities import api_evidence, auditor, self_review
from pytest_k8ssec.sabotages.proofs import changing, object_of
from pytest_k8ssec.verdict import Judge

_PUBLIC, _ANY = "kind's public bootstrap token", "one that is kept in a Secret"
_OUR_TYPE = "k8ssec.dev/canary"
_THROUGH = {201: True, 401: False}
_SECONDS = 10
_JOINING = "system:bootstrappers:kubeadm:default-node-token"
"""The group that kubeadm gives its own tokens, and binds to system:node-bootstrapper."""
_REMEMBERED = 15
"""Seconds; an API server's cache of accepted tokens forgets after ten."""


@control(
    severity=Severity.CRITICAL,
    subject="cluster",
    cis=("3.1.3",),
    mitre=("T1078.001",),
    others=("C-0288",),
    apart=True,
    dimensions=("place", "token"),
    blames=(Known,),
)
def test_id_bootstrap_token(
    judge: Judge, cluster: Cluster, pool: Pool, attacker: Callable[..., Pod], allowed: Mapping[str, str]
) -> None:
    """Show the public token to each API server, and look for the Secrets that tokens are kept in."""
    known = auditor(pool)
    doors = {
        f"API server on {node.name} ({address})": address
        for node in cluster.nodes
        if node.control_plane
        for address in node.addresses
    }
    for place in doors:
        judge.coverage.exists(place=place, token=_PUBLIC)
    judge.coverage.exists(place=SYSTEM_NAMESPACE, token=_ANY)
    for place, address in doors.items():
        public, valid = _until_refused(
            attacker(),
            self_review(address, API_SERVER_PORT, PUBLIC_BOOTSTRAP_TOKEN, "with kind's public bootstrap token"),
            self_review(address, API_SERVER_PORT, known.token, "as our auditor"),
        )
        case = judge.case(place)
        case.positive("a valid token is accepted from the same pod", valid, succeeded=valid.status == 201)
        at = {"place": place, "token": _PUBLIC}
        kept = _kept_in(PUBLIC_BOOTSTRAP_TOKEN.partition(".")[0])
        case.attack(_PUBLIC, public, through=_THROUGH.get(public.status or 0), at=at, cause=kept)
    _look_for_secrets(judge, cluster, pool, allowed)


def _until_refused(pod: Pod, public: Http, valid: Http) -> list[Evidence]:
    """Show both tokens until the public one is not accepted, or for longer than API servers remember one."""
    end = time.monotonic() + _REMEMBERED
    while True:
        answers = pod.probe(public, valid)
        if answers[0].status != 201 or time.monotonic() > end:
            return answers
        time.sleep(1)


def _look_for_secrets(judge: Judge, cluster: Cluster, pool: Pool, allowed: Mapping[str, str]) -> None:
    canary = _secret(pool.namespace("canary"), "typed-canary", _OUR_TYPE, {"of": "k8ssec"})
    with cluster.api.applied(canary):
        found, shown = _names(cluster, canary["metadata"]["namespace"], _OUR_TYPE)
    case = judge.case("bootstrap tokens in kube-system")
    case.positive("such a search finds a Secret of ours", shown, succeeded=found == [canary["metadata"]["name"]])
    names, searched = _names(cluster, SYSTEM_NAMESPACE, TOKEN_TYPE)
    left = [name for name in names if f"kube-system/{name}" not in allowed]
    for name in set(names) - set(left):
        judge.note(f"kube-system/{name} is declared: {allowed[f'kube-system/{name}']}")
    what = f"find a token to join with: {', '.join(left)}" if left else "find a token to join with"
    through = bool(left) if searched.status == 200 else None
    kept = [Known("Secret", "v1", SYSTEM_NAMESPACE, name) for name in left]
    used = [[f"{SYSTEM_NAMESPACE}/{name}", f"Secret {SYSTEM_NAMESPACE}/{name}"] for name in left]
    case.attack(what, searched, through=through, at={"place": SYSTEM_NAMESPACE, "token": _ANY}, cause=kept, used=used)


def _kept_in(ident: str) -> Known:
    """The Secret that a bootstrap token is."""
    return Known("Secret", "v1", SYSTEM_NAMESPACE, f"bootstrap-token-{ident}")


def _names(cluster: Cluster, namespace: str, kind: str) -> tuple[list[str], Evidence]:
    """The names of a namespace's Secrets of one type; their values never leave the API server."""
    path = f"/api/v1/namespaces/{namespace}/secrets"
    answer = cluster.api.request("GET", path, params={"fieldSelector": f"type={kind}"}, headers=METADATA_OF_MANY)
    names = sorted(item["metadata"]["name"] for item in answer.body.get("items") or [])
    return names, api_evidence("", f"GET {path}, names of type {kind}", answer)


def _secret(namespace: str, name: str, kind: str, values: Mapping[str, str]) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": kind,
        "stringData": dict(values),
    }


@sabotage(test_id_bootstrap_token, kills={"blast-radius": ("new edge bootstrap-token:", "new edge bootstrap-join:")})
def public_token(cluster: Cluster) -> Iterator[Evidence]:
    """The token that kind and kubeadm's documentation use is valid, and may join nodes."""
    ident, _, secret = PUBLIC_BOOTSTRAP_TOKEN.partition(".")
    values = {
        "token-id": ident,
        "token-secret": secret,
        "usage-bootstrap-authentication": "true",
        "auth-extra-groups": _JOINING,
    }
    token = _secret(SYSTEM_NAMESPACE, f"bootstrap-token-{ident}", TOKEN_TYPE, values)
    with cluster.api.applied(token):
        yield changing(_reviewed(cluster), object_of(token))


def _reviewed(cluster: Cluster) -> Evidence:
    """What the API server's own reviewer says of the token, as soon as it has heard of the Secret."""
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": PUBLIC_BOOTSTRAP_TOKEN},
    }
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        answer = cluster.api.request("POST", path, body=review)
        if answer.body.get("status", {}).get("authenticated"):
            return api_evidence("", "TokenReview of the public token: authenticated", answer)
        time.sleep(0.2)
    raise SabotageError(f"bootstrap token: is not accepted within {_SECONDS} s")
