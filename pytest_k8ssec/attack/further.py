"""What an identity may do by the table of further rights, the one that rbac-escalation asks by, and what each of it leads to.

The table's ways are asked in each place: those that the API server's own list of rules may grant. One of the rest checks that
list; places where the list is the same are one class, and are checked in one of them. Of several rights to the same end
the first that is there is enough.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from zlib import crc32

from pytest_k8ssec.attack.graph import Edge, Kind, Status, Vertex
from pytest_k8ssec.attack.kinds import KINDS
from pytest_k8ssec.attack.placement import Scene
from pytest_k8ssec.attack.rights import (
    EVERYWHERE,
    READS,
    STATUS,
    IdentitySuspect,
    edges_by_rights,
    in_place_of,
    leads_to,
    read_secrets,
)
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.facts.rbac_rights import rule_set
from pytest_k8ssec.probes.escalation import WayUp, has_the_right, in_namespace
from pytest_k8ssec.probes.identities import NOBODY, RbacRules
from pytest_k8ssec.probes.rights_table import asked_way, by_names, further_ways, gets_through, may_be_granted, try_ways
from pytest_k8ssec.stack import ServiceAccount

NODE_USER = "system:node:"
"""How a kubelet's user begins."""
_CHANGES = ("create", "update", "patch")
_MUTATING = "mutatingadmissionpolic"
_KINDS = {
    "pods/attach": "pod-attach",
    "pods/portforward": "api-proxy",
    "pods/proxy": "api-proxy",
    "services/proxy": "api-proxy",
    "nodes/proxy": "api-proxy",
    "secrets": "token-make",
    "roles": "role-take",
    "rolebindings": "role-take",
    "configmaps": "api-answer",
    "customresourcedefinitions": "api-answer",
    "apiservices": "api-answer",
}
"""The resource of the right that matters, to the kind of edge; what else the table has undoes a defence."""
_AS_IT_IS = frozenset({"pod-attach", "api-proxy", "defence-undo"})
"""Kinds of edges that a right alone is: what it leads to is what was tried. What others lead to is inferred."""


def kind_of_way(way: WayUp) -> str:
    """The kind of edge that a way of the table is."""
    verb, resource, _ = way.right
    if resource.startswith(_MUTATING):
        return "policy-write" if verb in _CHANGES else "defence-undo"
    return _KINDS.get(resource, "defence-undo")


def edges_by_table(suspect: IdentitySuspect, found: Sequence[Edge]) -> Iterator[Edge]:
    """All edges that leave an identity by the table's rights.

    Args:
        found: those that leave it by the other rights; what undoes a defence may open one that was refused.

    Raises:
        BoundReached: the walk may not go on; the edges so far stand.
        ProbeError: no HTTP answer came, or one that says nothing.
    """
    refused: dict[str, Edge] = {}
    opened: dict[str, None] = {}
    undoes: list[tuple[WayUp, str, Edge]] = []
    for way, place, edge in _everywhere(suspect):
        if edge.status is Status.REFUTED:
            refused.setdefault(edge.kind.name, edge)
            continue
        opened[edge.kind.name] = None
        if edge.open and edge.kind.name == "defence-undo":
            undoes.append((way, place, edge))
        yield edge
    yield from (edge for kind, edge in refused.items() if kind not in opened)
    yield from _undone(suspect.scene, found, undoes)
    if suspect.rules and not suspect.believing:
        yield from edges_by_rights(suspect)  # anew, and all of it, as the list said nothing


def _everywhere(suspect: IdentitySuspect) -> Iterator[tuple[WayUp, str, Edge]]:
    """All places, by classes; where the list of one is found to be wrong, so are the others of its class, and all is tried."""
    classes: dict[tuple[bool, object], list[tuple[str, RbacRules]]] = {}
    for place, rules in in_place_of(suspect):
        kind = not place, rule_set(rules.rules) if rules.complete else place
        classes.setdefault(kind, []).append((place, rules))
    for alike in classes.values():
        first = crc32(f"{suspect.identity.user} {len(alike)}".encode()) % len(alike)
        believed: bool | None = None
        for place, rules in (alike[first], *alike[:first], *alike[first + 1 :]):
            known = rules if believed is not False else replace(rules, complete=False)
            right = yield from _in_place(suspect, place, known, check=believed is None)
            believed = right if believed is None else believed
        suspect.believing &= believed is not False


def _in_place(
    suspect: IdentitySuspect, place: str, rules: RbacRules, *, check: bool
) -> Generator[tuple[WayUp, str, Edge], None, bool]:
    """Returns whether the list of rules is believed."""
    where = f"in {place}" if place else "in the cluster"
    reached: set[tuple[str, str]] = set()
    skipped: set[str] = set()

    def ask(way: WayUp) -> Evidence:
        end = way.leads, kind_of_way(way)
        if end in reached and may_be_granted(way, rules):
            skipped.add(way.words)  # another way to the same end
            return rules.evidence
        answer = asked_way(suspect, way, place, rules, lambda one: suspect.attempt(one, where))
        if gets_through(answer):
            reached.add(end)
        return answer

    ways = further_ways(place)
    seed = f"{suspect.identity.user} {place}" if check else None
    answers, rest = try_ways(ways, rules, seed, ask)
    for way in (each for each in ways if each.words in answers and each.words not in skipped):
        yield from ((way, place, edge) for edge in _edges(suspect, way, place, rules, answers[way.words]))
    sample = next((way.words for way in ways if way.words in answers and not may_be_granted(way, rules)), "")
    tried = f"; tried all the same, and refused: {sample}" if sample else ", as another one of the same rules"
    told = replace(rules.evidence, detail=f"it grants none of them{tried}")
    yield from ((way, place, suspect.edge(kind_of_way(way), EVERYWHERE, told, Status.REFUTED)) for way in rest)
    return all(
        gets_through(answers[way.words]) is False
        for way in ways
        if way.words in answers and not may_be_granted(way, rules)
    )


def _edges(suspect: IdentitySuspect, way: WayUp, place: str, rules: RbacRules, answer: Evidence) -> Iterator[Edge]:
    """The edges that one way is, and those by the names of single objects."""
    kind, (verb, resource, group) = kind_of_way(way), way.right
    through = gets_through(answer)
    by_list = [] if rules.grants(verb, resource, group=group) else rules.names(verb, resource, group=group)
    if through is not True:
        yield suspect.edge(kind, EVERYWHERE, answer, Status.UNKNOWN if through is None else Status.REFUTED)
    else:
        # What is asked for by all names may have been granted by one of them.
        named = by_list if way.asked and not way.path and not way.name else [""]
        for name in named or [""]:
            yield from _open(suspect, way, place, answer, name)
    for name in rules.names(verb, resource, group=group) if by_names(way) and through is not True else ():
        told = suspect.may(verb, resource, group=group, namespace=place, name=name)
        if told.outcome is Outcome.DONE:
            yield from _open(suspect, way, place, told, name)


def _open(suspect: IdentitySuspect, way: WayUp, place: str, answer: Evidence, name: str) -> Iterator[Edge]:
    kind = kind_of_way(way)
    status = Status.PROVEN if kind in _AS_IT_IS and answer.outcome is Outcome.HTTP else Status.INFERRED
    for target in _targets(suspect.scene, way, place, name):
        yield suspect.edge(kind, target, answer, status)


def _targets(scene: Scene, way: WayUp, place: str, only: str) -> list[Vertex]:
    """What a way leads to.

    Args:
        only: the one object that the right is about, "" for any.
    """
    match kind_of_way(way), way.right[1]:
        case "pod-attach", _:
            return _endpoints(scene, place, only, "its process")
        case "api-proxy", "services/proxy":
            names = [each for each in scene.services(place) if only in ("", each)]
            return [Vertex(Kind.ENDPOINT, f"{place}/service {each}:any port") for each in names]
        case "api-proxy", "nodes/proxy":
            nodes = [each.name for each in scene.cluster.nodes if only in ("", each.name)]
            return [Vertex(Kind.ENDPOINT, f"node {scene.short(each)}:any port") for each in nodes]
        case "api-proxy", _:
            return _endpoints(scene, place, only, "any port")
        case "token-make", _:
            return list(scene.identities(place))
        case "role-take", _:
            return [Vertex(Kind.ROLE, f"{place}/{each}") for each in scene.roles(place) if only in ("", each)]
        case "policy-write", _:
            return [Vertex(Kind.API_SERVER)]
    return [Vertex(Kind.POWER, f"{way.leads}{f', in {place}' if place else ''}")]


def _endpoints(scene: Scene, namespace: str, only: str, what: str) -> list[Vertex]:
    names = [pod.vertex.name for pod in scene.pods(namespace) if only in ("", pod.name)]
    return [Vertex(Kind.ENDPOINT, f"{name}:{what}") for name in dict.fromkeys(names)]


def _undone(scene: Scene, found: Sequence[Edge], undoes: Iterable[tuple[WayUp, str, Edge]]) -> Iterator[Edge]:
    """Privileged pods, by who may make pods where those are refused, and may undo what refuses them."""
    privileged = [edge for edge in found if edge.kind.name == "pod-privileged"]
    makes = {
        edge.target.name
        for edge in found
        if edge.kind.name in ("pod-create", "pod-patch") and edge.open and edge.target.kind is Kind.NAMESPACE
    }
    if not makes or not privileged or any(edge.open for edge in privileged):
        return
    by_level = any("violates PodSecurity" in edge.evidence.detail for edge in privileged)
    for way, place, undo in undoes:
        level = way.right[1].partition("/")[0] == "namespaces"
        if level is by_level and (not place or place in makes) and (level or not place):
            for node in scene.cluster.nodes:
                yield Edge(KINDS["pod-privileged"], undo.source, scene.node(node), Status.INFERRED, undo.evidence)
            return


def edges_of_kubelet(suspect: IdentitySuspect) -> Iterator[Edge]:
    """What the Node authorizer gives whoever holds a kubelet's credential: Secrets of the pods on its node, and tokens of their accounts.

    Raises:
        BoundReached: the walk may not go on; the edges so far stand.
        ProbeError: no HTTP answer came, or one that says nothing.
    """
    user, scene, kind = suspect.identity.user, suspect.scene, KINDS["node-authorizer"]
    here, pods = Vertex(Kind.IDENTITY, user), scene.pods_on(scene.short(user.removeprefix(NODE_USER)))
    for pod in dict.fromkeys((pod.namespace, pod.runs_as) for pod in pods):
        namespace, account = pod
        name = account.rpartition(":")[2]
        answer = suspect.may("create", "serviceaccounts/token", namespace=namespace, name=name)
        status = Status.INFERRED if answer.outcome is Outcome.DONE else Status.REFUTED
        yield Edge(kind, here, Vertex(Kind.IDENTITY, account), status, answer)
    for secret in dict.fromkeys((pod.namespace, name) for pod in pods for name in pod.secrets):
        answer = read_secrets(suspect, "get", secret[0], only=secret[1])
        yield Edge(kind, here, Vertex(Kind.SECRET, "/".join(secret)), STATUS[has_the_right(answer)], answer)


def of_role(scene: Scene, role: Vertex) -> Iterator[Edge]:
    """Edges from a Role that somebody may bind to themselves: what its rules give in its namespace, all of it inferred.

    Raises:
        ProbeError: the API server did not list the Roles.
    """
    namespace, _, name = role.name.partition("/")
    told = scene.told(f"the rules of Role {role.name}")
    rules = RbacRules(told, tuple(scene.roles(namespace)[name]))
    for kind, verbs in READS.items():
        given = any(rules.grants(verb, "secrets") for verb in verbs)
        names = {f"{namespace}/{each}" for verb in verbs for each in rules.names(verb, "secrets")}
        yield from (_of(role, kind, one, told) for one in scene.secrets(namespace) if given or one.name in names)
    steps = in_namespace(ServiceAccount(namespace, NOBODY), namespace, scene.cluster.probe_image)
    for step in (each for each in steps if may_be_granted(each, rules)):
        kind, targets = leads_to(scene, step, namespace, _only(rules, step))
        yield from (_of(role, kind, target, told) for target in targets)
    for way in (each for each in further_ways(namespace) if may_be_granted(each, rules)):
        for name in _only(rules, way):
            targets = _targets(scene, way, namespace, "" if way.name else name)
            yield from (_of(role, kind_of_way(way), target, told) for target in targets)


def _only(rules: RbacRules, step: WayUp) -> list[str]:
    """The names of the objects that a right is about, "" for any."""
    verb, resource, group = step.right
    return [""] if rules.grants(verb, resource, group=group) else rules.names(verb, resource, group=group)


def _of(role: Vertex, kind: str, target: Vertex, told: Evidence) -> Edge:
    return Edge(KINDS[kind], role, target, Status.INFERRED, told)
