"""Who did what to which object is written down.

After a break-in the audit log is what tells which Secrets were read and which rights were given away; without it every
Secret counts as read. The control does what an intruder does, each marked so that it can be found again: it reads, lists,
replaces, changes and deletes a Secret of its own, runs a command in a pod, asks to attach to it and to forward a port, gives
away a role (a dry run), asks for an account's token, and sends a request without credentials. In each other namespace it
asks for a Secret that does not exist, and for all without credentials. And it asks for Secrets and looks for its rights with
the token of a service account of each namespace, and of each that an audit policy names. Each must be in the log of an API
server within fifteen seconds, with its verb, its object, and whoever did it; where there are several API servers, each is
asked by itself, as each has a policy of its own.

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
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.api import Body, Response
from pytest_k8ssec.clusters.api_servers import ApiServer
from pytest_k8ssec.clusters.headers import MERGE_PATCH, METADATA_OF_MANY
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.clusters.rbac_objects import account_subject, binding
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.facts.auditlog import AuditLogs, audit_logs, named_in_policies
from pytest_k8ssec.facts.inventory import foreign_namespaces
from pytest_k8ssec.facts.node import argument_evidence, argument_file, arguments, control_planes
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.identities import (
    ACCESS_REVIEWS,
    NOBODY,
    TOKEN_SECONDS,
    Identity,
    account_user,
    api_evidence,
    attributes,
    ourselves,
    own_rights_review,
    service_account,
)
from pytest_k8ssec.probes.nodes_in_reach import servers_to_judge
from pytest_k8ssec.secrecy.redact import register
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import Judge

_SECONDS = 15
_US, _NOBODY = "our administrator", "nobody"
_IN_OURS = "an account of ours"
_ANYBODY = ("", "system:anonymous")
"""What stands for whoever has no credentials: nobody where such requests are turned away, and else that user."""
_DEFAULT = "default"
_OURS = "ours"
"""How the namespace of our own is named in what is covered."""
_BY_US = (
    "read a Secret", "replace a Secret", "change a Secret", "list Secrets", "delete a Secret", "run a command in a pod",
    "attach to a pod", "open a port of a pod", "give a role away", "ask for an account's token",
)  # fmt: skip
_BY_ACCOUNTS = ("ask for Secrets with a token", "look for one's rights with a token")
_REFUSED = "be refused without credentials"


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
    place: str = _OURS
    """The namespace that it is about."""
    by: str = _US

    def is_in(self, event: Body) -> bool:
        """Whether an event tells of it, and tells all."""
        about = event.get("objectRef", {})
        resource = "/".join(filter(None, (about.get("resource"), about.get("subresource"))))
        return (
            event.get("verb") in self.verbs
            and (resource, about.get("namespace", "")) == (self.resource, self.namespace)
            and (not self.name or about.get("name") == self.name)
            and event.get("user", {}).get("username", "") in ((self.user,) if self.user else _ANYBODY)
        )

    @property
    def words(self) -> str:
        """What was done, where, and by whom, as far as there is more than one."""
        where = f" of namespace {self.place}" if self.place != _OURS else ""
        return f"{self.what}{where}" + (f" as {self.user}" if self.by not in (_US, _NOBODY) else "")


@dataclass(frozen=True, slots=True)
class _Scene:
    """Where deeds are done: at one API server, under a mark that is in each of them."""

    server: ApiServer
    namespace: str
    """One of ours."""
    marker: str
    user: str
    """Whom the API server takes us for."""

    @property
    def marked(self) -> dict[str, str]:
        """The header that carries the mark."""
        return {"User-Agent": self.marker}

    def ask(self, method: str, path: str, **options: Any) -> Response:
        """Send a marked request with our own credentials."""
        headers = {**self.marked, **options.pop("headers", {})}
        return self.server.api.request(method, path, headers=headers, **options)


@control(
    severity=Severity.HIGH,
    subject="cluster",
    cis=("1.2.16", "3.2.1", "3.2.2"),
    others=("C-0067", "C-0161", "KCV-0019"),
    apart=True,
    dimensions=("server", "deed", "account", "namespace"),
)
def test_aud_events(
    judge: Judge,
    cluster: Cluster,
    deployed: Stack | None,  # noqa: ARG001 - a policy may tell a stack's namespaces from others, so they have to be there
    pool: Pool,
    attacker: Callable[..., Pod],
) -> None:
    """Do what an intruder does, and look for it in the API servers' logs."""
    logs, marker, ours = audit_logs(cluster), f"k8ssec-{secrets.token_hex(8)}", pool.namespace("canary")
    namespaces, servers = foreign_namespaces(cluster.api), servers_to_judge(judge, cluster)
    accounts = _accounts(cluster, namespaces)
    _exists(judge, servers, namespaces, accounts)
    identities = [service_account(cluster, *each) for each in (*accounts, (ours, _DEFAULT))]
    for number, server in enumerate(servers):
        scene = _Scene(server, ours, f"{marker}-{number}", ourselves(server))
        deeds = _deeds(scene, attacker(), namespaces, identities)
        _look(judge, logs, scene, deeds)


def _accounts(cluster: Cluster, namespaces: Collection[str]) -> list[tuple[str, str]]:
    """Namespace and name of one service account of each of these namespaces, and of those that audit policies name.

    A policy tells the other ones of a namespace from that one by nothing: it names users, and groups that all of them are in.
    """
    named = named_in_policies(cluster)
    listed = [
        (each["metadata"]["namespace"], each["metadata"]["name"])
        for each in cluster.api.list("/api/v1/serviceaccounts")
    ]
    found = {each[0]: each for each in sorted(listed, key=lambda each: each[1] == _DEFAULT) if each[0] in namespaces}
    return list(dict.fromkeys((*found.values(), *(each for each in listed if account_user(*each) in named))))


def _exists(
    judge: Judge, servers: Iterable[ApiServer], namespaces: Iterable[str], accounts: Iterable[tuple[str, str]]
) -> None:
    """Each deed by us and by nobody, in our own namespace; those that show nothing in each other one; and those of accounts."""
    there: list[tuple[str, str, str]] = [*((deed, _US, _OURS) for deed in _BY_US), (_REFUSED, _NOBODY, _OURS)]
    for namespace in namespaces:
        there += [(_BY_US[0], _US, namespace), (_REFUSED, _NOBODY, namespace)]
    for namespace, name in accounts:
        there += [(deed, account_user(namespace, name), namespace) for deed in _BY_ACCOUNTS]
    there += [(deed, _IN_OURS, _OURS) for deed in _BY_ACCOUNTS]
    for server, (deed, account, namespace) in product(servers, there):
        judge.coverage.exists(server=server.name, deed=deed, account=account, namespace=namespace)


def _look(judge: Judge, logs: AuditLogs, scene: _Scene, deeds: Sequence[_Deed]) -> None:
    """Find what was done at one API server in the logs, or don't."""
    events = logs.events(
        scene.marker, lambda found: all(any(deed.is_in(event) for event in found) for deed in deeds), deadline=_SECONDS
    )
    for deed in deeds:
        case = judge.case(f"{deed.words}{scene.server.words}")
        case.positive("it took place", deed.done, succeeded=deed.took_place)
        logged = next((event for event in events if deed.is_in(event)), None)
        at = {"server": scene.server.name, "deed": deed.what, "account": deed.by, "namespace": deed.place}
        case.attack("do it without a trace", _told(logs, deed, logged), through=logged is None, at=at)


def _told(logs: AuditLogs, deed: _Deed, event: Body | None) -> Evidence:
    words = f"level {event['level']}, stage {event['stage']}" if event else ""
    return logs.evidence(f"{deed.verbs[0]} {deed.resource} by {deed.user or 'nobody'}", words)


def _deeds(scene: _Scene, pod: Pod, namespaces: Iterable[str], identities: Iterable[Identity]) -> list[_Deed]:
    made = [
        *_with_a_secret(scene),
        _run_a_command(scene, pod),
        *_ways_into_a_pod(scene, pod),
        _give_a_role_away(scene),
        _ask_for_a_token(scene),
        _ask_without_credentials(scene, scene.namespace, _OURS),
    ]
    for namespace in namespaces:
        made += [_read_in(scene, namespace), _ask_without_credentials(scene, namespace, namespace)]
    for identity in identities:
        made += _with_a_token(scene, replace(identity, api=scene.server.api))
    return made


def _done(scene: _Scene, request: str, answer: Response, *statuses: int) -> tuple[Evidence, bool]:
    """Evidence of a deed, and whether it took place."""
    return api_evidence(scene.user, request, answer), answer.status in statuses if statuses else answer.ok


def _with_a_secret(scene: _Scene) -> list[_Deed]:
    """Read, replace, change, list and delete one of ours."""
    secret: Body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": scene.marker, "namespace": scene.namespace},
    }
    api, verbs = scene.server.api, ("get", "update", "patch", "list", "delete")
    path, collection = api.path_of(secret), api.path_of(secret, collection=True)
    only = {"fieldSelector": f"metadata.name={scene.marker}"}
    with api.applied(secret):
        answers = (
            scene.ask("GET", path),
            scene.ask("PUT", path, body=secret),
            scene.ask("PATCH", path, body={}, headers=MERGE_PATCH),
            scene.ask("GET", collection, params=only),
            scene.ask("DELETE", path),
        )
    return [
        _Deed(what, *_done(scene, f"{verb} {path}", answer), (verb,), "secrets", scene.namespace, "" if verb == "list" else scene.marker, scene.user)
        for what, verb, answer in zip(_BY_US, verbs, answers, strict=False)
    ]  # fmt: skip


def _read_in(scene: _Scene, namespace: str) -> _Deed:
    """Of somebody else's namespace: a Secret that does not exist."""
    path = f"/api/v1/namespaces/{namespace}/secrets/{NOBODY}"
    done = _done(scene, f"GET {path}", scene.ask("GET", path), 404)
    return _Deed(_BY_US[0], *done, ("get",), "secrets", namespace, NOBODY, scene.user, place=namespace)


def _with_a_token(scene: _Scene, account: Identity) -> list[_Deed]:
    """What pods do is done by service accounts: a policy may leave out all of them, or what they are refused."""
    namespace = account.user.split(":")[2]
    ours = namespace == scene.namespace
    place, by = (_OURS, _IN_OURS) if ours else (namespace, account.user)
    secrets_path, review = (
        f"/api/v1/namespaces/{namespace}/secrets",
        own_rights_review(attributes("get", "secrets", namespace=namespace)),
    )
    listed = account.attempt("GET", secrets_path, headers={**scene.marked, **METADATA_OF_MANY}, params={"limit": "1"})
    asked = account.attempt("POST", ACCESS_REVIEWS, body=review, headers=scene.marked)
    told = {"user": account.user, "place": place, "by": by}
    return [
        _Deed(_BY_ACCOUNTS[0], listed, listed.status in (200, 403), ("list",), "secrets", namespace, **told),
        _Deed(_BY_ACCOUNTS[1], asked, asked.status == 201, ("create",), "selfsubjectaccessreviews", "", **told),
    ]


def _run_a_command(scene: _Scene, pod: Pod) -> _Deed:
    """Over a WebSocket, where the client sets no User-Agent of ours: the mark is in the command, and so in the URI."""
    where = pod.vantage
    ended = scene.server.api.exec(where.namespace, where.pod, ["true", scene.marker], container=where.container)
    done = Evidence(pod.source, "run `true` by exec", Outcome.DONE, f"exit code {ended.code}")
    verbs = ("get", "create")  # a WebSocket begins with a GET, and newer API servers ask for the right to create
    return _Deed(_BY_US[5], done, ended.code == 0, verbs, "pods/exec", where.namespace, where.pod, scene.user)


def _ways_into_a_pod(scene: _Scene, pod: Pod) -> list[_Deed]:
    """Requests to attach, and to forward a port, that change no protocol: they are let in, and then found to be none (400)."""
    where = pod.vantage
    made = []
    for what, way in zip(_BY_US[6:8], ("attach", "portforward"), strict=True):
        path = f"/api/v1/namespaces/{where.namespace}/pods/{where.pod}/{way}"
        done = _done(scene, f"POST {path}", scene.ask("POST", path), 400)
        made.append(_Deed(what, *done, ("create",), f"pods/{way}", where.namespace, where.pod, scene.user))
    return made


def _give_a_role_away(scene: _Scene) -> _Deed:
    bound = binding(scene.marker, account_subject(scene.namespace, _DEFAULT), "view", namespace=scene.namespace)
    path = scene.server.api.path_of(bound, collection=True)
    done = _done(scene, f"POST {path} (dry run)", scene.ask("POST", path, body=bound, params={"dryRun": "All"}), 201)
    return _Deed(_BY_US[8], *done, ("create",), "rolebindings", scene.namespace, user=scene.user)


def _ask_for_a_token(scene: _Scene) -> _Deed:
    """For an account of a namespace of ours. Nothing is done with it."""
    path = f"/api/v1/namespaces/{scene.namespace}/serviceaccounts/{_DEFAULT}/token"
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": TOKEN_SECONDS},
    }
    answer = scene.ask("POST", path, body=request)
    if answer.ok:
        register(str(answer.body["status"]["token"]))
    done = _done(scene, f"POST {path}", answer, 201)
    return _Deed(_BY_US[9], *done, ("create",), "serviceaccounts/token", scene.namespace, _DEFAULT, scene.user)


def _ask_without_credentials(scene: _Scene, namespace: str, place: str) -> _Deed:
    path = f"/api/v1/namespaces/{namespace}/secrets"
    answer = scene.server.api.request("GET", path, headers=scene.marked, token="")
    done = api_evidence("", f"GET {path} without credentials", answer)
    told = {"place": place, "by": _NOBODY}
    return _Deed(_REFUSED, done, answer.status in (401, 403), ("list",), "secrets", namespace, **told)


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
