"""No service account of the stack can make itself cluster-admin.

The shortest way from a container to the whole cluster is a token whose owner may bind cluster-admin: charts and quick fixes
give it away. Each of the stack's service accounts tries, with a token of its own, to bind itself to cluster-admin. The
attempt is a dry run: the API server goes through authentication, authorization, the check against privilege escalation and
admission, and stores nothing. For an account that may make no binding, the API server is asked whether it may bind
roles and change an existing binding: to try that, somebody else's binding would have to be named. A 403 counts as a
refusal only in the words of authorization or of that check: a webhook or a policy that refuses new bindings says
nothing of who is cluster-admin already.

Remediation: find the binding (`kubectl get clusterrolebindings,rolebindings -A -o wide`), and give the account a Role with
the verbs and resources that it uses; grant `bind`, `escalate` and `*` to nobody who runs in a pod.

```yaml
# kubectl apply -n batch -f reporter.yaml
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: reporter
rules:
  - apiGroups: [""]
    resources: [configmaps]
    resourceNames: [report-settings]
    verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: reporter
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reporter}
subjects:
  - {kind: ServiceAccount, name: reporter, namespace: batch}
```

Sources: CIS Kubernetes Benchmark 5.1.1, 5.1.3;
https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.rbac_objects import RBAC, account_subject, binding, rule
from pytest_k8ssec.controls.rbac import accounts_on_trial
from pytest_k8ssec.evidence import Evidence, Facts
from pytest_k8ssec.evidence.causes import Right
from pytest_k8ssec.probes.escalation import by_change, has_the_right, to_cluster_admin
from pytest_k8ssec.sabotages.grants import default_account, may
from pytest_k8ssec.sabotages.proofs import changing, object_of
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import Judge

_CREATE, _CHANGE = "make a binding", "change a binding that is there"
_BINDINGS = f"/apis/{RBAC}/v1/clusterrolebindings"


@control(
    severity=Severity.CRITICAL,
    subject="stack",
    cis=("5.1.1", "5.1.3"),
    others=("C-0035", "C-0185", "KSV-0044", "MS-TA9019"),
    apart=True,
    dimensions=("account", "check"),
    blames=(Right,),
    finding="{case} can {attack}",
)
def test_rbac_cluster_admin(judge: Judge, cluster: Cluster, stack: Stack, allowed: Mapping[str, str]) -> None:
    """Let each service account bind itself to cluster-admin, as a dry run."""
    checks: list[Facts] = [{"check": _CREATE}, {"check": _CHANGE}]
    for account, identity, case in accounts_on_trial(judge, cluster, stack, allowed, checks):
        itself = account_subject(account.namespace, account.name)
        attempt = identity.attempt(
            "POST", _BINDINGS, body=binding("k8ssec-dry-run", itself, "cluster-admin"), params={"dryRun": "All"},
            what="create ClusterRoleBinding of itself to cluster-admin (dry run)",
        )  # fmt: skip
        # A 404 for a new object is an API that is not served, or a role that is not there.
        through = None if attempt.status == 404 else has_the_right(attempt)
        rules = identity.rules(account.namespace)
        case.positive("its rules can be read", rules.evidence, succeeded=rules.evidence.status == 201)
        changes = by_change(identity, to_cluster_admin(account), "", rules) if through is not True else None
        at = [{"account": account, "check": check} for check in (_CREATE, _CHANGE)]
        case.attack("bind itself to cluster-admin", attempt, through=through, at=at)
        if changes is not None:
            case.attack("bind itself to cluster-admin, by changing a binding that is there", changes, through=True)


@sabotage(
    test_rbac_cluster_admin,
    kills={
        "adm-psa": ("lower the level of",),
        "rbac-escalation": (),
        "rbac-nodes-proxy": (),
        "rbac-secrets-read": (),
    },
)
def default_account_is_admin(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The default service account of one of the stack's namespaces is bound to cluster-admin."""
    account = default_account(stack)
    bound = binding("k8ssec-default-is-admin", account_subject(account.namespace, account.name), "cluster-admin")
    with cluster.api.applied(bound):
        yield changing(may(cluster, account, rule("*", "*", group="*")), object_of(bound))
    may(cluster, account, rule("*", "*", group="*"), no_more=True)
