"""No service account of the stack can make itself cluster-admin.

The shortest way from a container to the whole cluster is a token whose owner may bind cluster-admin: charts and quick fixes
give it away. Each of the stack's service accounts tries, with a token of its own, to bind itself to cluster-admin. The
attempt is a dry run: the API server goes through authentication, authorization, the check against privilege escalation and
admission, and stores nothing.

Remediation: find the binding (`kubectl get clusterrolebindings,rolebindings -A -o wide`), and give the account a Role with
the verbs and resources that it uses; grant `bind`, `escalate` and `*` to nobody who runs in a pod.

Sources: CIS Kubernetes Benchmark 5.1.1, 5.1.3;
https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.control import Severity, control, sabotage
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.probes.identities import api_evidence, service_account
from pytest_k8ssec.stack import ServiceAccount, Stack
from pytest_k8ssec.verdict import Judge

_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
_THROUGH = {201: True, 403: False}


@control(
    severity=Severity.CRITICAL,
    subject="stack",
    cis=("5.1.1", "5.1.3"),
    others=("C-0035", "C-0185", "KSV-0044", "MS-TA9019"),
)
def test_rbac_cluster_admin(judge: Judge, cluster: Cluster, stack: Stack, allowed: Mapping[str, str]) -> None:
    """Let each service account bind itself to cluster-admin, as a dry run."""
    if not stack.service_accounts:
        judge.not_applicable("the stack has no service account and no namespace")
    for account in stack.service_accounts:
        if str(account) in allowed:
            judge.note(f"{account} is declared an administrator: {allowed[str(account)]}")
            continue
        identity = service_account(cluster, account.namespace, account.name)
        case = judge.case(f"service account {account}")
        known = identity.who_am_i()
        case.positive("its token is valid", known, succeeded=identity.is_itself(known))
        attempt = identity.attempt(
            "POST", _BINDINGS, body=_binding("k8ssec-dry-run", account), params={"dryRun": "All"},
            what="create ClusterRoleBinding of itself to cluster-admin (dry run)",
        )  # fmt: skip
        case.attack("bind itself to cluster-admin", attempt, through=_THROUGH.get(attempt.status or 0))


def _binding(name: str, account: ServiceAccount) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace}],
    }


@sabotage(test_rbac_cluster_admin, kills=("adm-psa",))
def default_account_is_admin(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The default service account of one of the stack's namespaces is bound to cluster-admin."""
    account = next(each for each in stack.service_accounts if each.name == "default")
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{account.namespace}:{account.name}",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{account.namespace}", "system:authenticated"],
            "resourceAttributes": {"verb": "*", "group": "*", "resource": "*"},
        },
    }
    with cluster.api.applied(_binding("k8ssec-default-is-admin", account)):
        answer = cluster.api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body=review)
        if not answer.body.get("status", {}).get("allowed"):
            raise SabotageError(f"service account {account}: may still not do everything")
        yield api_evidence("", f"SubjectAccessReview of {account}: may do everything", answer)
