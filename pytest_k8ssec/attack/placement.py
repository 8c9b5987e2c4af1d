"""What runs on which node, read with our own administrator credentials, never with credentials that the walk found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pytest_k8ssec.attack.graph import Kind, Vertex
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.headers import METADATA_OF_MANY
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.clusters.rbac_objects import RBAC
from pytest_k8ssec.errors import ProbeError, as_probe_error
from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.facts.rbac_rights import granted_rights
from pytest_k8ssec.facts.signing_keys import SigningKeys, signing_keys
from pytest_k8ssec.pods.claims import claimed_folders
from pytest_k8ssec.pods.manifests import OBJECT_LABEL
from pytest_k8ssec.probes.identities import account_user
from pytest_k8ssec.probes.nodes_in_reach import NodesInReach
from pytest_k8ssec.probes.places_by_rights import PlacesByRights
from pytest_k8ssec.probes.planted_files import host_mounts


@dataclass(frozen=True, slots=True)
class Placed:
    """A running pod, whoever made it."""

    vertex: Vertex
    """Named after what made it, as its own name differs between runs."""
    name: str
    node: str
    account: str
    """Its service account's user, "" if it mounts no token."""
    secrets: tuple[str, ...]
    """Names of the Secrets that it mounts or has as variables."""
    owns_node: bool
    """Whether it is privileged, among its node's processes, or has files of it: so it is taken to control the node."""
    runs_as: str = ""
    """Its service account's user, whether or not it mounts a token."""
    containers: tuple[str, ...] = ()
    """Their names, those of init containers and debuggers too."""

    @property
    def namespace(self) -> str:
        """The namespace that it is in."""
        return self.vertex.namespace


class Scene:
    """Asks the API server once for each thing, and remembers it.

    Args:
        namespaces: those that rights are tried in.
        ours: whether pods of ours count too; only for a walk from our canary.
        reach: the nodes that are asked anything; None for all that the cluster has.
        seed: of what chance decides where namespaces are told by class; None where each of them is asked about.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespaces: tuple[str, ...],
        *,
        ours: bool = False,
        reach: NodesInReach | None = None,
        seed: int | None = None,
    ) -> None:
        self.cluster = cluster
        self.seed = seed
        self.asked_in: dict[str, int] = {}
        """By user, in how many namespaces its rules were asked for, where that was not each of them."""
        self.reach = reach or NodesInReach(tuple(cluster.nodes))
        self.namespaces = tuple(dict.fromkeys(namespaces))
        self.ours = ours
        self._lists: dict[str, list[Body]] = {}
        self._placements: dict[str, tuple[Placed, ...]] = {}
        self._by_node: dict[str, list[Placed]] = {}
        self._keys: SigningKeys | None = None
        self._claimed: dict[str, dict[str, str]] = {}

    @cached_property
    def places(self) -> PlacesByRights:
        """The namespaces by what RBAC's objects grant in them."""
        return PlacesByRights(self.namespaces, granted_rights(self.cluster.api))

    def node(self, node: Node | str) -> Vertex:
        """A node, by a name that is the same in every run: kind's without the cluster's."""
        return Vertex(Kind.NODE, self.short(node if isinstance(node, str) else node.name))

    def short(self, node: str) -> str:
        """A node's name without the cluster's."""
        shorts = {each.name: each.short for each in self.cluster.nodes}
        return shorts.get(node) or node.removeprefix(f"{self.cluster.name}-")

    def secrets(self, namespace: str) -> tuple[Vertex, ...]:
        """The Secrets of a namespace, by their metadata alone."""
        found = self._list(f"/api/v1/namespaces/{namespace}/secrets", headers=METADATA_OF_MANY)
        return tuple(Vertex(Kind.SECRET, f"{namespace}/{each['metadata']['name']}") for each in found)

    def held_by(self, secret: Vertex) -> tuple[Vertex, ...]:
        """The service account whose token a Secret holds, as its annotation says."""
        namespace, _, name = secret.name.partition("/")
        found = self._list(f"/api/v1/namespaces/{namespace}/secrets", headers=METADATA_OF_MANY)
        accounts = [
            (each["metadata"].get("annotations") or {}).get("kubernetes.io/service-account.name")
            for each in found
            if each["metadata"]["name"] == name
        ]
        return tuple(Vertex(Kind.IDENTITY, account_user(namespace, account)) for account in accounts if account)

    def mounts(self, namespace: str, template: Mapping[str, Any]) -> dict[str, str]:
        """What the main container of a template mounts of its node; also by a claim. See :func:`host_mounts`."""
        if namespace not in self._claimed:
            with as_probe_error():
                self._claimed[namespace] = claimed_folders(self.cluster.api, namespace)
        return host_mounts(template, self._claimed[namespace])

    def signing_keys(self) -> SigningKeys:
        """By what the cluster's API servers know their clients."""
        if self._keys is None:
            addresses = tuple(node.address for node in self.cluster.nodes if node.control_plane)
            with as_probe_error():
                self._keys = signing_keys(self.cluster.api, addresses)
        return self._keys

    def identities(self, namespace: str) -> tuple[Vertex, ...]:
        """The service accounts of a namespace."""
        found = self._list(f"/api/v1/namespaces/{namespace}/serviceaccounts")
        return tuple(Vertex(Kind.IDENTITY, account_user(namespace, each["metadata"]["name"])) for each in found)

    def services(self, namespace: str) -> tuple[str, ...]:
        """The names of the Services of a namespace."""
        return tuple(each["metadata"]["name"] for each in self._list(f"/api/v1/namespaces/{namespace}/services"))

    def roles(self, namespace: str) -> dict[str, list[Body]]:
        """The rules of the Roles of a namespace, by name."""
        found = self._list(f"/apis/{RBAC}/v1/namespaces/{namespace}/roles")
        return {each["metadata"]["name"]: each.get("rules") or [] for each in found}

    def pods(self, namespace: str) -> tuple[Placed, ...]:
        """The running pods of a namespace."""
        return self._running(f"/api/v1/namespaces/{namespace}/pods")

    def pods_on(self, node: str) -> tuple[Placed, ...]:
        """The running pods on a node, by its short name, whatever namespace they are in."""
        if not self._by_node:
            for pod in self._running("/api/v1/pods"):
                self._by_node.setdefault(self.short(pod.node), []).append(pod)
        return tuple(self._by_node.get(node, ()))

    def that_one(self, pod: Placed) -> Vertex:
        """The vertex of a pod on its node: a pod that controls its node is told apart from its like on other nodes."""
        if not pod.owns_node:
            return pod.vertex
        return Vertex(Kind.POD, f"{pod.vertex.name} on {self.short(pod.node)}")

    def told(self, what: str, detail: str = "") -> Evidence:
        """Evidence of what follows from placement."""
        return Evidence(Source("client", "this process"), what, Outcome.DONE, detail)

    def _running(self, path: str) -> tuple[Placed, ...]:
        if path not in self._placements:
            pods = self._fetched(path)  # not kept themselves: of thousands that would be a lot
            self._placements[path] = tuple(
                self._placed(pod) for pod in pods if pod.get("status", {}).get("phase") == "Running"
            )
        return self._placements[path]

    def _list(self, path: str, **options: Any) -> list[Body]:
        if path not in self._lists:
            self._lists[path] = self._fetched(path, **options)
        return self._lists[path]

    def _fetched(self, path: str, **options: Any) -> list[Body]:
        with as_probe_error():
            answer = self.cluster.api.request("GET", path, **options)
        if not answer.ok:
            raise ProbeError(f"GET {path}: HTTP {answer.status}: {answer.message}")
        items = answer.body.get("items") or []
        return [each for each in items if self.ours or not _is_ours(each)]

    def _placed(self, pod: Body) -> Placed:
        meta, spec = pod["metadata"], pod["spec"]
        node = str(spec.get("nodeName", ""))
        account = str(spec.get("serviceAccountName") or "default")
        volumes = spec.get("volumes") or []
        token = any("serviceAccountToken" in part for each in volumes for part in _sources(each))
        return Placed(
            Vertex(Kind.POD, f"{meta['namespace']}/{_workload(meta, node)}"),
            meta["name"],
            node,
            account_user(meta["namespace"], account) if token else "",
            tuple(dict.fromkeys((*_mounted(spec), *variables(spec["containers"])))),
            _owns_node(spec),
            account_user(meta["namespace"], account),
            tuple(str(one.get("name", "")) for one in _containers(spec)),
        )


def secret_volumes(spec: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """By the name of a volume, the Secrets in it."""
    found: dict[str, tuple[str, ...]] = {}
    for volume in spec.get("volumes") or ():
        names = [part["secret"]["name"] for part in _sources(volume) if part.get("secret", {}).get("name")]
        if volume.get("secret", {}).get("secretName"):
            names.append(volume["secret"]["secretName"])
        if names:
            found[volume["name"]] = tuple(names)
    return found


def variables(containers: list[Mapping[str, Any]]) -> tuple[str, ...]:
    """The Secrets that containers have in their environment."""
    single = [
        (variable.get("valueFrom") or {}).get("secretKeyRef", {}).get("name")
        for one in containers
        for variable in one.get("env") or ()
    ]
    whole = [(each.get("secretRef") or {}).get("name") for one in containers for each in one.get("envFrom") or ()]
    return tuple(dict.fromkeys(name for name in (*single, *whole) if name))


def _owns_node(spec: Mapping[str, Any]) -> bool:
    privileged = any((one.get("securityContext") or {}).get("privileged") for one in _containers(spec))
    return privileged or bool(spec.get("hostPID")) or any(each.get("hostPath") for each in spec.get("volumes") or ())


def _containers(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for kind in ("containers", "initContainers", "ephemeralContainers") for one in spec.get(kind) or ()]


def _mounted(spec: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for names in secret_volumes(spec).values() for name in names)


def _sources(volume: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list((volume.get("projected") or {}).get("sources") or ())


def _is_ours(item: Body) -> bool:
    return OBJECT_LABEL in (item["metadata"].get("labels") or {})


def _workload(meta: Body, node: str) -> str:
    """The name of what made a pod: its own one, without what a controller appended."""
    owner = next((each for each in meta.get("ownerReferences") or () if each.get("controller")), None)
    if owner is None:
        return str(meta["name"])
    match owner["kind"]:
        case "Node":
            return str(meta["name"]).removesuffix(f"-{node}")
        case "ReplicaSet":
            return str(owner["name"]).removesuffix(f"-{(meta.get('labels') or {}).get('pod-template-hash', '')}")
    return str(owner["name"])
