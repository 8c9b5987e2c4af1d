"""No pod of the stack can log in to the API server as somebody else.

A token in a variable, a kubeconfig in a ConfigMap, a client certificate with its key in a file: whoever gets into the
container has them, and often they never expire, and are an administrator's. In each container is searched what it reaches:
every file in its mounts, by a twin of it; its variables, with what they take from Secrets and ConfigMaps, and the words of its
command; and, where it has a token of its own, the Secrets and ConfigMaps of any namespace that the API server shows to that token,
by whichever verb it is answered with them. What counts is the form: tokens of
service accounts, bootstrap tokens, client certificates with their keys, tokens in kubeconfigs; in plain, in base64, and twice
in base64. A private key that the API server knows its clients by (the one that signs tokens of service accounts, that of the
CA of client certificates, that of the front proxy's CA) signs a token or a certificate of nobody's, for minutes, and that is
shown.

Each is shown to the API server, and to nobody else. One that it takes is a breach, unless that is a token of the pod's own
account that ends with a pod, which is the matter of id-token-automount. What it does not take is harmless. Passwords of registries, keys of clouds
and tokens of other issuers are noted by form and place: only others could say whether they are good, and those are not asked.
A pod of ours that has a kubeconfig in a mount, and a token twice in base64 in a variable, is searched in the same way: both
must be found, and both must log in, before the search and after it.

What is not searched: what an image brings, what a container has written into an empty volume of its own, annotations, and what
is encrypted, compressed, or in base64 in a file of more than 1 MiB.

Remediation: give a pod that needs the API an account of its own, and `automountServiceAccountToken: true` on the pod: its token
expires with the pod. Delete Secrets of the type `kubernetes.io/service-account-token`, and rotate what was in one. Kubernetes
does not revoke client certificates: where one of an administrator got about, the cluster's CA has to be replaced. What must
stay is declared in `[tool.k8ssec.allow.id-credentials]` as `"namespace/workload/container" = "reason"`, or as
`"namespace/workload"`.

```yaml
apiVersion: v1
kind: ServiceAccount
metadata:
  name: shop-client
automountServiceAccountToken: false
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
spec:
  selector: {matchLabels: {app.kubernetes.io/name: shop}}
  template:
    metadata: {labels: {app.kubernetes.io/name: shop}}
    spec:
      serviceAccountName: shop-client
      automountServiceAccountToken: true # instead of a token in a Secret
      containers:
        - name: shop
          image: registry.example.com/shop:1.0
```

Sources: CIS Kubernetes Benchmark 5.4.1;
https://kubernetes.io/docs/concepts/security/service-accounts/#get-a-token;
https://kubernetes.io/docs/reference/access-authn-authz/authentication/
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, cast

from pytest_k8ssec.agent.tasks import Tokens
from pytest_k8ssec.agent.vantage import Answer
from pytest_k8ssec.attack.api_view import pieces_shown
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.catalogue.declared import Declared, object_names
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.client_certificates import kubeconfig, signed_client_certificate
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.rbac_objects import binding, named_subject, rule
from pytest_k8ssec.controls.id import LOOKED, kept_on_the_node, show_on_the_node
from pytest_k8ssec.errors import ProbeError, SabotageError, as_probe_error
from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.evidence.causes import Known
from pytest_k8ssec.facts.containers import CONTAINERS, container_templates
from pytest_k8ssec.facts.credentials import Credential, Found, found_credentials, of_files, of_values
from pytest_k8ssec.facts.culprits.kept_in import kept_in
from pytest_k8ssec.facts.node import control_planes
from pytest_k8ssec.facts.signing_keys import SigningKeys, signing_keys
from pytest_k8ssec.facts.variables import SPOKEN, spoken_words, variables_of
from pytest_k8ssec.pods.absent import tell_absent
from pytest_k8ssec.pods.ask_each import ask_each
from pytest_k8ssec.pods.claims import claimed_folders
from pytest_k8ssec.pods.manifests import OBJECT_LABEL, PodSpec, container_security
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.escalation import tried_namespaces
from pytest_k8ssec.probes.identities import (
    Identity,
    account_user,
    nobody,
    service_account,
    show_credential,
)
from pytest_k8ssec.sabotages.grants import granted, lent
from pytest_k8ssec.sabotages.proofs import changing, object_of
from pytest_k8ssec.sabotages.rollout import deployment, weakened
from pytest_k8ssec.secrecy.redact import register
from pytest_k8ssec.stack import ServiceAccount, Stack, Workload, pods_of
from pytest_k8ssec.verdict import Case, Judge

_MOUNTS, _VARIABLES = "find what logs in, in any mount", "find what logs in, in a variable"
_API_VIEW = "find what logs in, in what the API server shows to its token"
_CHECKS = (_MOUNTS, _VARIABLES, _API_VIEW)


@dataclass(slots=True)
class _Search:
    """The search of one run: what was shown to the API server once is not shown again."""

    judge: Judge
    cluster: Cluster
    authority: SigningKeys
    namespaces: tuple[str, ...]
    shown: dict[str, tuple[Identity, Evidence, bool | None]] = field(default_factory=dict)
    views: dict[str, tuple[Found, tuple[Evidence, ...]]] = field(default_factory=dict)

    def show(self, found: Credential) -> tuple[Identity, Evidence, bool | None]:
        """Whom the API server takes it for. Raises ProbeError."""
        key = f"{found.token or found.pem}{dict(found.headers)}"
        if key not in self.shown:
            self.shown[key] = show_credential(self.cluster.api, found)
        return self.shown[key]

    def inside(
        self, namespace: str, containers: Sequence[Mapping[str, Any]], answer: Answer
    ) -> tuple[Found, tuple[str, ...]]:
        """What is in a container's mounts and variables, and which objects of its variables nobody could read.

        Args:
            containers: it, as each of its pods has it.
            answer: what its twin found.
        """
        variables = [variables_of(self.cluster.api, namespace, each) for each in containers]
        pieces = [piece for each in variables for piece in of_values(each.values, "variable")]
        pieces += of_values(spoken_words(containers), "argument")
        found = found_credentials([*pieces, *of_files(answer.raw.get("pieces") or [])], self.authority)
        return found, tuple(dict.fromkeys(name for each in variables for name in each.unread))


@control(
    severity=Severity.CRITICAL,
    subject="stack",
    cis=("5.4.1",),
    mitre=("T1552.001", "T1552.007", "T1078"),
    others=("C-0012", "KSV-0109"),
    apart=True,
    dimensions=("workload", "container", "check"),
    blames=(Known,),
)
def test_id_credentials(judge: Judge, cluster: Cluster, stack: Stack, pool: Pool, allowed: Mapping[str, str]) -> None:
    """Search mounts, variables and the API view of each container for what logs in to the API server, and show it there."""
    suspects = _suspects(cluster, stack, Declared(judge, allowed))
    if not suspects:
        judge.not_applicable("the stack has no workload that is not declared")
    with as_probe_error():
        keys = signing_keys(cluster.api, tuple(node.address for node in cluster.nodes if node.control_plane))
        spaces = [each["metadata"] for each in cluster.api.list("/api/v1/namespaces")]
    # In ours is what this run plants itself.
    everywhere = [each["name"] for each in spaces if OBJECT_LABEL not in (each.get("labels") or {})]
    search = _Search(judge, cluster, keys, tuple(dict.fromkeys((*tried_namespaces(stack), *everywhere))))
    for suspect, check in product(suspects, _CHECKS):
        judge.coverage.exists(**suspect.at(check))
    positives = _positives(search, pool) if suspects else ()
    cases: list[Case] = []
    claimed = {each: claimed_folders(cluster.api, each) for each in {one.spec.namespace for one in suspects}}
    with pool.lease_lots(*(each.spec for each in suspects)) as lots:
        for lot in lots:
            kept = {at: kept_on_the_node(suspects[at].spec, claimed[suspects[at].spec.namespace]) for at in lot}
            tasks = {at: [Tokens(node=places, pieces=True)] for at, places in kept.items()}
            for at, answer in ask_each(lot, tasks).items():
                suspect = suspects[at]
                case = judge.case(suspect.name)
                if isinstance(answer, ProbeError):
                    tell_absent(case, answer, tried=LOOKED, at=[suspect.at(each) for each in _CHECKS])
                    continue
                for what, evidence, succeeded in positives:
                    case.positive(f"before: {what}", evidence, succeeded=succeeded)
                cases.append(case)
                if kept[at]:
                    show_on_the_node(case, pool, cast("Pod", lot[at]))
                _attack(search, case, suspect, answer[0])
    # What was shown once is asked for anew: an API server that takes nobody's any more refuses whatever was found meanwhile.
    search.shown.clear()
    for what, evidence, succeeded in _positives(search, pool) if cases else ():
        for case in cases:
            case.positive(f"after: {what}", evidence, succeeded=succeeded)


_SAID = ("env", "envFrom", *SPOKEN)
"""What a container is given in its spec."""


@dataclass(frozen=True, slots=True)
class _Suspect:
    """One container of a workload, and its twin to be."""

    workload: Workload
    container: str
    spec: PodSpec
    containers: tuple[Mapping[str, Any], ...]
    """It, as its template and each live pod has it: a twin has none of its variables."""

    @property
    def name(self) -> str:
        """As a case is called."""
        return f"{self.workload}, container {self.container}"

    def at(self, check: str) -> dict[str, str]:
        """The combination that one check of it is."""
        return {"workload": str(self.workload), "container": self.container, "check": check}


def _suspects(cluster: Cluster, stack: Stack, declared: Declared) -> list[_Suspect]:
    """Each container that is not declared."""
    found = []
    for workload in stack.workloads():
        specs = [workload.template["spec"], *(pod["spec"] for pod in pods_of(cluster.api, workload))]
        everywhere = [one for spec in specs for kind in CONTAINERS for one in spec.get(kind) or ()]
        for name, template in container_templates(cluster, workload).items():
            own = template["spec"]["containers"][0]["name"]
            if declared.covers(*object_names(workload.kind, workload.namespace, workload.name, [f"/{own}"])):
                continue
            spec = PodSpec(workload.namespace, template=template, labels_matter=False, purpose="twin")
            alike = {repr([one.get(key) for key in _SAID]): one for one in everywhere if one["name"] == own}
            found.append(_Suspect(workload, name, spec, tuple(alike.values())))
    declared.tell_unused()
    return found


def _attack(search: _Search, case: Case, suspect: _Suspect, answer: Answer) -> None:
    """Show what is found in one container; that nothing was is the answer of a search that came to its end."""
    spec = suspect.spec
    template: Mapping[str, Any] = spec.template or {}
    found, unread = search.inside(spec.namespace, suspect.containers, answer)
    itself = account_user(spec.namespace, str(template["spec"].get("serviceAccountName") or "default"))
    if partly := answer.raw.get("partly"):
        search.judge.note(f"{case.name}: of the node's files in {', '.join(partly)} not all were read")
    whole = not answer.evidence.broken and answer.evidence.outcome in (Outcome.ABSENT, Outcome.DONE)
    case.attack(_MOUNTS, answer.evidence, through=False if whole else None, at=suspect.at(_MOUNTS))
    read = _told(f"can't be read: {', '.join(unread)}" if unread else "all were read", broken=bool(unread))
    case.attack(_VARIABLES, read, through=None if unread else False, at=suspect.at(_VARIABLES))
    _show(search, case, found, itself, spec)
    unknown = None
    for own in (each for each in found.credentials if _is_its_own(each, itself)):
        identity, told, taken = search.show(own)
        if taken:
            _look_at_the_api(search, case, identity, suspect)
            return
        unknown = told if taken is None else unknown
    if unknown is not None:
        case.attack(_API_VIEW, unknown, through=None, at=suspect.at(_API_VIEW))
    elif whole:
        search.judge.coverage.absent("it has no token that the API server takes", **suspect.at(_API_VIEW))
    else:
        case.attack(_API_VIEW, answer.evidence, through=None, at=suspect.at(_API_VIEW))


def _show(search: _Search, case: Case, found: Found, itself: str, spec: PodSpec | None = None) -> None:
    """Show each credential to the API server but the pod's own, and note what is for others."""
    if search.authority.unread and any("private key" in each for each in found.others):
        told = _told(f"can't be read: {', '.join(search.authority.unread)}", broken=True)
        case.attack("sign with a private key that is there", told, through=None)
    for other in found.others:
        search.judge.note(f"{case.name}: {other}: nobody was asked whether it is good")
    for each in found.credentials:
        if _is_its_own(each, itself):
            continue
        try:
            identity, answer, taken = search.show(each)
        except ProbeError as error:
            case.attack(f"log in with the {each.form} in {each.place}", _told(str(error), broken=True), through=None)
            continue
        whom = " as anybody" if taken and each.anybody else _as_whom(identity, taken)
        kept = kept_in(spec.namespace, spec.template or {}, each.place) if spec and taken else ()
        case.attack(f"log in with the {each.form} in {each.place}{whom}", answer, through=taken, cause=kept)


def _is_its_own(found: Credential, itself: str) -> bool:
    """Whether it is what kubelets mount for the pod's own account."""
    return found.user == itself and found.of_pod


def _as_whom(identity: Identity, taken: bool | None) -> str:  # noqa: FBT001 - of a credential
    if not taken:
        return ""
    try:
        everything = identity.may("*", "*", group="*").outcome is Outcome.DONE
    except ProbeError:
        everything = False  # that it logs in is known all the same
    return f" as {identity.user}" + (", who may do everything" if everything else "")


def _look_at_the_api(search: _Search, case: Case, identity: Identity, suspect: _Suspect) -> None:
    """The same in the Secrets and ConfigMaps that the API server shows to a pod's own token."""
    if identity.user not in search.views:
        search.views[identity.user] = _view(search, identity)
    found, unread = search.views[identity.user]
    for evidence in unread or (_told("all were read"),):
        case.attack(_API_VIEW, evidence, through=None if unread else False, at=suspect.at(_API_VIEW))
    _show(search, case, found, identity.user)


def _view(search: _Search, identity: Identity, *namespaces: str) -> tuple[Found, tuple[Evidence, ...]]:
    """What there is in the objects that an identity reads, and the answers by which it was not given what it may have."""
    pieces, unread = pieces_shown(search.cluster.api, identity, namespaces or search.namespaces)
    return found_credentials(pieces, search.authority), tuple(unread)


@dataclass(frozen=True, slots=True)
class _Planted:
    """A pod of ours that has credentials, and whose they are."""

    pod: Pod
    spec: PodSpec
    account: Identity
    user: str


def _plant(search: _Search, pool: Pool) -> _Planted:
    """A ConfigMap with a kubeconfig in a mount of a pod of ours, and a Secret with a token, twice in base64, in a variable.

    Both are of somebody who has no right. They go with our namespace.

    Raises:
        ProbeError: they could not be made, or the pod did not start.
    """
    namespace, name, account = pool.namespace("nobody"), f"k8ssec-planted-{secrets.token_hex(3)}", nobody(pool)
    with as_probe_error(creating=f"credentials of ours, {name}"):
        pem = signed_client_certificate(search.cluster.api, name)
        text = base64.b64encode(base64.b64encode(account.token.encode())).decode()
        search.cluster.api.create(
            _object("ConfigMap", namespace, name, {"config": kubeconfig(search.cluster.api, pem)})
        )
        search.cluster.api.create(_object("Secret", namespace, name, {"key": text}))
    template = {
        "metadata": {},
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True},
            "volumes": [{"name": "planted", "configMap": {"name": name}}],
            "containers": [
                {
                    "name": "probe",
                    "securityContext": container_security(),
                    "volumeMounts": [{"name": "planted", "mountPath": "/planted"}],
                    "env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": name, "key": "key"}}}],
                }
            ],
        },
    }
    spec = PodSpec(namespace, template=template, labels_matter=False, purpose="planted")
    return _Planted(pool.lease(spec)[0], spec, account, name)


def _positives(search: _Search, pool: Pool) -> tuple[tuple[str, Evidence, bool | None], ...]:
    """That the same search finds what was planted, in a mount, in a variable and by the API, and that it logs in.

    Raises:
        ProbeError: a probe broke.
        SabotageError: a right did not come into force.
    """
    planted = pool.remember("planted credentials", lambda: _plant(search, pool))
    (answer,) = planted.pod.ask(Tokens(pieces=True))
    template: Mapping[str, Any] = planted.spec.template or {}
    found, _ = search.inside(planted.spec.namespace, template["spec"]["containers"], answer)
    account = ServiceAccount(planted.spec.namespace, planted.account.user.rpartition(":")[2])
    with lent(search.cluster, account, rule("list", "configmaps"), namespace=planted.spec.namespace):
        seen, _ = _view(search, planted.account, planted.spec.namespace)
    return (
        _logs_in(search, "our kubeconfig in a mount", found, planted.user, answer.evidence),
        _logs_in(search, "our token, twice in base64, in a variable", found, planted.account.user, answer.evidence),
        _logs_in(search, "our kubeconfig in what the API server shows", seen, planted.user, answer.evidence),
    )


def _logs_in(
    search: _Search, what: str, found: Found, user: str, searched: Evidence
) -> tuple[str, Evidence, bool | None]:
    """Whether something of a user's was found, and logs in as him."""
    for each in found.credentials:
        if each.user == user:
            identity, answer, taken = search.show(each)
            return f"the same search finds {what}, and it logs in", answer, taken and identity.user == user
    return f"the same search finds {what}, and it logs in", searched, False


def _told(words: str, *, broken: bool = False) -> Evidence:
    outcome = Outcome.ERROR if broken else Outcome.DONE
    return Evidence(Source("client", "this process"), "search for credentials", outcome, words)


def _object(kind: str, namespace: str, name: str, texts: Mapping[str, str], **more: Any) -> Body:
    metadata = {"name": name, "namespace": namespace}
    held = {"stringData" if kind == "Secret" else "data": dict(texts)}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **held, **more}


_PKI, _KEYS = "/etc/kubernetes/pki", ("sa.key", "ca.key", "front-proxy-ca.key")
"""Where kubeadm keeps what the API server signs by."""


@sabotage(
    test_id_credentials,
    shows=("of a service account in variable K8SSEC_TOKEN as",),
    kills={"blast-radius": ("new edge secret-variable:*/k8ssec-endless-", "new edge secret-holds:*/k8ssec-endless-")},
)
def endless_token_in_variable(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """A workload of the stack has a token that never expires in a variable, from a Secret: that of its default account."""
    workload, name = deployment(cluster.api, stack), f"k8ssec-endless-{secrets.token_hex(3)}"
    manifest = _object("Secret", workload.namespace, name, {}, type="kubernetes.io/service-account-token")
    manifest["metadata"]["annotations"] = {"kubernetes.io/service-account.name": "default"}
    reference = {"name": name, "key": "token"}
    variable = {"name": "K8SSEC_TOKEN", "valueFrom": {"secretKeyRef": reference}}
    with cluster.api.applied(manifest), weakened(cluster.api, workload, variable=variable, level="") as proof:
        yield changing(proof, object_of(manifest))


@sabotage(
    test_id_credentials,
    shows=(
        "client certificate in /k8ssec-kube/config in base64 as *, who may do everything",
        "key that signs the tokens of all service accounts in /k8ssec-kube/sa.key as anybody",
        "key of the CA that signs client certificates in /k8ssec-kube/ca.key as anybody",
        "key of the front proxy's CA in /k8ssec-kube/front-proxy-ca.key as anybody",
    ),
    kills={"blast-radius": ("new edge credential-use:*-> identity:any user",)},
)
def admin_kubeconfig_in_config_map(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """A workload of the stack mounts a ConfigMap with an administrator's kubeconfig, and the keys that the API server signs by."""
    user = f"k8ssec-admin-{secrets.token_hex(3)}"
    pem = signed_client_certificate(cluster.api, user)
    plane = control_planes(cluster)[0]
    keys = {name: cluster.on_node(plane, ["cat", f"{_PKI}/{name}"]).stdout.decode() for name in _KEYS}
    for key in keys.values():
        register(key)
    workload = deployment(cluster.api, stack)
    held = _object("ConfigMap", workload.namespace, user, {"config": kubeconfig(cluster.api, pem), **keys})
    volume = ({"name": user, "configMap": {"name": user}}, "/k8ssec-kube")
    bound = binding(user, named_subject("User", user), "cluster-admin")
    with cluster.api.applied(bound, held), weakened(cluster.api, workload, volume=volume, level="") as proof:
        yield changing(proof, object_of(held))


@sabotage(test_id_credentials, shows=("of a service account in Secret kube-public/k8ssec-watched-",))
def token_that_a_watch_shows(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The stack's client of the API may watch Secrets where nothing of the stack is, and one of them holds a token."""
    client = next((each for each in stack.service_accounts if each.api_client), None)
    if client is None:
        raise SabotageError("stack: has no declared client of the API, so no pod of it has a token")
    name, place = f"k8ssec-watched-{secrets.token_hex(3)}", "kube-public"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": place}}
    with cluster.api.applied(account):
        held = _object("Secret", place, name, {"key": service_account(cluster, place, name).token})
        with (
            cluster.api.applied(held),
            granted(cluster, client, rule("watch", "secrets"), namespace=place) as proof,
        ):
            yield changing(proof, object_of(held))


@sabotage(
    test_id_credentials,
    shows=("in /k8ssec-packed/key in base64 in base64 as",),
    kills={"blast-radius": ("new edge credential-use:*:k8ssec-packed-",)},
)
def packed_token_in_secret(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """A workload of the stack mounts a Secret with the token of another account, twice in base64."""
    workload = deployment(cluster.api, stack)
    name = f"k8ssec-packed-{secrets.token_hex(3)}"
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": workload.namespace},
    }
    volume = ({"name": name, "secret": {"secretName": name}}, "/k8ssec-packed")
    with cluster.api.applied(account):
        token = service_account(cluster, workload.namespace, name).token.encode()
        text = base64.encodebytes(base64.b64encode(token)).decode()
        held = _object("Secret", workload.namespace, name, {"key": text})
        with cluster.api.applied(held), weakened(cluster.api, workload, volume=volume, level="") as proof:
            yield changing(proof, object_of(held))
