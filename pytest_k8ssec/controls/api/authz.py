"""The API server gives an account without rights nothing.

One binding to system:authenticated or system:serviceaccounts, or an authorization mode of AlwaysAllow, makes every token of
the cluster an administrator's, and every pod that mounts one a way in. A service account that was made on the spot, and
that nobody gave any right, tries to list what is worth stealing (names only, one of each kind), to read and delete what
does not exist, and to create what would give it more rights; writes are dry runs. And it tries whatever leads further by the table of
rights that rbac-escalation asks by (making pods, roles and bindings, impersonation, tokens, proxies, what undoes a defence), in
each namespace and in the cluster: what the API server's own list of its rules may grant, and one of the rest, which checks
that list. Namespaces with the same list are one class, of which two are tried. An authorised request for a name that
does not exist is answered 404, a refused one 403 in the authorizer's own words, so nothing has to be read to know. A 403 of
admission (a webhook, a policy) comes after the authorizer let the request through, and is inconclusive.

Where there are several API servers, each is asked by itself: the mode is a flag of each. Our own credentials show this at the same moment: they get 404. The API server shows that the account's token is valid:
it names the token's owner.

Remediation: set `--authorization-mode=Node,RBAC`, and remove what binds roles to groups that everybody is in (`kubectl get
clusterrolebindings,rolebindings -A -o wide | grep -E 'system:(authenticated|serviceaccounts)'`; Kubernetes' own
system:basic-user, system:discovery, system:public-info-viewer and system:service-account-issuer-discovery stay).

```yaml
# kind.yaml
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    apiServer:
      extraArgs:
        authorization-mode: Node,RBAC
```

Sources: CIS Kubernetes Benchmark 1.2.6, 1.2.8; https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any
from zlib import crc32

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.rbac_objects import RBAC, binding, named_subject, rule
from pytest_k8ssec.controls.api import CLUSTER, ways_up
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.facts.rbac_rights import rule_set
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.escalation import WayUp, by_change, has_the_right
from pytest_k8ssec.probes.identities import Identity, RbacRules, api_evidence, nobody
from pytest_k8ssec.probes.nodes_in_reach import servers_to_judge
from pytest_k8ssec.probes.rights_table import asked_way, by_names, gets_through, right_of, try_ways
from pytest_k8ssec.sabotages.grants import everybody_may
from pytest_k8ssec.sabotages.proofs import changing, object_of
from pytest_k8ssec.stack import ServiceAccount, Stack
from pytest_k8ssec.verdict import Case, Judge

_NAME = "k8ssec-nope"
_NAMES_ONLY = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
_SECRET = f"/api/v1/namespaces/kube-system/secrets/{_NAME}"


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One request that needs a right."""

    what: str
    method: str
    path: str
    body: dict[str, Any] | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def by(self, identity: Identity) -> Evidence:
        """Send it in somebody's name. Raises ProbeError."""
        return identity.attempt(
            self.method, self.path, body=self.body, params=self.params, headers=self.headers, what=self.what
        )


def _lists(kind: str, path: str) -> _Attempt:
    return _Attempt(f"list {kind} (names, one)", "GET", path, params={"limit": "1"}, headers=_NAMES_ONLY)


def _writes(what: str, method: str, path: str, body: dict[str, Any] | None = None) -> _Attempt:
    return _Attempt(f"{what} (dry run)", method, path, body, params={"dryRun": "All"})


def _attempts(user: str) -> tuple[_Attempt, ...]:
    """What an account without rights must not be able to do."""
    bound = binding(_NAME, named_subject("User", user), "cluster-admin")
    return (
        _lists("Secrets", "/api/v1/secrets"),
        _lists("ConfigMaps", "/api/v1/configmaps"),
        _lists("pods", "/api/v1/pods"),
        _lists("nodes", "/api/v1/nodes"),
        _Attempt("read a Secret that does not exist", "GET", _SECRET),
        _writes("delete a Secret that does not exist", "DELETE", _SECRET),
        _writes("create a namespace", "POST", "/api/v1/namespaces", {"metadata": {"name": _NAME}}),
        _writes("bind itself to cluster-admin", "POST", f"/apis/{RBAC}/v1/clusterrolebindings", bound),
    )


@control(
    severity=Severity.CRITICAL,
    subject="cluster",
    cis=("1.2.6", "1.2.8"),
    owasp=("K03:2022", "K02:2025"),
    others=("C-0088", "C-0118", "C-0265", "KHV007"),
    apart=True,
    dimensions=("server", "place", "attempt"),
)
def test_api_authz(
    judge: Judge,
    cluster: Cluster,
    deployed: Stack | None,  # noqa: ARG001 - what a stack binds to everybody is judged too, so it has to be there
    pool: Pool,
) -> None:
    """Let an account without rights list, read, delete, create and climb, at each API server."""
    stranger, servers = nobody(pool), servers_to_judge(judge, cluster)
    attempts = _attempts(stranger.user)
    namespaces = [each["metadata"]["name"] for each in cluster.api.list("/api/v1/namespaces")]
    for server, attempt in product(servers, attempts):
        judge.coverage.exists(server=server.name, place=CLUSTER, attempt=attempt.what)
    for server in servers:
        there = replace(stranger, api=server.api)
        case = judge.case(f"service account without rights at {server.api.server}")
        known = there.who_am_i()
        case.positive("its token is valid", known, succeeded=there.is_itself(known))
        allowed = api_evidence("", f"GET {_SECRET} with our own credentials", server.api.request("GET", _SECRET))
        case.positive("who may read Secrets is told 404", allowed, succeeded=allowed.status == 404)
        for attempt in attempts:
            answer = attempt.by(there)
            at = {"server": server.name, "place": CLUSTER, "attempt": attempt.what}
            case.attack(attempt.what, answer, through=has_the_right(answer), at=at)
        climber = _Climber(judge, case, there, server.name, cluster.probe_image)
        rules = {name: there.rules(name) for name in namespaces}
        chosen = climber.exist(rules)
        for place in chosen:
            climber.climb(place, rules[place or next(iter(rules))])


@dataclass(frozen=True, slots=True)
class _Climber:
    """An account without rights, that tries whatever leads further at one API server."""

    judge: Judge
    case: Case
    who: Identity
    server: str
    image: str

    def ways(self, place: str) -> list[WayUp]:
        """All that there is to try in a namespace, or ("") in the cluster."""
        _, namespace, name = self.who.user.rsplit(":", 2)
        return ways_up(place, ServiceAccount(namespace, name), self.image)

    def at(self, place: str, way: WayUp) -> dict[str, str]:
        """The combination that one way is."""
        return {"server": self.server, "place": place or CLUSTER, "attempt": f"way up: {way.words}"}

    def exist(self, rules: Mapping[str, RbacRules]) -> list[str]:
        """Say what there is to try by its rules in each namespace; of each class of places, some are to be tried: those."""
        classes: dict[object, list[str]] = {}
        for place, told in rules.items():
            known = told.complete and told.evidence.status == 201
            classes.setdefault(rule_set(told.rules) if known else place, []).append(place)
        for number, places in enumerate(classes.values()):
            for place in places:
                for way in self.ways(place):
                    alike = f"{self.server}, rules {number}: {way.words}"
                    self.judge.coverage.exists(alike=alike, **self.at(place, way))
        for way in self.ways(""):
            self.judge.coverage.exists(**self.at("", way))
        # What is tried in one namespace only is so where it is; of the rest of a class, one more is by chance.
        chosen = {place for place in rules if place == "kube-system"}
        for places in classes.values():
            chosen |= {places[0], places[crc32("".join(places).encode()) % len(places)]}
        return [*(place for place in rules if place in chosen), ""]

    def climb(self, place: str, rules: RbacRules) -> None:
        """Try what there is in one place. Raises ProbeError."""
        where = f"in {place}" if place else "in the cluster"
        ways = self.ways(place)
        answers, rest = try_ways(
            ways, rules, f"{self.server} {place}", lambda way: asked_way(self.who, way, place, rules, self._send)
        )
        refused = [way for way in ways if way in rest or gets_through(answers[way.words]) is False]
        for way in (each for each in ways if each not in refused):
            answer = answers[way.words]
            self.case.attack(f"{way.words}, {where}", answer, through=gets_through(answer), at=self.at(place, way))
        if refused:
            tried = [answers[way.words] for way in refused if way.words in answers]
            detail = f"{len(tried)} of them were tried and refused, {len(rest)} its rules do not grant"
            told = replace((tried or [rules.evidence])[-1], detail=detail)
            at = [self.at(place, way) for way in refused]
            self.case.attack(f"{len(refused)} ways up {where}", told, through=False, at=at)
        for way in refused:
            self._otherwise(way, place, rules, where)

    def _send(self, way: WayUp) -> Evidence:
        return self.who.attempt(
            way.method, way.path, body=way.body, params=way.params, headers=way.headers, what=way.words
        )

    def _otherwise(self, way: WayUp, place: str, rules: RbacRules, where: str) -> None:
        """What was refused on an object of any name, or by a new object, may be granted on one, or by the change of one."""
        verb, resource, group = right_of(way.rules[-1])
        names = rules.names(verb, resource, group=group)
        listed = names or not rules.complete or rules.grants(verb, resource, group=group)
        if listed and (change := by_change(self.who, way, place, rules)):
            self.case.attack(f"{way.words}, by changing what is there, {where}", change, through=True)
        for name in names if not way.leads or by_names(way) else ():
            told = self.who.may(verb, resource, group=group, namespace=place, name=name)
            self.case.attack(f"{way.words}, {name} by name, {where}", told, through=told.outcome is Outcome.DONE)


@sabotage(
    test_api_authz,
    kills={
        "adm-psa": ("lower the level of",),
        "blast-radius": (),
        "kubelet-authz": (),
        "node-restriction": (),
        "rbac-cluster-admin": (),
        "rbac-escalation": (),
        "rbac-nodes-proxy": (),
        "rbac-secrets-read": (),
    },
)
def everybody_is_admin(cluster: Cluster) -> Iterator[Evidence]:
    """The group that everybody with a token is in is bound to cluster-admin."""
    everything, everybody = rule("*", "*", group="*"), named_subject("Group", "system:authenticated")
    everybody_may(cluster, everything, no_more=True)  # else nobody could tell when it is undone
    with cluster.api.applied(binding("k8ssec-everybody-is-admin", everybody, "cluster-admin")):
        yield everybody_may(cluster, everything)
    everybody_may(cluster, everything, no_more=True)


@sabotage(
    test_api_authz,
    shows=("undo the limits of a ResourceQuota (patch resourcequotas)",),
    kills={
        "rbac-escalation": ["undo the limits of a ResourceQuota (patch resourcequotas)"],
        "blast-radius": ["new edge defence-undo:*ResourceQuota"],
    },
)
def everybody_undoes_quotas(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The group that every service account is in may patch the quotas of one namespace of the stack."""
    name, place = f"k8ssec-undo-{secrets.token_hex(3)}", stack.pod_namespaces[-1]
    right = rule("patch", "resourcequotas")
    role = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": place},
        "rules": [right],
    }
    everybody = named_subject("Group", "system:serviceaccounts")
    bound = binding(name, everybody, name, kind="Role", namespace=place)
    with cluster.api.applied(role, bound):
        yield changing(everybody_may(cluster, right, namespace=place), object_of(role), object_of(bound))
    everybody_may(cluster, right, namespace=place, no_more=True)
