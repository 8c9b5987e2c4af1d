"""Group 8 of the walk: edges that follow from where things are. They are computed and so inferred; nothing is tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_k8ssec.attack.further import NODE_USER
from pytest_k8ssec.attack.graph import CLUSTER_ADMIN, Edge, Kind, Status, Vertex
from pytest_k8ssec.attack.kinds import KINDS
from pytest_k8ssec.attack.placement import Placed, Scene
from pytest_k8ssec.attack.rights import ANY_NODE, ANYBODY
from pytest_k8ssec.clusters.rbac_objects import RBAC, REVIEWS, access_review, rule
from pytest_k8ssec.errors import ProbeError, as_probe_error
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.probes.identities import api_evidence, attributes

_POWERS = (
    rule("*", "*", group="*"),
    rule("escalate", "clusterroles", group=RBAC),
    rule("bind", "clusterroles", group=RBAC),
    rule("impersonate", "users"),
)
"""Any of these is as good as cluster-admin."""
_JOINED = Vertex(Kind.NODE, "of its own")


def of_node(scene: Scene, node: Vertex) -> Iterator[Edge]:
    """Edges from a node: whoever controls it has its pods, its identity, and on a control plane the cluster's keys."""
    if node.name == "any":
        for each in scene.cluster.nodes:
            yield _inferred("placement", node, scene.node(each), scene.told("a volume may name any node"))
        return
    yield from _pods(scene, node, scene.pods_on(node.name))
    own = Vertex(Kind.IDENTITY, f"{NODE_USER}{node.name}")
    yield _inferred("placement", node, own, scene.told(f"{node}: the kubelet's certificate lies on it"))
    if any(each.control_plane and scene.short(each.name) == node.name for each in scene.cluster.nodes):
        told = scene.told(f"{node}: is a control plane", "the cluster's CA keys lie on it")
        yield _inferred("control-plane", node, CLUSTER_ADMIN, told)


def of_kubelet(scene: Scene, kubelet: Vertex) -> Iterator[Edge]:
    """Edges from a kubelet: whoever commands it has every container on its node."""
    yield from _pods(scene, kubelet, scene.pods_on(kubelet.name))


def of_etcd(scene: Scene, etcd: Vertex) -> Iterator[Edge]:
    """Edges from etcd: whoever writes to it can write role bindings."""
    told = scene.told(f"{etcd}: holds every object", "what lets read without a certificate lets write")
    yield _inferred("control-plane", etcd, CLUSTER_ADMIN, told)


def of_api_server(scene: Scene, server: Vertex) -> Iterator[Edge]:
    """Edges from a mutating webhook: it can change the next administrator's writes, such as role bindings."""
    told = scene.told("a mutating webhook changes role bindings as they are written")
    yield _inferred("powerful", server, CLUSTER_ADMIN, told)


def of_namespace(scene: Scene, namespace: Vertex) -> Iterator[Edge]:
    """Edges from a namespace: whoever runs pods in it has its accounts and Secrets, as any pod in it may mount them."""
    told = scene.told(f"what is in namespace {namespace.name}", "any pod of a namespace mounts all that is in it")
    for target in (*scene.identities(namespace.name), *scene.secrets(namespace.name)):
        yield _inferred("namespace-owns", namespace, target, told)


def of_secret(scene: Scene, secret: Vertex) -> Iterator[Edge]:
    """Edges from a Secret: whose token it holds."""
    for target in scene.held_by(secret):
        yield _inferred("secret-holds", secret, target, scene.told(f"the annotations of {secret}"))


def inferred_from_pod(scene: Scene, pod: Vertex) -> Iterator[Edge]:
    """Edges from a pod that is not of the stack, to its node too if nothing isolates the pod from the node."""
    for each in scene.pods(pod.namespace):
        if pod in (each.vertex, scene.that_one(each)):
            told = scene.told(f"the specification of a pod of {pod.name}")
            yield from _what_it_has(pod, each, told, "pod-owns")
            if each.owns_node:
                yield _inferred("pod-owns", pod, scene.node(each.node), told)


def inferred_from_identity(scene: Scene, identity: Vertex) -> Iterator[Edge]:
    """Edges from an identity that is not of the stack, by what it may do: no token of it is held here.

    What an account may do comes from access reviews by our administrator; what a kubelet may do follows from the pods
    that are bound to its node.
    """
    if identity == ANYBODY:
        told = scene.told("any user may be acted as", "some may do everything, as kubeadm's administrators do")
        yield _inferred("powerful", identity, CLUSTER_ADMIN, told)
    elif identity == ANY_NODE:
        yield _inferred("node-join", identity, _JOINED, scene.told("who has a node's certificate joins as one"))
        for node in scene.cluster.nodes:
            yield from _of_kubelets_identity(scene, identity, scene.short(node.name))
    elif identity.name.startswith(NODE_USER):
        yield from _of_kubelets_identity(scene, identity, identity.name.removeprefix(NODE_USER))
    if not identity.namespace:
        return
    for power in _POWERS:
        answer, allowed = _reviewed(scene, identity, power["verbs"][0], power["resources"][0], power["apiGroups"][0])
        if allowed:
            yield _inferred("powerful", identity, CLUSTER_ADMIN, answer)
            return


def _of_kubelets_identity(scene: Scene, identity: Vertex, node: str) -> Iterator[Edge]:
    """What the node authorizer lets a kubelet have: accounts and Secrets of the pods that are bound to its node."""
    told = scene.told(f"the pods on node {node}", "the node authorizer grants what they have")
    for pod in scene.pods_on(node):
        yield from _what_it_has(identity, pod, told, "node-authorizer")


def _what_it_has(source: Vertex, pod: Placed, told: Evidence, kind: str) -> Iterator[Edge]:
    if pod.account:
        yield _inferred(kind, source, Vertex(Kind.IDENTITY, pod.account), told)
    for name in pod.secrets:
        yield _inferred(kind, source, Vertex(Kind.SECRET, f"{pod.namespace}/{name}"), told)


def _reviewed(scene: Scene, identity: Vertex, verb: str, resource: str, group: str) -> tuple[Evidence, bool]:
    groups = [
        "system:serviceaccounts",
        f"system:serviceaccounts:{identity.namespace}",
        "system:authenticated",
    ]
    review = access_review(identity.name, groups, attributes(verb, resource, group=group))
    with as_probe_error():
        answer = scene.cluster.api.request("POST", REVIEWS, body=review)
    if not answer.ok:
        raise ProbeError(f"POST {REVIEWS}: HTTP {answer.status}: {answer.message}")
    said = api_evidence("our administrator", f"SubjectAccessReview of {identity.name}: {verb} {resource}", answer)
    return said, answer.body.get("status", {}).get("allowed") is True


def _pods(scene: Scene, source: Vertex, pods: Sequence[Placed]) -> Iterator[Edge]:
    told = scene.told(f"the pods on node {source.name}")
    for vertex in dict.fromkeys(scene.that_one(pod) for pod in pods):
        yield _inferred("placement", source, vertex, told)


def _inferred(kind: str, source: Vertex, target: Vertex, evidence: Evidence) -> Edge:
    return Edge(KINDS[kind], source, target, Status.INFERRED, evidence)
