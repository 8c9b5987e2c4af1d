"""Groups 2 to 4 of the walk: what an identity may do at the API server, each right shown by a request that changes nothing.

The API server lists an identity's rights. A listed right is tried; a right that is not listed is refuted, if the list
is complete. So the many identities without rights cost a handful of requests.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from pytest_k8ssec.attack.graph import CLUSTER_ADMIN, Edge, Kind, Status, Vertex
from pytest_k8ssec.attack.kinds import KINDS, EdgeKind
from pytest_k8ssec.attack.meter import Meter
from pytest_k8ssec.attack.placement import Scene
from pytest_k8ssec.clusters.headers import MERGE_PATCH, METADATA_OF_MANY, METADATA_OF_ONE
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.probes import podsecurity
from pytest_k8ssec.probes.admission import admitted
from pytest_k8ssec.probes.escalation import (
    OF_EVERY_CLUSTER,
    WayUp,
    by_change,
    has_the_right,
    in_cluster,
    in_namespace,
    to_cluster_admin,
)
from pytest_k8ssec.probes.identities import NOBODY, Identity, RbacRules, account_user
from pytest_k8ssec.stack import ServiceAccount

STATUS = {True: Status.PROVEN, False: Status.REFUTED, None: Status.UNKNOWN}
"""How an edge is known, by whether a right was shown."""
_KINDS = {
    ("bind", "clusterroles"): "role-bind",
    ("escalate", "roles"): "role-escalate",
    ("escalate", "clusterroles"): "role-escalate",
    ("create", "pods/exec"): "pod-exec",
    ("get", "pods/exec"): "pod-exec",
    ("patch", "pods/ephemeralcontainers"): "pod-patch",
    ("create", "serviceaccounts/token"): "token-request",
    ("impersonate", "serviceaccounts"): "impersonate",
    ("impersonate", "users"): "impersonate",
    ("update", "certificatesigningrequests/approval"): "certificate-approve",
    ("patch", "certificatesigningrequests/approval"): "certificate-approve",
    **{
        (verb, f"{kind}webhookconfigurations"): "webhook-create"
        for kind in ("mutating", "validating")
        for verb in ("create", "update", "patch")
    },
    ("create", "persistentvolumes"): "volume-create",
}
"""Verb and resource of the right that matters, to the kind of edge; what else creates, updates or patches makes pods."""
ANYBODY = Vertex(Kind.IDENTITY, "any user")
ANY_NODE = Vertex(Kind.IDENTITY, "any node")
EVERYWHERE = Vertex(Kind.NAMESPACE, "any")
"""Stands for all namespaces that were tried, if a right was refuted in all of them."""
_IN_CLUSTER = {
    "role-escalate": CLUSTER_ADMIN,
    "impersonate": ANYBODY,
    "certificate-approve": ANY_NODE,
    "webhook-create": Vertex(Kind.API_SERVER),
    "volume-create": Vertex(Kind.NODE, "any"),
}
"""What a right in the whole cluster leads to."""
_TEMPLATE = "a pod of its own template"
_FEW_NAMESPACES = 20
"""In so many the rules of an identity are asked for one by one: with found credentials that takes four seconds."""
_BY_VERB = {"get": "GET", "create": "POST"}
"""By what a right on nodes/proxy is called, the method that it lets through; the kubelet's health takes either."""
_TO_SOMETHING_INSIDE = ("pods/exec", "pods/ephemeralcontainers", "serviceaccounts/token", "serviceaccounts")


@dataclass(slots=True)
class IdentitySuspect:
    """One identity, and where and how thoroughly its rights are tried."""

    identity: Identity
    scene: Scene
    meter: Meter
    thorough: bool = False
    """Whether to go on once it was shown to be cluster-admin."""
    rules: dict[str, RbacRules] = field(default_factory=dict)
    """By namespace, its rules, once it is worth while to go on."""
    believing: bool = True
    """Whether a list of its rights that says that it is complete is believed to be so."""

    @property
    def permissions(self) -> Vertex:
        """The vertex that its rights leave from."""
        return Vertex(Kind.PERMISSIONS, self.identity.user)

    @property
    def account(self) -> ServiceAccount:
        """Whom its dry runs name; one that is no service account names nobody."""
        _, _, tail = self.identity.user.partition("system:serviceaccount:")
        namespace, _, name = tail.partition(":")
        return ServiceAccount(namespace or "default", name or NOBODY)

    def attempt(self, step: WayUp, where: str) -> Evidence:
        """One step of the verb matrix. Raises BoundReached, ProbeError."""
        self.meter.request()
        return self.identity.attempt(
            step.method,
            step.path,
            what=f"{step.words}, {where}",
            body=step.body,
            headers=step.headers,
            params=step.params,
        )

    def may(self, verb: str, resource: str, *, group: str = "", namespace: str = "", name: str = "") -> Evidence:
        """Whether it has a right, by the API server's own word. Raises BoundReached, ProbeError."""
        self.meter.request()
        return self.identity.may(verb, resource, group=group, namespace=namespace, name=name)

    def edge(self, kind: str, target: Vertex, evidence: Evidence, status: Status | None = None) -> Edge:
        """An edge that leaves from its rights, with the status that the answer gives it."""
        known = status if status is not None else _status(evidence)
        return Edge(KINDS[kind], self.permissions, target, known, evidence)


def _status(answer: Evidence) -> Status:
    # Pod Security refuses each such pod. Behind any other 403 of admission another offer may be let in: one that wears a
    # label, or takes the room that our twins take now.
    if answer.status == 403 and "violates PodSecurity" in answer.detail:
        return Status.REFUTED
    return STATUS[has_the_right(answer)]


def edges_by_rights(suspect: IdentitySuspect) -> Iterator[Edge]:
    """All edges that leave an identity by its rights.

    Raises:
        BoundReached: the walk may not go on; the edges so far stand.
        ProbeError: no HTTP answer came.
    """
    own = Vertex(Kind.IDENTITY, suspect.identity.user)
    told = _by_class(suspect) if suspect.believing else {}
    rules = {namespace: told.get(namespace) or _rules_in(suspect, namespace) for namespace in suspect.scene.namespaces}
    if not suspect.believing:
        rules = {namespace: replace(each, complete=False) for namespace, each in rules.items()}
    first = next(iter(rules.values()))
    read = all(each.evidence.status == 201 for each in rules.values())
    status = Status.PROVEN if read else Status.UNKNOWN
    yield Edge(KINDS["permission-discover"], own, suspect.permissions, status, first.evidence)
    if not read:
        return
    step = to_cluster_admin(suspect.account)
    answer = suspect.attempt(step, "in the cluster")
    answer, status = _or_by_change(suspect, step, "", first, answer)
    yield suspect.edge("role-bind", CLUSTER_ADMIN, answer, status)
    if status is Status.PROVEN and answer.status == 201 and not suspect.thorough:
        return  # what is left to find is less than what was found
    suspect.rules = rules
    yield from _in_cluster(suspect, first)
    yield from _kubelets(suspect, first)
    refused: dict[EdgeKind, Evidence] = {}
    opened: set[EdgeKind] = set()
    for namespace, granted in rules.items():
        for edge in (*_secrets(suspect, namespace, granted), *_in_namespace(suspect, namespace, granted)):
            if edge.status is Status.REFUTED:
                refused.setdefault(edge.kind, edge.evidence)
            else:
                opened.add(edge.kind)
                yield edge
    for kind, evidence in refused.items():
        if kind not in opened:
            yield Edge(kind, suspect.permissions, EVERYWHERE, Status.REFUTED, evidence)


def _rules_in(suspect: IdentitySuspect, namespace: str) -> RbacRules:
    suspect.meter.request()
    return suspect.identity.rules(namespace)


def _by_class(suspect: IdentitySuspect) -> dict[str, RbacRules]:
    """Of many namespaces: its rules in each, though the API server is asked in some of each class only.

    Those are one class in which RBAC's objects give it the same rules. Asked about are its own namespace, those that every
    cluster has, and two of each class. Where the API server lists others than the objects give, or can't list all, nothing is
    told by class.
    """
    scene, account, user = suspect.scene, suspect.account, suspect.identity.user
    is_account = suspect.identity.token and account_user(account.namespace, account.name) == user
    if scene.seed is None or len(scene.namespaces) <= _FEW_NAMESPACES or not is_account or scene.places.granted is None:
        return {}
    chance = random.Random(f"{scene.seed} {user}")  # noqa: S311 - to be repeated, not to be secret
    found: dict[str, RbacRules] = {}
    asked: dict[str, RbacRules] = {}
    for kind, alike in scene.places.classes_of(account).items():
        if kind.of_cluster:  # what it may there it may in each namespace
            continue
        drawn = chance.sample(alike, min(2, len(alike)))
        always = (each for each in (account.namespace, *OF_EVERY_CLUSTER) if each in alike)
        for namespace in dict.fromkeys((*drawn, *always)):
            asked[namespace] = _rules_in(suspect, namespace)
            if not scene.places.agrees(account, {namespace: asked[namespace]}):
                return asked
        found |= dict.fromkeys(alike, asked[drawn[0]])
    scene.asked_in[user] = len(asked)
    return found | asked


def in_place_of(suspect: IdentitySuspect) -> Iterator[tuple[str, RbacRules]]:
    """Each place that an identity's rights are tried in, with its rules there: namespaces, and ("") the cluster.

    What it may in the whole cluster it may in each namespace, so any namespace's list says that.
    """
    yield from suspect.rules.items()
    yield from (("", each) for each in [*suspect.rules.values()][:1])


def leads_to(scene: Scene, step: WayUp, namespace: str, only: Sequence[str]) -> tuple[str, list[Vertex]]:
    """The kind of edge that a right in a namespace is, and what it leads to.

    Args:
        only: names of the objects that it is about, "" for any.
    """
    return _kind_of(step), [target for name in only for target in _targets(scene, step, namespace, only=name)]


def _listed(step: WayUp, rules: RbacRules) -> bool:
    """Whether the list of rights has the one that matters for a step, or does not say that it hasn't."""
    verb, resource, group = step.right
    return not rules.complete or rules.grants(verb, resource, group=group)


def _or_by_change(
    suspect: IdentitySuspect, step: WayUp, namespace: str, rules: RbacRules, answer: Evidence
) -> tuple[Evidence, Status]:
    """What an answer says; where a new object was refused, whether one that is there may be changed to the same end."""
    status, (verb, resource, group) = _status(answer), step.right
    listed = _listed(step, rules) or rules.names(verb, resource, group=group)
    if status is not Status.PROVEN and listed and (known := by_change(suspect, step, namespace, rules)):
        return known, Status.INFERRED
    return answer, status


def _in_cluster(suspect: IdentitySuspect, rules: RbacRules) -> Iterator[Edge]:
    for step in in_cluster():
        kind = _kind_of(step)
        target = _IN_CLUSTER[kind]
        if not _listed(step, rules):
            yield suspect.edge(kind, target, rules.evidence, Status.REFUTED)
            yield from _by_name(suspect, step, "", rules, [target])
            continue
        answer = suspect.attempt(step, "in the cluster")
        answer, status = _or_by_change(suspect, step, "", rules, answer)
        if kind != "impersonate" and status is Status.PROVEN:
            status = Status.INFERRED  # the right is proven; that it leads there was not tried, as it would do harm
        yield suspect.edge(kind, target, answer, status)


def _kubelets(suspect: IdentitySuspect, rules: RbacRules) -> Iterator[Edge]:
    for node in suspect.scene.reach.answering:
        target = Vertex(Kind.KUBELET, suspect.scene.short(node.name))
        verbs = [verb for verb in _BY_VERB if _on(node.name, verb, rules)]
        if not verbs:
            yield suspect.edge("kubelet-exec", target, rules.evidence, Status.REFUTED)
        for verb in verbs:
            suspect.meter.request()
            answer = suspect.identity.attempt(_BY_VERB[verb], f"/api/v1/nodes/{node.name}/proxy/healthz")
            yield suspect.edge("kubelet-exec", target, answer)


def _on(node: str, verb: str, rules: RbacRules) -> bool:
    """Whether it may be let through to a kubelet by one verb."""
    return not rules.complete or rules.grants(verb, "nodes/proxy") or node in rules.names(verb, "nodes/proxy")


def _secrets(suspect: IdentitySuspect, namespace: str, rules: RbacRules) -> Iterator[Edge]:
    for kind, verbs in READS.items():
        asked = [verb for verb in verbs if not rules.complete or rules.grants(verb, "secrets")]
        answers = [read_secrets(suspect, verb, namespace) for verb in asked]
        if answers:
            told = min(answers, key=lambda each: _SURE[has_the_right(each)])
            yield from (suspect.edge(kind, secret, told) for secret in suspect.scene.secrets(namespace))
        else:
            yield suspect.edge(kind, EVERYWHERE, rules.evidence, Status.REFUTED)
        for name in sorted({each for verb in verbs for each in rules.names(verb, "secrets")}):
            verb = next(each for each in verbs if name in rules.names(each, "secrets"))
            if verb == "deletecollection":
                continue  # that is asked for without a name, so a right by a name is none
            yield suspect.edge(
                kind, Vertex(Kind.SECRET, f"{namespace}/{name}"), read_secrets(suspect, verb, namespace, only=name)
            )


READS = {"secrets-list": ("list", "watch", "deletecollection"), "secrets-get": ("get", "patch")}
"""The verbs that are answered with Secrets, by what the edge is called."""
_SURE = {True: 0, None: 1, False: 2}


def read_secrets(suspect: IdentitySuspect, verb: str, namespace: str, only: str = "") -> Evidence:
    """The answer to one verb: metadata alone, and what would change something is a dry run, and of nothing.

    Args:
        only: the one Secret that is asked for, "" for one that does not exist, or for any in a list.
    """
    suspect.meter.request()
    path, one = f"/api/v1/namespaces/{namespace}/secrets", f"metadata.name={only or NOBODY}"
    if verb == "get":
        return suspect.identity.attempt("GET", f"{path}/{only or NOBODY}", headers=METADATA_OF_ONE)
    if verb == "patch":
        headers = {**METADATA_OF_ONE, **MERGE_PATCH}
        path = f"{path}/{only or NOBODY}"
        return suspect.identity.attempt("PATCH", path, headers=headers, params={"dryRun": "All"}, body={})
    if verb == "deletecollection":
        params = {"dryRun": "All", "fieldSelector": one}
        return suspect.identity.attempt("DELETE", path, headers=METADATA_OF_MANY, params=params)
    params = {"limit": "1"} | ({"fieldSelector": one} if only else {})
    if verb == "watch":
        params = {"watch": "true", "timeoutSeconds": "1", "fieldSelector": one}
    return suspect.identity.attempt("GET", path, headers=METADATA_OF_MANY, params=params)


def _in_namespace(suspect: IdentitySuspect, namespace: str, rules: RbacRules) -> Iterator[Edge]:
    proven: set[tuple[str, str]] = set()
    offered: set[bool] = set()
    for step in in_namespace(suspect.account, namespace, suspect.scene.cluster.probe_image):
        kind, end = _kind_of(step), _end_of(step)
        if (kind, end) in proven:
            continue  # another way to the same end
        if _listed(step, rules):
            answer = suspect.attempt(step, f"in {namespace}")
            answer, status = _or_by_change(suspect, step, namespace, rules, answer)
            edges = [suspect.edge(kind, target, answer, status) for target in _targets(suspect.scene, step, namespace)]
            if any(edge.open for edge in edges):
                proven.add((kind, end))
        else:
            edges = [suspect.edge(kind, EVERYWHERE, rules.evidence, Status.REFUTED)]
        edges += _by_name(suspect, step, namespace, rules)
        yield from edges
        itself = step.right[:2] == ("create", "pods")
        if end == _TEMPLATE and itself not in offered and any(edge.open for edge in edges):
            offered.add(itself)
            yield from _privileged(suspect, namespace, itself=itself)


def _end_of(step: WayUp) -> str:
    """What a right in a namespace gives: steps of one kind that give the same are ways to the same end."""
    verb, resource, _ = step.right
    if resource in _TO_SOMETHING_INSIDE:
        return "something inside"
    if _KINDS.get((verb, resource)):
        return "a right"
    return _TEMPLATE if resource != "pods" or verb == "create" else "another image in a pod that is there"


def _by_name(
    suspect: IdentitySuspect, step: WayUp, namespace: str, rules: RbacRules, targets: Sequence[Vertex] = ()
) -> Iterator[Edge]:
    """Rights on single objects: asked for, as to use them there would not be harmless.

    Args:
        targets: what they lead to; in a namespace that depends on the name.
    """
    verb, resource, group = step.right
    for name in rules.names(verb, resource, group=group):
        answer = suspect.may(verb, resource, group=group, namespace=namespace, name=name)
        allowed = Status.INFERRED if targets or len(step.rules) > 1 else Status.PROVEN
        status = allowed if answer.outcome is Outcome.DONE else Status.REFUTED
        for target in targets or _targets(suspect.scene, step, namespace, only=name):
            yield suspect.edge(_kind_of(step), target, answer, status)


def _privileged(suspect: IdentitySuspect, namespace: str, *, itself: bool) -> Iterator[Edge]:
    """Whether a pod that takes its node would be let in.

    Args:
        itself: whether the identity makes pods, and so offers one; else what makes them is a controller, which admission
            treats as our administrator.
    """

    def offered(check: podsecurity.Check | None) -> Evidence:
        offer = podsecurity.offered_pod(suspect.scene.cluster.probe_image, check)
        if not itself:
            return podsecurity.offer(suspect.scene.cluster, namespace, offer)
        suspect.meter.request()
        path = f"/api/v1/namespaces/{namespace}/pods"
        what = f"create a {check.name if check else 'compliant'} pod, in {namespace} (dry run)"
        return suspect.identity.attempt("POST", path, body=offer, params={"dryRun": "All"}, what=what)

    answer = offered(next(each for each in podsecurity.CHECKS if each.name == "privileged"))
    status = _status(answer)
    # A policy or a webhook may refuse all that we offer; where it lets in what is not privileged, it refuses that.
    if status is Status.UNKNOWN and admitted(answer) is False and admitted(offered(None)):
        status = Status.REFUTED
    if status is Status.PROVEN and not itself:
        status = Status.INFERRED
    for node in suspect.scene.cluster.nodes:
        yield suspect.edge("pod-privileged", suspect.scene.node(node), answer, status)


def _targets(scene: Scene, step: WayUp, namespace: str, *, only: str = "") -> list[Vertex]:
    """What one right in a namespace leads to."""
    resource = step.right[1]
    if resource in ("pods/exec", "pods/ephemeralcontainers"):
        found = [pod.vertex for pod in scene.pods(namespace) if not only or pod.name == only]
    elif resource in ("serviceaccounts/token", "serviceaccounts"):
        found = [one for one in scene.identities(namespace) if not only or one.name.endswith(f":{only}")]
    else:
        found = [Vertex(Kind.NAMESPACE, namespace)]
    return list(dict.fromkeys(found))


def _kind_of(step: WayUp) -> str:
    verb, resource, _ = step.right
    return _KINDS.get((verb, resource)) or ("pod-create" if verb == "create" else "pod-patch")
