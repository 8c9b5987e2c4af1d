"""Whoever gets into one container of the stack stays there, within the radius that was agreed.

Each weakness by itself may look bearable: a token that nobody uses, a right that somebody needed once, a door in the
network. What matters is where they lead together. From a twin of each workload the attack graph is walked as an attacker
would: tokens and Secrets in its mounts, doors of the control plane, ways out to its node, and from each identity that is
found whatever it may do. Each step is proven by a request that changes nothing, a dry run or a name that does not exist;
found credentials are used for that alone. Rights are those of the table that rbac-escalation asks by: also what undoes a
defence (NetworkPolicies, admission webhooks and policies, Pod Security levels, quotas) is an edge. What is reached must not hold a way to cluster-admin, and must stay within
the budget and the edges that blast-radius.yaml beside Pulumi.yaml agrees to; without that file, it must not hold a node
either. The same walk from a canary of ours that has every weakness must find its way to cluster-admin, and each kind of
edge. A bound that was reached, or an unknown edge, makes it inconclusive.

A workload that has to be able to do everything is declared in `[tool.k8ssec.allow.blast-radius]` as
`"namespace/workload" = "reason"`.

Remediation: look at the picture (in report.html, or by `k8ssec blast namespace/workload --html blast.html`), and take the smallest cut that it
names. What has to stay is agreed to by `k8ssec blast namespace/workload --write-baseline`, and the file reviewed as code.

```yaml
# kubectl apply -n NAMESPACE -f shop.yaml: nothing in the container that leads on from it
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
spec:
  selector: {matchLabels: {app.kubernetes.io/name: shop}}
  template:
    metadata: {labels: {app.kubernetes.io/name: shop}}
    spec:
      automountServiceAccountToken: false # no identity
      hostPID: false # no way to its node: neither this, nor hostNetwork, hostIPC, and hostPath volumes
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        seccompProfile: {type: RuntimeDefault}
      containers:
        - name: shop
          image: registry.example.com/shop:1.0
          securityContext:
            allowPrivilegeEscalation: false
            capabilities: {drop: [ALL]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: shop-calls-nobody # no door but DNS; name what it has to call
spec:
  podSelector: {matchLabels: {app.kubernetes.io/name: shop}}
  policyTypes: [Egress]
  egress:
    - to:
        - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
          podSelector: {matchLabels: {k8s-app: kube-dns}}
      ports:
        - {protocol: UDP, port: 53}
        - {protocol: TCP, port: 53}
```

Sources: https://kubernetes.io/docs/concepts/security/rbac-good-practices/;
https://attack.mitre.org/matrices/enterprise/containers/
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import product
from typing import Any

from pytest_k8ssec.agent.tasks import Tcp
from pytest_k8ssec.attack.document import node_link, open_part
from pytest_k8ssec.attack.findings import AGREED, GRAPH_CHECKS, canary_positives, findings, narrower
from pytest_k8ssec.attack.radius import BlastRadius
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.catalogue.declared import Declared, object_names
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.rbac_objects import RBAC, account_subject, binding, rule
from pytest_k8ssec.controls.blast import edge_causes
from pytest_k8ssec.errors import ProbeError, SabotageError
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.evidence.causes import Fields, Right
from pytest_k8ssec.facts.node import control_planes
from pytest_k8ssec.pods.absent import tell_absent
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.etcd import CLIENTS
from pytest_k8ssec.probes.policy_enforcement import allow_egress
from pytest_k8ssec.reach.propagation import await_policies
from pytest_k8ssec.sabotages.egress import let_out
from pytest_k8ssec.sabotages.grants import granted, may
from pytest_k8ssec.sabotages.node_config import etcd_open, kubelet_open
from pytest_k8ssec.sabotages.proofs import changing, object_of
from pytest_k8ssec.sabotages.rollout import LOOSENED, deployment, enforcing, weakened
from pytest_k8ssec.stack import ServiceAccount, Stack, Workload
from pytest_k8ssec.verdict import Case, Judge


@control(
    severity=Severity.CRITICAL,
    subject="stack",
    others=("MS-TA9019",),
    slow=True,
    apart=True,
    dimensions=("workload", "container", "source", "check"),
    blames=(Fields, Right),
    finding="{case} can {attack}",
)
def test_blast_radius(judge: Judge, stack: Stack, blast_radius: BlastRadius, allowed: Mapping[str, str]) -> None:
    """Walk the attack graph from a twin of each workload, and compare it with what was agreed."""
    judge.not_applicable("the stack has no workload that is not declared")
    declared = Declared(judge, allowed)
    if blast_radius.baseline is None:
        judge.note("nothing is agreed beyond `no node and no cluster-admin`: k8ssec blast --all --write-baseline")
    workloads = [
        each for each in stack.workloads() if not declared.covers(*object_names(each.kind, each.namespace, each.name))
    ]
    declared.tell_unused()
    with suppress(ProbeError):  # side by side; one that does not start is told of in its own case
        blast_radius.prepare(workloads)
    unknown: dict[str, ProbeError] = {}
    for workload in workloads:
        try:
            _exist(judge, workload, blast_radius)
        except ProbeError as error:  # told of in its case
            unknown[str(workload)] = error
    for workload in workloads:
        case = judge.case(str(workload))
        try:
            if str(workload) in unknown:
                tell_absent(case, unknown[str(workload)], tried="find out what there is to look round in")
            _attack(judge, case, workload, blast_radius)
        except ProbeError as error:
            tell_absent(case, error, tried="walk from a twin of it")
    if told := blast_radius.told_by_class:
        judge.note(told)


def _attack(judge: Judge, case: Case, workload: Workload, blast_radius: BlastRadius) -> None:
    graph, agreed = blast_radius(workload), blast_radius.baseline
    judge.graphs.append(open_part(node_link(graph)))
    places = blast_radius.looked_round(workload)
    for finding in findings(_subject(workload), graph, agreed):
        at = [_at(workload, *place, finding.check) for place in places if finding.check]
        causes = edge_causes(graph, workload, finding.what) if finding.through else ()
        # A cause of an identity that is further on says nothing of this workload.
        told = replace(finding.evidence, cause=None)
        case.attack(finding.what, told, through=finding.through, at=at, cause=causes)
    for name in narrower(_subject(workload), graph, agreed):
        judge.note(f"{_subject(workload)} reaches less than was agreed to, so write the baseline anew: {name}")
    for canary in blast_radius.shown(workload):
        for what, evidence, succeeded in canary_positives(canary):
            case.positive(what, evidence, succeeded=succeeded)


def _exist(judge: Judge, workload: Workload, blast_radius: BlastRadius) -> None:
    """Say what there is to look round in, and what is checked of what is found from there. Raises ProbeError."""
    checks = GRAPH_CHECKS if blast_radius.baseline is None else (*GRAPH_CHECKS, AGREED)
    for place, check in product(blast_radius.places(workload), checks):
        judge.coverage.exists(**_at(workload, *place, check))


def _at(workload: Workload, node: str, container: str, check: str) -> dict[str, str]:
    source = f"pod on {node}" if node else "pod on any of its nodes"
    return {"workload": str(workload), "container": container, "source": source, "check": check}


def _subject(workload: Workload) -> str:
    return f"{workload.namespace}/{workload.name}"


def _client(stack: Stack) -> ServiceAccount:
    """An account of the stack whose pods have its token: a right of any other is not within reach of them."""
    found = next((each for each in stack.service_accounts if each.api_client), None)
    if found is None:
        raise SabotageError("stack: has no declared client of the API, so no pod of it has a token")
    return found


def _grant(cluster: Cluster, stack: Stack, *rights: Mapping[str, Any], inside: bool = True) -> Iterator[Evidence]:
    account = _client(stack)
    with granted(cluster, account, *rights, namespace=account.namespace if inside else "") as proof:
        yield proof


@sabotage(
    test_blast_radius,
    kills={
        "adm-psa": ("lower the level of",),
        "rbac-cluster-admin": (),
        "rbac-escalation": (),
        "rbac-nodes-proxy": (),
        "rbac-secrets-read": (),
    },
)
def client_is_admin(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The account of the stack's client of the API is bound to cluster-admin."""
    account, everything = _client(stack), rule("*", "*", group="*")
    bound = binding("k8ssec-client-is-admin", account_subject(account.namespace, account.name), "cluster-admin")
    with cluster.api.applied(bound):
        yield changing(may(cluster, account, everything), object_of(bound))
    may(cluster, account, everything, no_more=True)


@sabotage(test_blast_radius, shows=("new edge secrets-get:",), kills={"rbac-secrets-read": ["get one of"]})
def client_gets_secrets(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The stack's client of the API may get the Secrets of another namespace of the stack."""
    yield from _of_others(cluster, stack, rule("get", "secrets"))


@sabotage(
    test_blast_radius,
    shows=("new edge secrets-list:", "new edge token-make:"),
    kills={
        "rbac-secrets-read": ["list /api/v1/namespaces"],
        "rbac-escalation": ["make a token of another account and read it (create secrets, list secrets)"],
    },
)
def client_lists_and_makes_secrets(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The stack's client of the API may list the Secrets of another namespace of the stack, and make new ones there."""
    yield from _of_others(cluster, stack, rule("list", "secrets"), rule("create", "secrets"))


@sabotage(
    test_blast_radius,
    shows=("new edge defence-undo:*NetworkPolicies",),
    kills={"rbac-escalation": ["undo what NetworkPolicies keep out"]},
)
def client_undoes_policies(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The stack's client of the API may patch the NetworkPolicies of another namespace of the stack."""
    yield from _of_others(cluster, stack, rule("patch", "networkpolicies", group="networking.k8s.io"))


@sabotage(test_blast_radius, shows=("new edge pod-attach:",), kills={"rbac-escalation": ["talk to a process in"]})
def client_attaches(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The stack's client of the API may attach to the pods of another namespace of the stack."""
    yield from _of_others(cluster, stack, rule("create", "pods/attach"))


@sabotage(
    test_blast_radius,
    shows=("new edge api-proxy:",),
    kills={"rbac-escalation": ["reach a pod's ports past NetworkPolicies"]},
)
def client_forwards_ports(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The stack's client of the API may forward ports of the pods of another namespace of the stack."""
    yield from _of_others(cluster, stack, rule("create", "pods/portforward"))


@sabotage(
    test_blast_radius,
    shows=("new edge policy-write:",),
    kills={"rbac-escalation": ["change every write, or undo what changes it (patch mutatingadmissionpolicies)"]},
)
def client_writes_policies(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The stack's client of the API may patch admission policies that change what is written."""
    right = rule("patch", "mutatingadmissionpolicies", group="admissionregistration.k8s.io")
    yield from _grant(cluster, stack, right, inside=False)


@sabotage(
    test_blast_radius,
    shows=("new edge api-answer:",),
    kills={"rbac-escalation": ["answer everybody's questions for names (patch configmaps)"]},
)
def client_answers_for_names(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The stack's client of the API may patch the one ConfigMap by which names are answered."""
    right = {**rule("patch", "configmaps"), "resourceNames": ["coredns"]}
    with granted(cluster, _client(stack), right, namespace="kube-system") as proof:
        yield proof


@sabotage(
    test_blast_radius,
    shows=("new edge role-take:*-> role:*/k8ssec-taken-",),
    kills={"rbac-escalation": ["bind itself to a Role (bind roles, patch rolebindings)"]},
)
def client_takes_role(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The stack's client of the API may bind one Role of its namespace, by the change of a binding that is there."""
    account, name = _client(stack), f"k8ssec-taken-{secrets.token_hex(3)}"
    meta = {"name": name, "namespace": account.namespace}
    role = {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": meta, "rules": [rule("get", "endpoints")]}
    bind = {**rule("bind", "roles", group=RBAC), "resourceNames": [name]}
    with cluster.api.applied(role):
        yield from _grant(cluster, stack, rule("patch", "rolebindings", group=RBAC), bind)


@sabotage(test_blast_radius, shows=("new edge pod-create:",), kills={"rbac-escalation": ["create a Pod,"]})
def client_creates_pods(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The stack's client of the API may create pods in its namespace."""
    yield from _grant(cluster, stack, rule("create", "pods"))


@sabotage(test_blast_radius, shows=("new edge pod-patch:",), kills={"rbac-escalation": ["patch a Deployment"]})
def client_patches_workloads(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The stack's client of the API may patch the Deployments of its namespace."""
    yield from _grant(cluster, stack, rule("patch", "deployments", group="apps"))


@sabotage(test_blast_radius, shows=("new edge pod-exec:",), kills={"rbac-escalation": ["run a command in a container"]})
def client_enters_pods(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The stack's client of the API may run commands in the pods of another namespace of the stack."""
    yield from _of_others(cluster, stack, rule("create", "pods/exec"))


@sabotage(
    test_blast_radius,
    shows=("new edge token-request:",),
    kills={"rbac-escalation": ["get the token of another account"]},
)
def client_gets_tokens(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The stack's client of the API may ask for tokens of the accounts of its namespace."""
    yield from _grant(cluster, stack, rule("create", "serviceaccounts/token"))


@sabotage(test_blast_radius, shows=("new edge impersonate:",), kills={"rbac-escalation": ["impersonate a user"]})
def client_impersonates(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The stack's client of the API may act as any user."""
    yield from _grant(cluster, stack, rule("impersonate", "users"), inside=False)


@sabotage(
    test_blast_radius, shows=("new edge role-bind:",), kills={"rbac-escalation": ["bind itself to cluster-admin"]}
)
def client_binds_roles(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The stack's client of the API may bind any role to itself, in its namespace."""
    create, bind = rule("create", "rolebindings", group=RBAC), rule("bind", "clusterroles", group=RBAC)
    yield from _grant(cluster, stack, create, bind)


@sabotage(test_blast_radius, shows=("new edge role-escalate:",), kills={"rbac-escalation": ["write a Role with"]})
def client_escalates(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The stack's client of the API may write Roles with rights that it does not have, in its namespace."""
    create, escalate = rule("create", "roles", group=RBAC), rule("escalate", "roles", group=RBAC)
    yield from _grant(cluster, stack, create, escalate)


@sabotage(
    test_blast_radius, shows=("new edge certificate-approve:",), kills={"rbac-escalation": ["approve a certificate"]}
)
def client_approves_certificates(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The stack's client of the API may approve certificates."""
    right = rule("update", "certificatesigningrequests/approval", group="certificates.k8s.io")
    yield from _grant(cluster, stack, right, inside=False)


@sabotage(
    test_blast_radius, shows=("new edge webhook-create:",), kills={"rbac-escalation": ["see and change every write"]}
)
def client_writes_webhooks(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The stack's client of the API may write admission webhooks."""
    right = rule("create", "mutatingwebhookconfigurations", group="admissionregistration.k8s.io")
    yield from _grant(cluster, stack, right, inside=False)


@sabotage(test_blast_radius, shows=("new edge volume-create:",), kills={"rbac-escalation": ["make a volume of"]})
def client_makes_volumes(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The stack's client of the API may make volumes of a node's files."""
    yield from _grant(cluster, stack, rule("create", "persistentvolumes"), inside=False)


@sabotage(test_blast_radius, shows=("new edge kubelet-exec:",), kills={"rbac-nodes-proxy": []})
def client_reaches_kubelets(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The stack's client of the API may `get` nodes/proxy."""
    yield from _grant(cluster, stack, rule("get", "nodes/proxy"), inside=False)


@sabotage(
    test_blast_radius,
    shows=(
        "new edge secret-volume:*/k8ssec-token-",
        "new edge secret-variable:",
        "new edge secret-holds:*/k8ssec-token-",
        "new edge token-steal:",
    ),
    kills={"id-credentials": ("in /more/token as",)},
)
def secrets_mounted(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """A workload of the stack mounts one more Secret, which holds an account's token, and has another in a variable."""
    workload = deployment(cluster.api, stack)
    token, key = (f"k8ssec-{what}-{secrets.token_hex(3)}" for what in ("token", "key"))
    of_default = {"kubernetes.io/service-account.name": "default"}
    manifests = [
        _secret(workload.namespace, token, "kubernetes.io/service-account-token", annotations=of_default),
        _secret(workload.namespace, key, "Opaque", stringData={"key": "of nothing"}),
    ]
    volume = {"name": token, "secret": {"secretName": token}}
    variable = {"name": "K8SSEC_KEY", "valueFrom": {"secretKeyRef": {"name": key, "key": "key"}}}
    with (
        cluster.api.applied(*manifests),
        weakened(cluster.api, workload, volume=(volume, "/more"), variable=variable, level="") as proof,
    ):
        yield changing(proof, *(object_of(each) for each in manifests))


@sabotage(test_blast_radius, shows=("new edge token-steal:",), kills=("id-token-automount",))
def token_mounted(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The pods of a workload that is no client of the API mount a token."""
    clients = {str(account) for account in stack.service_accounts if account.api_client}

    def is_no_client(workload: Workload) -> bool:
        return f"{workload.namespace}/{workload.service_account}" not in clients

    workload = deployment(cluster.api, stack, is_no_client)
    with weakened(cluster.api, workload, pod={"automountServiceAccountToken": True}, level="") as proof:
        yield proof


def _secret(namespace: str, name: str, kind: str, annotations: Mapping[str, str] | None = None, **more: Any) -> Body:
    metadata = {"name": name, "namespace": namespace, "annotations": dict(annotations or {})}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, **more}


@sabotage(
    test_blast_radius,
    shows=("new edge pod-privileged:",),
    kills={"rbac-escalation": ("create a Pod,",)},
    means=LOOSENED,
)
def client_runs_privileged_pods(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The stack's client of the API may create pods in its namespace, and that lets in privileged ones."""
    account = _client(stack)
    with (
        enforcing(cluster.api, account.namespace, "privileged"),
        granted(cluster, account, rule("create", "pods"), namespace=account.namespace) as proof,
    ):
        yield proof


@sabotage(
    test_blast_radius,
    shows=tuple(
        f"new edge {kind}:" for kind in (
            "host-read", "host-write", "token-paths", "host-namespace", "nsenter", "cri-socket", "privileged-mount", "ptrace",
            "module-load", "core-pattern",
        )
    ),
    kills=("id-credentials", "wl-host-access", "wl-netraw", "wl-privilege", "wl-seccomp"),
    means=LOOSENED,
)  # fmt: skip
def node_taken(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """A workload of the stack is root, privileged, among its node's processes, and mounts its files."""
    root = {"runAsUser": 0, "runAsNonRoot": False, "privileged": True, "allowPrivilegeEscalation": True}
    volume = {"name": "node", "hostPath": {"path": "/"}}
    workload = deployment(cluster.api, stack)
    with weakened(cluster.api, workload, container=root, pod={"hostPID": True}, volume=(volume, "/node")) as proof:
        yield proof


@sabotage(
    test_blast_radius,
    shows=("new edge kubelet-anonymous:", "new edge etcd-read:"),
    kills=(
        "etcd-ca-isolation",
        "etcd-client-auth",
        "etcd-exposed",
        "ext-ports",
        "kubelet-anon",
        "kubelet-authz",
        "net-controlplane",
        "rbac-nodes-proxy",
    ),
)
def nodes_ask_nobody(cluster: Cluster, stack: Stack, pool: Pool, twin: Callable[[Workload], Pod]) -> Iterator[Evidence]:
    """A kubelet and etcd let everybody in, and a policy lets the stack's pods reach them."""
    (plane, *_), node = control_planes(cluster), cluster.nodes[-1]
    addresses = [each.address for each in cluster.nodes]

    def policy(namespace: str) -> Body:
        return allow_egress(namespace, *addresses)

    with kubelet_open(cluster, node), etcd_open(cluster, plane) as proof:
        await_policies(pool)
        with let_out(cluster.api, stack, twin, policy, lambda: Tcp(plane.address, CLIENTS.port)):
            yield proof
    await_policies(pool)


def _of_others(cluster: Cluster, stack: Stack, *rights: Mapping[str, Any]) -> Iterator[Evidence]:
    """Rights in a namespace of the stack that is not the account's own."""
    account = _client(stack)
    others = [workload.namespace for workload in stack.workloads() if workload.namespace != account.namespace]
    if not others:
        raise SabotageError("stack: has workloads in one namespace only")
    with granted(cluster, account, *rights, namespace=others[0]) as proof:
        yield proof
