"""A pod that does not ask for the API gets no token for it.

By default every pod finds a service account's token in its file system, and whoever gets into its container finds it too:
it is the first step from one process to the cluster. A bare pod on each of the stack's default service accounts, and a twin
of each container of the workloads, look through every file in each of their mounts, projected volumes among them, for
tokens, kubeconfigs and whatever else holds one. What is found is shown to the API server: a token that it accepts is a
breach.

Where a container mounts a whole tree of its node, such as `/`, every file is read that is where kubelets, CNI plugins and
administrators keep tokens, and of the others as many as a bound allows; the report tells if not all were read. An
unrestricted pod of ours on the same node must find tokens in the same places. That such a container has its node's files
at all is the matter of wl-host-access.

Workloads that do need the API are declared, with the reason: by the annotation `k8ssec.dev/api-client` of their service
account, or in `[tool.k8ssec.allow.id-token-automount]` as `"namespace/serviceaccount" = "reason"`; one workload as `"Deployment
namespace/workload"`, one container of it as `"namespace/workload/container"`.

Remediation: set `automountServiceAccountToken: false` on service accounts, the `default` ones too, and on pods; where a pod
needs the API give it an account of its own, with the rights that it needs. Kubernetes makes `default` as soon as there
is a namespace, so a Pulumi program changes it by a `ServiceAccountPatch`, or in all namespaces by a mutating admission policy.

```yaml
# kubectl apply -n NAMESPACE -f accounts.yaml
apiVersion: v1
kind: ServiceAccount
metadata:
  name: default
automountServiceAccountToken: false
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: reporter
  annotations:
    k8ssec.dev/api-client: reads its schedule from a ConfigMap
automountServiceAccountToken: false # its pods say automountServiceAccountToken: true
```

Sources: CIS Kubernetes Benchmark 5.1.5, 5.1.6;
https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#opt-out-of-api-credential-automounting
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from pytest_k8ssec.agent.tasks import Tokens
from pytest_k8ssec.agent.vantage import Answer
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.catalogue.declared import Declared, object_names
from pytest_k8ssec.clusters.headers import MERGE_PATCH
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.controls.id import LOOKED, found_tokens, kept_on_the_node, show_on_the_node
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.evidence.causes import Fields, ObjectName
from pytest_k8ssec.facts.containers import container_templates
from pytest_k8ssec.facts.culprits.template_fields import field_of_account, fields_of_token
from pytest_k8ssec.pods.absent import tell_absent
from pytest_k8ssec.pods.ask_each import ask_each
from pytest_k8ssec.pods.claims import claimed_folders
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.identities import api_evidence, holder
from pytest_k8ssec.sabotages.proofs import changing
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import At, Case, Judge


@control(
    severity=Severity.HIGH,
    subject="stack",
    cis=("5.1.5", "5.1.6"),
    others=("C-0034", "C-0261", "KHV050", "KSV-0036"),
    apart=True,
    dimensions=("pod", "container"),
    blames=(Fields,),
)
def test_id_token_automount(
    judge: Judge, cluster: Cluster, stack: Stack, pool: Pool, allowed: Mapping[str, str]
) -> None:
    """Look for tokens from a bare pod in each namespace and from a twin of each container."""
    clients = {str(account): account.api_client for account in stack.service_accounts if account.api_client}
    for subject, reason in clients.items():
        judge.note(f"{subject} is declared a client of the API: {reason}")
    declared = Declared(judge, allowed, "a client of the API")
    shown = pool.lease(PodSpec(pool.namespace("canary"), automount=True, purpose="with-token"))[0]
    (reader,) = shown.ask(Tokens())
    suspects = _suspects(cluster, stack, clients, declared)
    specs = {subject: spec for subject, (spec, *_) in suspects.items()}
    declared.tell_unused()
    subjects = list(specs)
    for subject in subjects:
        judge.coverage.exists(**_at(subject))
    claimed = {each: claimed_folders(cluster.api, each) for each in {spec.namespace for spec in specs.values()}}
    with pool.lease_lots(*specs.values()) as lots:
        for lot in lots:
            pods = {subjects[number]: pod for number, pod in lot.items()}
            kept = {each: kept_on_the_node(specs[each], claimed[specs[each].namespace]) for each in pods}
            tasks = {each: [Tokens(node=places)] for each, places in kept.items()}
            for subject, answer in ask_each(pods, tasks).items():
                _, causes, account = suspects[subject]
                case = judge.case(subject, causes=causes, subjects=(account, f"ServiceAccount {account}"))
                if isinstance(answer, ProbeError):
                    tell_absent(case, answer, tried=LOOKED, at=_at(subject))
                    continue
                case.positive(
                    "the same reader finds the token of our own pod that asks for one",
                    reader.evidence,
                    succeeded=bool(found_tokens(reader)),
                )
                if kept[subject]:
                    show_on_the_node(case, pool, cast("Pod", pods[subject]))
                _attack(judge, case, cluster, answer[0], _at(subject))


def _at(subject: str) -> dict[str, Any]:
    """A bare pod, or the container of a workload whose twin looks."""
    pod, _, container = subject.partition(", container ")
    return {"pod": pod, "container": container}


def _suspects(
    cluster: Cluster, stack: Stack, clients: Mapping[str, str], declared: Declared
) -> dict[str, tuple[PodSpec, tuple[Fields, ...], str]]:
    """The pods to look from: one on each default account, and a twin of each container, declared API clients left out.

    Returns:
        by subject its pod, what may give that pod a token, and its account.
    """
    found: dict[str, tuple[PodSpec, tuple[Fields, ...], str]] = {
        f"a bare pod in {namespace}": (
            PodSpec(namespace, automount=None, purpose="bare"),
            (field_of_account(namespace, "default"),),
            f"{namespace}/default",
        )
        for namespace in stack.created_namespaces
        if not _is_client(f"{namespace}/default", (), clients, declared)
    }
    for workload in stack.workloads():
        for name, template in container_templates(cluster, workload).items():
            account = template["spec"].get("serviceAccountName") or "default"  # a live pod's may be another
            own = template["spec"]["containers"][0]["name"]
            names = object_names(workload.kind, workload.namespace, workload.name, [f"/{own}"])[1:]
            if not _is_client(f"{workload.namespace}/{account}", names, clients, declared):
                spec = PodSpec(workload.namespace, template=template, labels_matter=False, purpose="twin")
                causes = fields_of_token(workload, own, account)
                found[f"{workload}, container {name}"] = spec, causes, f"{workload.namespace}/{account}"
    return found


def _is_client(account: str, names: Iterable[str], clients: Mapping[str, str], declared: Declared) -> bool:
    """Whether an account is declared a client of the API, or a workload or container by a name that is no account's."""
    return declared.covers(account, f"ServiceAccount {account}", *names) or account in clients


def _attack(judge: Judge, case: Case, cluster: Cluster, answer: Answer, at: At) -> None:
    """Try each token that was found; that none was is the answer of a search that worked, and came to its end."""
    if partly := answer.raw.get("partly"):
        judge.note(
            f"{case.name}: of the node's files in {', '.join(partly)} not all were read: only where tokens are kept"
        )
    if not found_tokens(answer) or answer.evidence.broken:
        case.attack(
            "read a token in any mount",
            answer.evidence,
            through=False if answer.evidence.outcome is Outcome.ABSENT else None,
            at=at,
        )
    for found in found_tokens(answer):
        subject = str(found["claims"].get("sub", ""))
        review = holder(cluster.api, found["token"], subject).who_am_i()
        # 401: it is no token of this API server, or no longer one; anything but these two says nothing.
        accepted = {201: True, 401: False}.get(review.status or 0)
        case.attack(f"use the token found at {found['path']} as {subject}", review, through=accepted, at=at)


@sabotage(test_id_token_automount)
def default_account_automounts(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The default service account of one of the stack's namespaces mounts its token again."""
    path = f"/api/v1/namespaces/{stack.created_namespaces[0]}/serviceaccounts/default"
    before = cluster.api.get(path).get("automountServiceAccountToken")
    headers = MERGE_PATCH
    cluster.api.call("PATCH", path, body={"automountServiceAccountToken": True}, headers=headers)
    try:
        proof = api_evidence("", f"GET {path}: automountServiceAccountToken true", cluster.api.request("GET", path))
        yield changing(proof, ObjectName("ServiceAccount", "default", stack.created_namespaces[0]))
    finally:
        cluster.api.call("PATCH", path, body={"automountServiceAccountToken": before}, headers=headers)
