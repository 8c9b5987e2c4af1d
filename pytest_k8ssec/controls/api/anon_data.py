"""The API server gives no data to anybody without credentials.

Anonymous requests are let in by default, for health checks, as the user system:anonymous. One binding of a role to
that user, or to the group system:unauthenticated, gives the cluster to everybody who can reach the API server: such
bindings are made by hand, by old installers and by charts. Lists of Secrets, nodes, pods and ConfigMaps, metrics, node
logs and profiles are asked for without credentials, from a pod and from outside, at each address of each control-plane
node. Of Secrets, ConfigMaps and pods each verb that answers with an object is tried in each namespace too, as a binding may
be in one only: list and watch; get, update, delete, and a patch of nothing, of one that does not exist, where 404 means that
anybody might; get, patch, list and watch of those that a binding names; the deletion of all of a name that none has; and
a new one. What writes is a dry run, and only metadata is asked for; no body is read but what the API server says to such a
write, as 403 is a refusal in the authorizer's own words only. And whatever leads further by the table of rights that
rbac-escalation asks by (making pods, roles and bindings, impersonation, tokens, proxies, what undoes a defence) is tried in each
namespace and in the cluster, as far as RBAC's objects give it to anybody, and one of the rest, which checks these. What can only
be asked for, or is given on single objects, is a breach where these objects give it and anonymous requests are let in. The ConfigMap cluster-info of kube-public is
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
from urllib.parse import urlencode
from zlib import crc32

from pytest_k8ssec.agent.tasks import Http
from pytest_k8ssec.agent.vantage import Answer, NetworkVantage, Vantage, ask
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.headers import MERGE_PATCH, METADATA_OF_MANY, METADATA_OF_ONE
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.clusters.ports import API_SERVER_PORT
from pytest_k8ssec.clusters.rbac_objects import RBAC, binding, named_subject, rule
from pytest_k8ssec.controls.api import CLUSTER, granted_otherwise, rules_of, ways_up
from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.facts.rbac_rights import RuleSet, granted_rights, named_by
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.escalation import WayUp
from pytest_k8ssec.probes.identities import NOBODY, RbacRules, api_evidence, auditor
from pytest_k8ssec.probes.podsecurity import offered_pod
from pytest_k8ssec.probes.rights_table import gets_through, may_be_granted
from pytest_k8ssec.sabotages.proofs import unset
from pytest_k8ssec.stack import ServiceAccount, Stack
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

    @property
    def admitted(self) -> bool:
        """Whether admission is asked about it, so that only the words of a 403 tell: not about what only reads."""
        return self.method != "GET" or "Upgrade" in self.headers

    def of(self, address: str) -> Http:
        """As a task."""
        keep = _KEEP if self.admitted else 0
        return Http(
            address, API_SERVER_PORT, self.path, method=self.method, body=self.body, headers=self.headers, keep=keep, timeout=_TIMEOUT,
        )  # fmt: skip

    def told(self, answer: Answer) -> tuple[Evidence, bool | None]:
        """What came, with what the API server said to a write, and whether it gave anything."""
        told = answer.evidence
        if self.admitted:
            told = replace(told, detail=_message(str(answer.raw.get("body", "")))[:300])
        elif told.status == 403:
            return told, False
        if told.status == 401:
            return told, False
        if told.status == 404 and not self.made_up:
            return told, None
        return told, gets_through(told)


@dataclass(frozen=True, slots=True)
class _Climb:
    """What leads further in one place, a namespace or ("") the cluster, for who shows no credentials."""

    place: str
    rules: RbacRules
    """What RBAC's objects give anybody there."""
    ways: Sequence[WayUp]

    def about(self, way: WayUp) -> tuple[str, str, str]:
        """Verb, what for, and place of one way."""
        return way.right[0], f"way up: {way.words}", self.place or CLUSTER

    def tried(self) -> dict[str, WayUp]:
        """What RBAC's objects may give, by its words, and one of the rest."""
        by_request = [way for way in self.ways if way.path]
        some = [way for way in by_request if may_be_granted(way, self.rules)]
        rest = [way for way in by_request if way not in some]
        some += rest[crc32(self.place.encode()) % len(rest) :][:1] if rest else []
        return {way.words: way for way in some}

    def ask(self, way: WayUp) -> _Ask:
        """The request of one way."""
        query = f"?{urlencode(way.params)}" if way.params else ""
        body = "" if way.body is None else json.dumps(way.body)
        headers = {**(_JSON if body else {}), **METADATA_OF_ONE, **way.headers}
        words = f"{way.words}, in {self.place or 'the cluster'}"
        return _Ask(words, f"{way.path}{query}", self.about(way), way.method, body, headers, made_up=True)


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
    unheard = Evidence(Source("client", "this process"), "list RBAC's objects", Outcome.DONE)
    somebody = ServiceAccount("default", NOBODY)
    climbs = [
        _Climb(
            place,
            rules_of(granted.of_anonymous(place) if granted else frozenset(), unheard),
            ways_up(place, somebody, cluster.probe_image),
        )
        for place in (*namespaces, "")
    ]
    ways = [each.about(way) for each in climbs for way in each.ways]
    for source, (node, address), about in product(sources, doors, ways):
        judge.coverage.exists(**_at(source, node, address, about))
    asked = [_Ask(path, path, ("get", path.partition("?")[0], "")) for path in _DATA]
    for name in namespaces:
        asked += _in(name, cluster.probe_image, rules[name])
    for (node, address), source in product(doors, sources):
        case = judge.case(f"API server on {node.name} ({address}) from {source.source.kind}")
        alive = _ask_all(case, source, node, address, asked, bearer)
        _climb(case, source, node, address, climbs)
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


def _climb(case: Case, source: Vantage, node: Node, address: str, climbs: Sequence[_Climb]) -> None:
    """Try what leads further at one address from one place; where one of what nobody was given is not refused, all is tried."""
    tried = [(climb, way) for climb in climbs for way in climb.tried().values()]
    answers = ask(source, [climb.ask(way).of(address) for climb, way in tried])
    told = {
        (climb.place, way.words): climb.ask(way).told(answer)
        for (climb, way), answer in zip(tried, answers, strict=True)
    }
    let_in = any(evidence.status not in (401, None) for evidence, _ in told.values())
    for climb in climbs:
        known = {way.words: told[climb.place, way.words] for way in climb.tried().values()}
        rest = [way for way in climb.ways if way.path and way.words not in known]
        if any(
            known[way.words][1] is not False
            for way in climb.ways
            if way.words in known and not may_be_granted(way, climb.rules)
        ):
            more = ask(source, [climb.ask(way).of(address) for way in rest])
            known |= {way.words: climb.ask(way).told(answer) for way, answer in zip(rest, more, strict=True)}
            rest = []
        _record(case, climb, known, lambda about: _at(source, node, address, about), let_in=let_in)


def _record(
    case: Case,
    climb: _Climb,
    known: Mapping[str, tuple[Evidence, bool | None]],
    at: Callable[[tuple[str, str, str]], dict[str, Any]],
    *,
    let_in: bool,
) -> None:
    """Record one place: what was refused, and what RBAC's objects give nobody, is one record.

    Args:
        known: what was tried, by its words.
        let_in: whether requests without credentials get as far as to the authorizer.
    """
    where = f"in {climb.place or 'the cluster'}"
    evidence = next(iter(known.values()))[0]
    refused = []
    for way in climb.ways:
        told, through = known.get(way.words, (evidence, False))
        otherwise = granted_otherwise(way, climb.rules)
        if through is False and otherwise and let_in:
            told, through = replace(told, detail=f"RBAC's objects give it to anybody {otherwise}"), True
        if through is False:
            refused.append(way)
        else:
            case.attack(f"{way.words}, {where}", told, through=through, at=at(climb.about(way)))
    if refused:
        detail = f"{len(known)} ways were tried; the others RBAC's objects give nobody without credentials"
        told = replace(evidence, detail=detail)
        case.attack(
            f"{len(refused)} ways up {where}", told, through=False, at=[at(climb.about(way)) for way in refused]
        )


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


_IN = "default"


def _anonymous_may_a_little(cluster: Cluster) -> Evidence:
    """Bind a role that gives one Secret by its name, and what undoes a defence; show that role, binding and flag are there."""
    name = f"k8ssec-anonymous-{secrets.token_hex(3)}"
    role = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": _IN},
        "rules": [
            {**rule("get", "secrets"), "resourceNames": [name]},
            rule("delete", "networkpolicies", group="networking.k8s.io"),
        ],
    }
    bound = binding(name, named_subject("User", "system:anonymous"), name, kind="Role", namespace=_IN)
    cluster.api.create(role)
    return _bound_and_let_in(cluster, bound, "get on one Secret, and delete on NetworkPolicies,")


@sabotage(
    test_api_anon_data,
    shows=(
        f"get /api/v1/namespaces/{_IN}/secrets/k8ssec-anonymous-",
        f"undo what NetworkPolicies keep out (delete networkpolicies), in {_IN}",
    ),
    kills=("api-anon-minimal",),
    proof=_anonymous_may_a_little,
)
def anonymous_gets_one_secret(config: KindConfig) -> None:
    """Anonymous requests are let in everywhere, and may get one Secret by its name, and delete one namespace's policies."""
    config.api_server(authentication_config=None)
