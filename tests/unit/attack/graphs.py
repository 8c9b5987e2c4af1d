"""Small graphs and stand-ins for tests of the attack graph."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from pytest_k8ssec.attack.graph import CLUSTER_ADMIN, Edge, Graph, Kind, Status, Vertex
from pytest_k8ssec.attack.kinds import KINDS
from pytest_k8ssec.attack.meter import Bounds, Meter
from pytest_k8ssec.attack.placement import Scene
from pytest_k8ssec.attack.rights import IdentitySuspect
from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.probes.identities import Identity
from tests.unit.fakes import evidence

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.api import KubeApi
    from pytest_k8ssec.clusters.interface import Cluster

SHOP = Vertex(Kind.POD, "web/shop")
CONTAINER = Vertex(Kind.CONTAINER, "web/shop/shop")
ACCOUNT = Vertex(Kind.IDENTITY, "system:serviceaccount:web:shop")
RIGHTS = Vertex(Kind.PERMISSIONS, "system:serviceaccount:web:shop")
NODE = Vertex(Kind.NODE, "worker")
KEY = Vertex(Kind.SECRET, "web/key")

PROVEN, INFERRED, REFUTED, UNKNOWN = Status.PROVEN, Status.INFERRED, Status.REFUTED, Status.UNKNOWN


def edge(kind: str, source: Vertex, target: Vertex, status: Status = PROVEN, found: Evidence | None = None) -> Edge:
    """An edge with some evidence."""
    return Edge(KINDS[kind], source, target, status, found or evidence(Outcome.DONE, kind))


def graph(*edges: Edge, start: Vertex = SHOP, bounds: tuple[str, ...] = ()) -> Graph:
    """A graph of these edges."""
    made = Graph(start, bounds=list(bounds))
    for each in edges:
        made.add(each)
    return made


ENTER = edge("enter", SHOP, CONTAINER)
STEAL = edge("token-steal", CONTAINER, ACCOUNT)
MAY = edge("permission-discover", ACCOUNT, RIGHTS)
BIND = edge("role-bind", RIGHTS, CLUSTER_ADMIN)
TO_ADMIN = (ENTER, STEAL, MAY, BIND)

_RBAC_SAYS = (
    f'pods is forbidden: User "{ACCOUNT.name}" cannot create resource "pods" in API group "" in the namespace "web"'
)


@dataclass
class FakeApi:
    """An API server that grants what a table says, and tells 403 for all else."""

    rules: list[dict[str, Any]] = field(default_factory=list)
    """Of whoever asks, in every namespace."""
    incomplete: bool = False
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Items by path."""
    statuses: dict[str, int] = field(default_factory=dict)
    """By ``METHOD path``."""
    ours: dict[str, int] = field(default_factory=dict)
    """The same, for what our administrator writes."""
    default: int = 403
    powerful: tuple[str, ...] = ()
    """Users that our administrator's review says may do everything."""
    messages: dict[str, str] = field(default_factory=dict)
    """What it says besides, by ``METHOD path``."""
    may: tuple[str, ...] = ()
    """Rights, as verb, resource and (where it is not every one) the object's name, that any review says are granted."""
    sent: list[str] = field(default_factory=list)
    server: str = "https://10.0.0.2:6443"
    ca_file: ClassVar[Path] = Path(__file__)

    def request(self, method: str, path: str, *, body: Any = None, token: str | None = None, **_: Any) -> Response:
        """What the real one answers, as far as tests need it."""
        ours = token is None
        if not ours:
            self.sent.append(f"{method} {path}")
        if path.endswith("selfsubjectrulesreviews"):
            return Response(201, {"status": {"resourceRules": self.rules, "incomplete": self.incomplete}}, 1.0)
        if path.endswith("selfsubjectaccessreviews"):
            return Response(201, {"status": {"allowed": self.default != 403 or self._grants(body)}}, 1.0)
        if path.endswith("/subjectaccessreviews"):
            allowed = body["spec"]["user"] in self.powerful or self._grants(body)
            return Response(201, {"status": {"allowed": allowed}}, 1.0)
        if ours and method == "GET":
            everywhere = [each for name, items in self.lists.items() if name.endswith("/pods") for each in items]
            return Response(200, {"items": everywhere if path == "/api/v1/pods" else self.lists.get(path, [])}, 1.0)
        statuses = {**self.statuses, **(self.ours if ours else {})}
        body = {"kind": "Status", "message": self.messages.get(f"{method} {path}", _RBAC_SAYS)}
        return Response(statuses.get(f"{method} {path}", self.default), body, 1.0)

    def list(self, path: str, **_: str) -> list[dict[str, Any]]:
        """Items of a path."""
        return self.lists.get(path, [])

    def _grants(self, review: Any) -> bool:
        wanted = review["spec"]["resourceAttributes"]
        subresource = f"/{wanted['subresource']}" if wanted["subresource"] else ""
        right = f"{wanted['verb']} {wanted['resource']}{subresource}"
        return bool({right, f"{right} {wanted['name']}"} & {*self.may})


@dataclass
class FakeCluster:
    """As much of a cluster as the walk's pure parts need."""

    api: FakeApi = field(default_factory=FakeApi)
    name: str = "k8ssec-1"
    probe_image: str = "probe:1"
    nodes: tuple[Node, ...] = (
        Node("k8ssec-1-control-plane", "10.0.0.2", control_plane=True, container="c"),
        Node("k8ssec-1-worker", "10.0.0.3", control_plane=False, container="w"),
    )

    def scene(self, *namespaces: str) -> Scene:
        """What is where on it."""
        return Scene(cast("Cluster", self), namespaces or ("web",))

    def suspect(self, **options: Any) -> IdentitySuspect:
        """An account of the shop's on it, that nothing slows down."""
        identity = Identity(cast("KubeApi", self.api), ACCOUNT.name, "token")
        return IdentitySuspect(identity, self.scene(), Meter(Bounds(per_second=1e6)), **options)


def named(name: str, namespace: str = "web", **more: Any) -> dict[str, Any]:
    """An object as a list has it."""
    return {"metadata": {"name": name, "namespace": namespace}, **more}
