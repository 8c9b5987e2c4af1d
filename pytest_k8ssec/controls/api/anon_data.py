"""The API server gives no data to anybody without credentials.

Anonymous requests are let in by default, for health checks, as the user system:anonymous. One binding of a role to
that user, or to the group system:unauthenticated, gives the cluster to everybody who can reach the API server: such
bindings are made by hand, by old installers and by charts. Lists of Secrets, nodes, pods and ConfigMaps, metrics, node
logs and profiles are asked for without credentials, from a pod and from outside, at each address of each control-plane
node. Of Secrets, ConfigMaps and pods each verb that answers with an object is tried in each namespace too, as a binding may
be in one only: list and watch; get, update, delete, and a patch of nothing, of one that does not exist, where 404 means that
anybody might; get, patch, list and watch of those that a binding names; the deletion of all of a name that none has; and
a new one. What writes is a dry run, and only metadata is asked for; no body is read but what the API server says to such a
write, as 403 is a refusal in the authorizer's own words only. The ConfigMap cluster-info of kube-public is
api-anon-minimal's.

Remediation: remove what binds roles to system:anonymous and system:unauthenticated (`kubectl get
clusterrolebindings,rolebindings -A -o wide | grep -E 'system:(anonymous|unauthenticated)'`), and let anonymous requests
only to health endpoints, by `anonymous.conditions` in an AuthenticationConfiguration.

```yaml
# kind.yaml
nodes:
  - role: control-plane
    extraMounts: # into a folder that kubeadm mounts into the API server
      - hostPath: authentication.yaml
        containerPath: /etc/kubernetes/pki/authentication.yaml
        readOnly: true
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    apiServer:
      extraArgs:
        authentication-config: /etc/kubernetes/pki/authentication.yaml
---
# authentication.yaml, beside kind.yaml
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions:
    - path: /livez
    - path: /readyz
    - path: /healthz
    - path: /api/v1/namespaces/kube-public/configmaps/cluster-info # nodes that join read it
```

Sources: CIS Kubernetes Benchmark 1.2.1;
https://kubernetes.io/docs/reference/access-authn-authz/authentication/#anonymous-requests
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from pytest_k8ssec.agent.tasks import Http
from pytest_k8ssec.agent.vantage import Answer, NetworkVantage, Vantage, ask
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.headers import MERGE_PATCH, METADATA_OF_MANY, METADATA_OF_ONE
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.clusters.ports import API_SERVER_PORT
from pytest_k8ssec.clusters.rbac_objects import RBAC, binding, named_subject, rule
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.facts.rbac_rights import RuleSet, granted_rights, named_by
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.escalation import has_the_right
from pytest_k8ssec.probes.identities import NOBODY, api_evidence, auditor
from pytest_k8ssec.probes.podsecurity import offered_pod
from pytest_k8ssec.sabotages.proofs import unset
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import Case, Judge

_DATA = (
    "/api/v1/secrets?limit=1",
    "/api/v1/nodes?limit=1",
    "/api/v1/pods?limit=1",
    "/api/v1/configmaps?limit=1",
    "/metrics",
    "/logs/",
    "/debug/pprof/",
)
_IN_EACH_NAMESPACE = ("secrets", "configmaps", "pods")
_FOR_WHO_JOINS = "kube-public", "configmaps", "cluster-info"
"""What kubeadm gives everybody on purpose: https://kubernetes.io/docs/reference/setup-tools/kubeadm/implementation-details/"""
_JSON = {"Content-Type": "application/json"}
_WATCH = "watch=true&timeoutSeconds=1"
_ONLY = "fieldSelector=metadata.name%3D"
_KEEP = 2000
"""Bytes of what is said to a write."""
_TIMEOUT = 5.0
"""Seconds for an answer: there are many requests at a time, and a pod of ours has half a processor for them."""


_MADE: Mapping[str, Body] = {
    "secrets": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NOBODY}},
    "configmaps": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NOBODY}},
}
_VERBS = ("list", "watch", "get", "update", "patch", "delete", "deletecollection", "create")
_BY_NAME = ("get", "patch", "update", "delete", "list", "watch")


@dataclass(frozen=True, slots=True)
class _Ask:
    """One request without credentials."""

    words: str
    path: str
    about: tuple[str, str, str]
    """Verb, resource or path, and namespace, "" for all."""
    method: str = "GET"
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    made_up: bool = False
    """Whether it is about one that does not exist: then 404 means that it was let in."""

    def of(self, address: str) -> Http:
        """As a task."""
        keep = 0 if self.method == "GET" else _KEEP
        return Http(
            address, API_SERVER_PORT, self.path, method=self.method, body=self.body, headers=self.headers, keep=keep, timeout=_TIMEOUT,
        )  # fmt: skip

    def told(self, answer: Answer) -> tuple[Evidence, bool | None]:
        """What came, with what the API server said to a write, and whether it gave anything."""
        told = answer.evidence
        if self.method != "GET":
            told = replace(told, detail=_message(str(answer.raw.get("body", "")))[:300])
        elif told.status == 403:
            return told, False  # admission is not asked about what only reads
        if told.status == 401:
            return told, False
        if told.status == 404 and not self.made_up:
            return told, None
        return told, has_the_right(told)


def _message(body: str) -> str:
    try:
        status = json.loads(body)
    except ValueError:
        return ""
    return str(status.get("message", "")) if isinstance(status, dict) and status.get("kind") == "Status" else ""


@control(
    severity=Severity.CRITICAL,
    subject="cluster",
    cis=("1.2.1",),
    others=("KHV005", "C-0262", "KSV-0122"),
    apart=True,
    dimensions=("source", "node", "address", "verb", "resource", "namespace"),
)
def test_api_anon_data(
    judge: Judge,
    cluster: Cluster,
    deployed: Stack | None,  # noqa: ARG001 - what a stack binds to system:anonymous is judged too, so it has to be there
    pool: Pool,
    attacker: Callable[..., Pod],
    outside: NetworkVantage,
) -> None:
    """Ask each API server for data without credentials, from a pod and from beside the nodes."""
    bearer = auditor(pool).bearer
    namespaces = [each["metadata"]["name"] for each in cluster.api.list("/api/v1/namespaces")]
    granted = granted_rights(cluster.api)
    rules = {name: granted.of_anonymous(name) if granted else frozenset() for name in namespaces}
    doors = [(node, address) for node in cluster.nodes if node.control_plane for address in node.addresses]
    sources: list[Vantage] = [attacker().vantage, outside]
    for source, (node, address), about in product(sources, doors, [*_there_is(rules)]):
        judge.coverage.exists(**_at(source, node, address, about))
    asked = [_Ask(path, path, ("get", path.partition("?")[0], "")) for path in _DATA]
    for name in namespaces:
        asked += _in(name, cluster.probe_image, rules[name])
    for (node, address), source in product(doors, sources):
        case = judge.case(f"API server on {node.name} ({address}) from {source.source.kind}")
        alive = _ask_all(case, source, node, address, asked, bearer)
        if granted is None:
            unread = replace(alive, detail="RBAC's objects, which name single objects, can't be listed")
            case.attack("whatever a binding gives by name", unread, through=None)


def _ask_all(
    case: Case, source: Vantage, node: Node, address: str, asked: Sequence[_Ask], bearer: dict[str, str]
) -> Evidence:
    """Ask one API server at one address from one place. Returns the evidence that it answers."""
    health = Http(address, API_SERVER_PORT, "/livez", timeout=_TIMEOUT)
    known = replace(health, path=_DATA[1], headers=bearer, identity="as our auditor")
    alive, authorised, *answers = ask(source, [health, known, *(each.of(address) for each in asked)])
    case.positive("it answers", alive.evidence, succeeded=alive.evidence.outcome is Outcome.HTTP)
    reached = authorised.evidence.status == 200
    case.positive("an authorised client gets data from the same place", authorised.evidence, succeeded=reached)
    for each, answer in zip(asked, answers, strict=True):
        evidence, through = each.told(answer)
        case.attack(each.words, evidence, through=through, at=_at(source, node, address, each.about))
    return alive.evidence


def _at(source: Vantage, node: Node, address: str, about: tuple[str, str, str]) -> dict[str, Any]:
    where = {"source": source.source.place, "node": node.name, "address": address}
    return where | dict(zip(("verb", "resource", "namespace"), about, strict=True))


def _there_is(rules: Mapping[str, RuleSet]) -> Iterator[tuple[str, str, str]]:
    """Verbs, resources and namespaces that there are to try, by what RBAC says of each namespace."""
    yield from (("get", path.partition("?")[0], "") for path in _DATA)
    for namespace, of_it in rules.items():
        yield from ((verb, kind, namespace) for kind in _IN_EACH_NAMESPACE for verb in _VERBS)
        yield from ((verb, f"{kind}/{name}", namespace) for verb, kind, name in _named(namespace, of_it))


def _named(namespace: str, rules: RuleSet) -> Iterator[tuple[str, str, str]]:
    """Verb, resource and name of the objects that rules name; but for what is given to everybody on purpose."""
    for kind, verb in product(_IN_EACH_NAMESPACE, _BY_NAME):
        for name in named_by(rules, verb, kind):
            if (namespace, kind, name) != _FOR_WHO_JOINS:
                yield verb, kind, name


def _in(namespace: str, image: str, rules: RuleSet) -> Iterator[_Ask]:
    """What is asked for in one namespace: without a name, by one that does not exist, and by those that rules name."""
    made = {**_MADE, "pods": {**offered_pod(image), "metadata": {"name": NOBODY}}}
    for kind in _IN_EACH_NAMESPACE:
        path, one = f"/api/v1/namespaces/{namespace}/{kind}", json.dumps(made[kind])
        yield _Ask(f"{path}?limit=1", f"{path}?limit=1", ("list", kind, namespace))
        yield _Ask(f"watch {path}", f"{path}?{_WATCH}&{_ONLY}{NOBODY}", ("watch", kind, namespace))
        yield _get(path, NOBODY, ("get", kind, namespace))
        yield _write("patch", "PATCH", path, NOBODY, ("patch", kind, namespace))
        yield _write("update", "PUT", path, NOBODY, ("update", kind, namespace), one)
        yield _write("delete", "DELETE", path, NOBODY, ("delete", kind, namespace), "")
        all_of_it = f"{path}?dryRun=All&{_ONLY}{NOBODY}"
        about = ("deletecollection", kind, namespace)
        yield _Ask(f"deletecollection {path}", all_of_it, about, "DELETE", headers=METADATA_OF_MANY)
        headers = {**_JSON, **METADATA_OF_ONE}
        yield _Ask(f"create {path}", f"{path}?dryRun=All", ("create", kind, namespace), "POST", one, headers)
    for verb, kind, name in _named(namespace, rules):
        named = {**made[kind], "metadata": {"name": name}}
        about = (verb, f"{kind}/{name}", namespace)
        yield _of_one(verb, f"/api/v1/namespaces/{namespace}/{kind}", name, about, json.dumps(named))


_WRITES = {"patch": "PATCH", "update": "PUT", "delete": "DELETE"}


def _of_one(verb: str, path: str, name: str, about: tuple[str, str, str], whole: str) -> _Ask:
    """One object by its name, in the way that a verb gives it.

    Args:
        whole: what it would be, for an update.
    """
    if verb in _WRITES:
        body = {"update": whole, "delete": ""}.get(verb, "{}")
        return _write(verb, _WRITES[verb], path, name, about, body)
    if verb == "get":
        return _get(path, name, about)
    return _Ask(f"{verb} {path}/{name}", f"{path}?{_WATCH if verb == 'watch' else 'limit=1'}&{_ONLY}{name}", about)


def _get(path: str, name: str, about: tuple[str, str, str]) -> _Ask:
    return _Ask(f"get {path}/{name}", f"{path}/{name}", about, made_up=True)


def _write(verb: str, method: str, path: str, name: str, about: tuple[str, str, str], body: str = "{}") -> _Ask:
    """A dry run of a change to one object; the patch is one of nothing."""
    headers = {**(MERGE_PATCH if method == "PATCH" else _JSON), **METADATA_OF_ONE}
    return _Ask(f"{verb} {path}/{name}", f"{path}/{name}?dryRun=All", about, method, body, headers, made_up=True)


def _bound_and_let_in(cluster: Cluster, bound: Body, what: str) -> Evidence:
    """Create a binding for system:anonymous; the proof that it is there, and that anonymous requests are let in."""
    cluster.api.create(bound)
    read = cluster.api.request("GET", cluster.api.path_of(bound))
    flags = unset(cluster, "kube-apiserver", "authentication-config")
    return api_evidence("", f"{flags.detail}; read the binding of {what} to system:anonymous", read)


def _anonymous_may_view(cluster: Cluster) -> Evidence:
    """Bind the role, as the sabotage's second half that no configuration can say, and show that both are there."""
    bound = binding("k8ssec-anonymous-view", named_subject("User", "system:anonymous"), "view")
    return _bound_and_let_in(cluster, bound, "view")


@sabotage(test_api_anon_data, kills=("api-anon-minimal",), proof=_anonymous_may_view)
def anonymous_view(config: KindConfig) -> None:
    """Anonymous requests are let in everywhere, and system:anonymous is bound to `view`; either alone changes nothing."""
    config.api_server(authentication_config=None)


def _anonymous_may_get_one(cluster: Cluster) -> Evidence:
    """Bind a role that gives one Secret by its name, and show that role, binding and flag are there."""
    name, place = f"k8ssec-anonymous-{secrets.token_hex(3)}", "default"
    role = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": place},
        "rules": [{**rule("get", "secrets"), "resourceNames": [name]}],
    }
    bound = binding(name, named_subject("User", "system:anonymous"), name, kind="Role", namespace=place)
    cluster.api.create(role)
    return _bound_and_let_in(cluster, bound, "get on one Secret")


@sabotage(test_api_anon_data, kills=("api-anon-minimal",), proof=_anonymous_may_get_one)
def anonymous_gets_one_secret(config: KindConfig) -> None:
    """Anonymous requests are let in everywhere, and system:anonymous may get one Secret by its name."""
    config.api_server(authentication_config=None)
