"""Who did what to which object is written down.

After a break-in the audit log is what tells which Secrets were read and which rights were given away; without it every
Secret counts as read. The control does what an intruder does, each marked so that it can be found again: it reads a
Secret and deletes one, runs a command in a pod, gives away a role (a dry run), asks for Secrets and looks for its
rights with the token of a service account, and sends a request without credentials. Each must be in the log of an API
server within fifteen seconds, with its verb, its object, and whoever did it.

Remediation: give every API server an audit policy that names these at level Metadata or above, by `--audit-policy-file`,
and a place to write to, by `--audit-log-path`.

```yaml
# kind.yaml
nodes:
  - role: control-plane
    extraMounts: # into a folder that kubeadm mounts into the API server
      - hostPath: audit.yaml
        containerPath: /etc/kubernetes/pki/audit.yaml
        readOnly: true
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    apiServer:
      extraArgs:
        audit-policy-file: /etc/kubernetes/pki/audit.yaml
        audit-log-path: /var/log/kubernetes/audit/audit.log
        audit-log-maxage: "30"
        audit-log-maxbackup: "10"
        audit-log-maxsize: "100"
      extraVolumes:
        - name: audit
          hostPath: /var/log/kubernetes/audit
          mountPath: /var/log/kubernetes/audit
          pathType: DirectoryOrCreate
---
# audit.yaml, beside kind.yaml
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: None
    nonResourceURLs: ["/livez*", "/readyz*", "/healthz*"]
  - level: Metadata
```

Sources: CIS Kubernetes Benchmark 1.2.16, 3.2.1, 3.2.2; https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.headers import METADATA_OF_MANY
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.clusters.rbac_objects import account_subject, binding
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.facts.auditlog import AuditLogs, audit_logs
from pytest_k8ssec.facts.node import argument_evidence, argument_file, arguments, control_planes
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.identities import (
    ACCESS_REVIEWS,
    api_evidence,
    attributes,
    ourselves,
    own_rights_review,
    service_account,
)
from pytest_k8ssec.verdict import Judge

_SECONDS = 15


@dataclass(frozen=True, slots=True)
class _Deed:
    """Something that was done, and what the log must say of it."""

    what: str
    done: Evidence
    took_place: bool
    verbs: tuple[str, ...]
    resource: str
    namespace: str
    name: str = ""
    user: str = ""

    def is_in(self, event: Body) -> bool:
        """Whether an event tells of it, and tells all."""
        about = event.get("objectRef", {})
        resource = "/".join(filter(None, (about.get("resource"), about.get("subresource"))))
        return (
            event.get("verb") in self.verbs
            and (resource, about.get("namespace", "")) == (self.resource, self.namespace)
            and (not self.name or about.get("name") == self.name)
            and (not self.user or event.get("user", {}).get("username") == self.user)
        )


@control(
    severity=Severity.HIGH,
    subject="cluster",
    cis=("1.2.16", "3.2.1", "3.2.2"),
    others=("C-0067", "C-0161", "KCV-0019"),
    apart=True,
)
def test_aud_events(judge: Judge, cluster: Cluster, pool: Pool, attacker: Callable[..., Pod]) -> None:
    """Do what an intruder does, and look for it in the API servers' logs."""
    logs, marker = audit_logs(cluster), f"k8ssec-{secrets.token_hex(8)}"
    deeds = _deeds(cluster, pool.namespace("canary"), attacker(), marker)
    events = logs.events(
        marker, lambda found: all(any(deed.is_in(event) for event in found) for deed in deeds), deadline=_SECONDS
    )
    for deed in deeds:
        case = judge.case(deed.what)
        case.positive("it took place", deed.done, succeeded=deed.took_place)
        logged = next((event for event in events if deed.is_in(event)), None)
        case.attack("do it without a trace", _told(logs, deed, logged), through=logged is None)


def _told(logs: AuditLogs, deed: _Deed, event: Body | None) -> Evidence:
    words = f"level {event['level']}, stage {event['stage']}" if event else ""
    return logs.evidence(f"{deed.verbs[0]} {deed.resource} by {deed.user or 'nobody'}", words)


def _deeds(cluster: Cluster, namespace: str, pod: Pod, marker: str) -> list[_Deed]:
    user = ourselves(cluster)
    return [
        *_read_and_delete_a_secret(cluster, namespace, marker, user),
        _run_a_command(cluster, pod, marker, user),
        _give_a_role_away(cluster, namespace, marker, user),
        *_with_a_token(cluster, namespace, marker),
        _ask_without_credentials(cluster, namespace, marker),
    ]


def _read_and_delete_a_secret(cluster: Cluster, namespace: str, marker: str, user: str) -> list[_Deed]:
    secret: Body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": marker, "namespace": namespace}}
    path, marked = cluster.api.path_of(secret), {"User-Agent": marker}
    with cluster.api.applied(secret):
        read, deleted = (cluster.api.request(method, path, headers=marked) for method in ("GET", "DELETE"))
    return [
        _Deed(f"{what} a Secret", api_evidence(user, f"{method} {path}", answer), answer.ok, (verb,), "secrets", namespace, marker, user)
        for what, method, verb, answer in (("read", "GET", "get", read), ("delete", "DELETE", "delete", deleted))
    ]  # fmt: skip


def _with_a_token(cluster: Cluster, namespace: str, marker: str) -> list[_Deed]:
    """What pods do is done by service accounts: a policy may leave out all of them, or what they are refused."""
    account = service_account(cluster, namespace, "default")
    secrets_path, review = (
        f"/api/v1/namespaces/{namespace}/secrets",
        own_rights_review(attributes("get", "secrets", namespace=namespace)),
    )
    marked = {"User-Agent": marker}
    listed = account.attempt("GET", secrets_path, headers={**marked, **METADATA_OF_MANY}, params={"limit": "1"})
    asked = account.attempt("POST", ACCESS_REVIEWS, body=review, headers=marked)
    return [
        _Deed("ask for Secrets with a token", listed, listed.status in (200, 403), ("list",), "secrets", namespace, user=account.user),
        _Deed("look for one's rights with a token", asked, asked.status == 201, ("create",), "selfsubjectaccessreviews", "", user=account.user),
    ]  # fmt: skip


def _run_a_command(cluster: Cluster, pod: Pod, marker: str, user: str) -> _Deed:
    """Over a WebSocket, where the client sets no User-Agent of ours: the mark is in the command, and so in the URI."""
    where = pod.vantage
    ended = cluster.api.exec(where.namespace, where.pod, ["true", marker], container=where.container)
    done = Evidence(pod.source, "run `true` by exec", Outcome.DONE, f"exit code {ended.code}")
    verbs = ("get", "create")  # a WebSocket begins with a GET, and newer API servers ask for the right to create
    return _Deed("run a command in a pod", done, ended.code == 0, verbs, "pods/exec", where.namespace, where.pod, user)


def _give_a_role_away(cluster: Cluster, namespace: str, marker: str, user: str) -> _Deed:
    bound = binding(marker, account_subject(namespace, "default"), "view", namespace=namespace)
    path = cluster.api.path_of(bound, collection=True)
    answer = cluster.api.request("POST", path, body=bound, params={"dryRun": "All"}, headers={"User-Agent": marker})
    done = api_evidence(user, f"POST {path} (dry run)", answer)
    return _Deed("give a role away", done, answer.status == 201, ("create",), "rolebindings", namespace, user=user)


def _ask_without_credentials(cluster: Cluster, namespace: str, marker: str) -> _Deed:
    path = f"/api/v1/namespaces/{namespace}/secrets"
    answer = cluster.api.request("GET", path, headers={"User-Agent": marker}, token="")
    done = api_evidence("", f"GET {path} without credentials", answer)
    return _Deed("be refused without credentials", done, answer.status in (401, 403), ("list",), "secrets", namespace)


def _no_path(cluster: Cluster) -> Evidence:
    (node, *_) = control_planes(cluster)
    if arguments(cluster, node, "kube-apiserver").get("audit-log-path"):
        raise SabotageError("kube-apiserver: still runs with --audit-log-path")
    return argument_evidence(cluster, node, "kube-apiserver", "audit-log-path")


@sabotage(test_aud_events, proof=_no_path, blinds=("aud-no-secret-body",))
def no_audit_log(config: KindConfig) -> None:
    """The API server writes no audit log."""
    config.api_server(audit_log_path=None)


_NOTHING = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n  - level: None\n"
_ACCOUNTS_SPARED = """apiVersion: audit.k8s.io/v1
kind: Policy
rules:
  - level: None
    userGroups: ["system:serviceaccounts"]
  - level: Metadata
"""


def _follows(policy: str) -> Callable[[Cluster], Evidence]:
    def proof(cluster: Cluster) -> Evidence:
        (node, *_) = control_planes(cluster)
        if argument_file(cluster, node, "kube-apiserver", "audit-policy-file") != policy:
            raise SabotageError("kube-apiserver: its audit policy is not the sabotage's")
        return argument_evidence(cluster, node, "kube-apiserver", "audit-policy-file", "audit-log-path")

    return proof


@sabotage(test_aud_events, proof=_follows(_NOTHING), blinds=("aud-no-secret-body",))
def policy_of_nothing(config: KindConfig) -> None:
    """The API server writes an audit log, by a policy that logs nothing."""
    config.replace("control-plane/audit.yaml", _NOTHING)


@sabotage(test_aud_events, proof=_follows(_ACCOUNTS_SPARED))
def accounts_not_logged(config: KindConfig) -> None:
    """The audit policy leaves out what service accounts do, as they do much."""
    config.replace("control-plane/audit.yaml", _ACCOUNTS_SPARED)
