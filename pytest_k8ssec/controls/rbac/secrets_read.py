"""No service account of the stack reads Secrets through the API.

Whoever may read Secrets has every password and every legacy token in them, and `list` or `watch` gives them all at
once, as `get` does one by one. A Secret that a pod needs is mounted into it: its service account needs no right for
that. Each of the stack's service accounts tries, with a token of its own, to list and to watch the Secrets of its
namespace, of the stack's others, of default and kube-system, and of all together, and to get one that does not exist:
404 means that it might, 403 that it may not. A grant of a single Secret by its name is not seen that way, so the names
that its rules carry are tried too. Only metadata is asked for, so no value ever leaves the API server.

With more than 200 pairs of account and namespace, pairs to which RBAC's objects give the same rules are one class. One pair of
each class is tried, and some more by chance; each account is asked for the API server's own list of its rules, which must be
the same. The others are cleared by their class alone, which is said in their case; where one of a class gets through, each
account of it tries for itself.

Remediation: take `secrets` (and `*`) out of the Role or ClusterRole that the account is bound to, and mount what its
pods need. An account that has to read Secrets, such as an operator, gets `get` with `resourceNames`, and is declared in
`[tool.k8ssec.allow.rbac-secrets-read]` as `"namespace/serviceaccount" = "reason"`.

```yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
spec:
  selector: {matchLabels: {app.kubernetes.io/name: shop}}
  template:
    metadata: {labels: {app.kubernetes.io/name: shop}}
    spec:
      automountServiceAccountToken: false
      containers:
        - name: shop
          image: registry.example.com/shop:1.0
          volumeMounts:
            - {name: bank, mountPath: /run/secrets/bank, readOnly: true}
      volumes:
        - name: bank
          secret: {secretName: bank-api-key, defaultMode: 0440}
```

Sources: CIS Kubernetes Benchmark 5.1.2;
https://kubernetes.io/docs/concepts/security/rbac-good-practices/#listing-secrets
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.headers import METADATA_OF_MANY, METADATA_OF_ONE
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.rbac_objects import rule
from pytest_k8ssec.controls.rbac import AccountSuspect, try_places
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.probes.escalation import tried_namespaces
from pytest_k8ssec.probes.identities import NOBODY, Identity, administrator
from pytest_k8ssec.reach.sampling import Sampling
from pytest_k8ssec.sabotages.grants import default_account, granted
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import Case, Judge

_LIST = {"limit": "1"}
_WATCH = {"watch": "true", "timeoutSeconds": "1", "fieldSelector": f"metadata.name={NOBODY}"}
_THROUGH = {200: True, 404: True, 403: False}


@control(
    severity=Severity.HIGH,
    subject="stack",
    cis=("5.1.2",),
    mitre=("T1552.007",),
    others=("C-0015", "C-0186", "MS-TA9025"),
    apart=True,
)
def test_rbac_secrets_read(
    judge: Judge, cluster: Cluster, stack: Stack, allowed: Mapping[str, str], k8ssec_sampling: Sampling
) -> None:
    """Let each service account list, watch and get Secrets, in its own namespace and in others."""
    paths = {name: f"/api/v1/namespaces/{name}/secrets" for name in tried_namespaces(stack)}
    shown = {
        path: administrator(cluster, "GET", path, headers=METADATA_OF_MANY, params=_LIST) for path in paths.values()
    }

    def attempt(suspect: AccountSuspect, namespace: str) -> None:
        identity, case = suspect.identity, suspect.case
        if not namespace:
            _attack(case, identity, "/api/v1/secrets")
            return
        path = paths[namespace]
        case.positive("an administrator lists them", shown[path], succeeded=shown[path].status == 200)
        _attack(case, identity, path)
        case.attack(f"get one of {namespace}", (one := _get(identity, path, NOBODY)), through=_through(one))
        rules = suspect.rules(namespace)
        for name in rules.names("get", "secrets"):
            case.attack(f"get {namespace}/{name}", (one := _get(identity, path, name)), through=_through(one))
        for name in (*rules.names("list", "secrets"), *rules.names("watch", "secrets")):
            _attack(case, identity, path, name)

    try_places(judge, cluster, stack, allowed, k8ssec_sampling, attempt)


def _attack(case: Case, identity: Identity, path: str, name: str = "") -> None:
    """List and watch: all Secrets, or the one of that name."""
    only = {"fieldSelector": f"metadata.name={name}"} if name else {}
    for verb, params in (("list", _LIST), ("watch", _WATCH)):
        what = f"{verb} {path}{f', only {name}' if name else ''}"
        answer = identity.attempt(
            "GET", path, headers=METADATA_OF_MANY, params={**params, **only}, what=f"{what}, metadata only"
        )
        case.attack(what, answer, through=_through(answer))


def _get(identity: Identity, path: str, name: str) -> Evidence:
    return identity.attempt("GET", f"{path}/{name}", headers=METADATA_OF_ONE)


def _through(answer: Evidence) -> bool | None:
    return _THROUGH.get(answer.status or 0)


@sabotage(test_rbac_secrets_read)
def default_account_reads_secrets(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The default service account of one of the stack's namespaces may get and list its Secrets."""
    account = default_account(stack)
    rules = rule("get", "secrets"), rule("list", "secrets")
    with granted(cluster, account, *rules, namespace=account.namespace) as proof:
        yield proof
