"""No service account of the stack reads Secrets through the API.

Whoever may read Secrets has every password and every legacy token in them, and `list` or `watch` gives them all at
once, as `get` does one by one. So do two verbs that write: the API server answers a `patch` that changes nothing, as a dry
run too, with the whole Secret, and a `deletecollection` that is only a dry run with all of them. A Secret that a pod needs
is mounted into it: its service account needs no right for that. Each of the stack's service accounts tries, with a token of
its own, to list and to watch the Secrets of its namespace, of the stack's others, of default and kube-system, and of all
together, to get and to patch one that does not exist, and to delete those of that name: 404 means that it might, 403 in the
authorizer's own words that it may not. A grant of a single Secret by its name is not seen that way, so the names that its
rules carry are tried too. What writes is a dry run, and only metadata is asked for: nothing changes, and no value ever leaves
the API server. An administrator sends the same requests. `create`, `update` and `delete` answer with nothing that the caller
did not send.

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
from typing import Any

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.headers import MERGE_PATCH, METADATA_OF_MANY, METADATA_OF_ONE
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.rbac_objects import rule
from pytest_k8ssec.controls.rbac import PLACE_DIMENSIONS, AccountSuspect, try_places
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.evidence.causes import Right
from pytest_k8ssec.probes.escalation import has_the_right, tried_namespaces
from pytest_k8ssec.probes.identities import NOBODY, administrator
from pytest_k8ssec.reach.sampling import Sampling
from pytest_k8ssec.sabotages.grants import default_account, granted
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import At, Judge

_LIST = {"limit": "1"}
_WATCH = {"watch": "true", "timeoutSeconds": "1", "fieldSelector": f"metadata.name={NOBODY}"}
_DRY_RUN = {"dryRun": "All"}
_NONE_OF_THEM = {**_DRY_RUN, "fieldSelector": f"metadata.name={NOBODY}"}


@control(
    severity=Severity.HIGH,
    subject="stack",
    cis=("5.1.2",),
    mitre=("T1552.007",),
    others=("C-0015", "C-0186", "MS-TA9025"),
    apart=True,
    dimensions=PLACE_DIMENSIONS,
    blames=(Right,),
    finding="{case} can {attack}",
)
def test_rbac_secrets_read(
    judge: Judge, cluster: Cluster, stack: Stack, allowed: Mapping[str, str], k8ssec_sampling: Sampling
) -> None:
    """Let each service account use every verb that answers with Secrets, in its own namespace and in others."""
    paths = {name: f"/api/v1/namespaces/{name}/secrets" for name in tried_namespaces(stack)}
    shown: dict[str, dict[str, Evidence]] = {}

    def attempt(suspect: AccountSuspect, namespace: str) -> None:
        case = suspect.case
        if not namespace:
            _attack(suspect, "", "/api/v1/secrets")
            return
        path = paths[namespace]
        if namespace not in shown:
            shown[namespace] = _administrator(cluster, path)
        for what, known in shown[namespace].items():
            case.positive(f"an administrator {what}", known, succeeded=has_the_right(known))
        _attack(suspect, namespace, path)
        for verb in _OF_ONE:
            _attack_one(suspect, verb, path, f"one of {namespace}", NOBODY, suspect.at(namespace, [verb]))
        _delete_none(suspect, namespace, path)
        rules = suspect.rules(namespace)
        for verb in _OF_ONE:
            for name in rules.names(verb, "secrets"):
                _attack_one(suspect, verb, path, f"{namespace}/{name}", name)
        for name in (*rules.names("list", "secrets"), *rules.names("watch", "secrets")):
            _attack(suspect, namespace, path, name)

    try_places(judge, cluster, stack, allowed, k8ssec_sampling, attempt, _checks)


def _checks(namespace: str) -> tuple[str, ...]:
    return ("list", "watch", "get", "patch", "deletecollection") if namespace else ("list", "watch")


def _attack(suspect: AccountSuspect, namespace: str, path: str, name: str = "") -> None:
    """List and watch: all Secrets, or the one of that name."""
    only = {"fieldSelector": f"metadata.name={name}"} if name else {}
    for verb, params in (("list", _LIST), ("watch", _WATCH)):
        what = f"{verb} {path}{f', only {name}' if name else ''}"
        answer = suspect.identity.attempt(
            "GET", path, headers=METADATA_OF_MANY, params={**params, **only}, what=f"{what}, metadata only"
        )
        at = () if name else suspect.at(namespace, [verb])
        suspect.case.attack(what, answer, through=has_the_right(answer), at=at)


def _attack_one(suspect: AccountSuspect, verb: str, path: str, words: str, name: str, at: At = ()) -> None:
    """Get one Secret, or patch it with nothing: both answer with it."""
    method, options = _OF_ONE[verb]
    what = f"{verb} {path}/{name}, metadata only"
    answer = suspect.identity.attempt(method, f"{path}/{name}", what=what, **options)
    suspect.case.attack(f"{verb} {words}", answer, through=has_the_right(answer), at=at)


def _delete_none(suspect: AccountSuspect, namespace: str, path: str) -> None:
    """Delete, as a dry run, all Secrets of a name that none has: RBAC asks for no name there, so it is the same right."""
    what = f"deletecollection {path}"
    answer = suspect.identity.attempt(
        "DELETE", path, headers=METADATA_OF_MANY, params=_NONE_OF_THEM, what=f"{what}, metadata only"
    )
    at = suspect.at(namespace, ["deletecollection"])
    suspect.case.attack(what, answer, through=has_the_right(answer), at=at)


def _administrator(cluster: Cluster, path: str) -> dict[str, Evidence]:
    """The same requests, by what they are."""
    told = {
        f"may {verb} them": administrator(cluster, method, f"{path}/{NOBODY}", **options)
        for verb, (method, options) in _OF_ONE.items()
    }
    return {
        "lists them": administrator(cluster, "GET", path, headers=METADATA_OF_MANY, params=_LIST),
        **told,
        "may delete them": administrator(cluster, "DELETE", path, headers=METADATA_OF_MANY, params=_NONE_OF_THEM),
    }


_OF_ONE: Mapping[str, tuple[str, dict[str, Any]]] = {
    "get": ("GET", {"headers": METADATA_OF_ONE}),
    "patch": ("PATCH", {"headers": {**METADATA_OF_ONE, **MERGE_PATCH}, "params": _DRY_RUN, "body": {}}),
}
"""By verb, the request that answers with one Secret: its method, and what else it is sent with."""


@sabotage(test_rbac_secrets_read)
def default_account_reads_secrets(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The default service account of one of the stack's namespaces may get and list its Secrets."""
    account = default_account(stack)
    rules = rule("get", "secrets"), rule("list", "secrets")
    with granted(cluster, account, *rules, namespace=account.namespace) as proof:
        yield proof


@sabotage(test_rbac_secrets_read)
def default_account_patches_secrets(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The default service account of one of the stack's namespaces may patch Secrets, and not get or list them."""
    account = default_account(stack)
    with granted(cluster, account, rule("patch", "secrets"), namespace=account.namespace) as proof:
        yield proof
