"""Lists a cluster's objects by their metadata alone: whose they are is told there, and no value leaves the API server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_k8ssec.clusters.discovery import ListedKind, discover
from pytest_k8ssec.clusters.headers import METADATA_OF_MANY
from pytest_k8ssec.errors import ClusterError

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.api import KubeApi

_TOGETHER: Final = 6
"""Requests at a time: a connection is kept for each, and more than a few only wait for the API server."""
_PAGE: Final = "500"
_NO_SUCH: Final = (404, 405)
"""A kind that was removed since discovery, and one that is listed by its name only."""
_HEADERS: Final = {"Accept": f"{METADATA_OF_MANY['Accept']},application/json"}
"""What an aggregated API can't reduce it may send whole."""
_PASSING: Final = frozenset(
    {
        ("", "events"), ("events.k8s.io", "events"), ("", "endpoints"), ("", "componentstatuses"), ("", "nodes"),
        ("discovery.k8s.io", "endpointslices"), ("coordination.k8s.io", "leases"), ("storage.k8s.io", "csinodes"),
        ("storage.k8s.io", "volumeattachments"), ("storage.k8s.io", "csistoragecapacities"),
        ("certificates.k8s.io", "certificatesigningrequests"), ("networking.k8s.io", "ipaddresses"),
        ("apps", "controllerrevisions"), ("metrics.k8s.io", "pods"), ("metrics.k8s.io", "nodes"),
    }
)  # fmt: skip
"""Group and plural of what a cluster writes about itself all the time, and nobody deploys."""


@dataclass(frozen=True, slots=True)
class Owner:
    """An owner reference."""

    api_version: str
    kind: str
    name: str
    uid: str
    is_controller: bool


@dataclass(frozen=True, slots=True)
class ObjectMetadata:
    """An object by its metadata."""

    api_version: str
    kind: str
    namespace: str
    """"" for a cluster-scoped one."""
    name: str
    uid: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    owners: tuple[Owner, ...]
    """The one that controls it first."""
    managers: frozenset[str]
    """Names of the programs that wrote a field of it, as they call themselves."""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """API group, kind, namespace and name."""
        return self.api_version.rpartition("/")[0], self.kind, self.namespace, self.name

    @property
    def full_kind(self) -> str:
        """``Deployment.apps``, ``Pod``."""
        return f"{self.kind}.{self.api_version.rpartition('/')[0]}".rstrip(".")


@dataclass(frozen=True, slots=True)
class Listing:
    """What was listed."""

    kinds: tuple[ListedKind, ...]
    """What it was to be of."""
    objects: tuple[ObjectMetadata, ...]
    unlisted: Mapping[str, str]
    """What could not be listed (``Deployment.apps``, ``API wardle.example.dev/v1``), and why."""


def list_objects(api: KubeApi) -> Listing:
    """Objects of all kinds that can be listed, but for what a cluster writes about itself all the time.

    Raises:
        ClusterError: the API server does not tell its kinds.
    """
    told = discover(api)
    kinds = tuple(one for one in told.kinds if (one.group, one.plural) not in _PASSING)
    return _listed(api, kinds, {f"API {one}": "its server does not answer" for one in told.silent})


def listed_beside(api: KubeApi) -> Callable[[], Listing]:
    """Begin to list objects in a thread that nobody waits for who breaks off. Returns what waits for it, and raises as it does."""
    done: Future[Listing] = Future()

    def work() -> None:
        try:
            done.set_result(list_objects(api))
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            done.set_exception(error)

    threading.Thread(target=work, name="k8ssec-listed", daemon=True).start()
    return done.result


def list_kinds(api: KubeApi, kinds: tuple[ListedKind, ...]) -> Listing:
    """Objects of these kinds, without asking anew which there are."""
    return _listed(api, kinds, {})


def listed_of(api_version: str, kind: str, metadata: Mapping[str, Any]) -> ObjectMetadata:
    """An object, of its metadata."""
    owners = [
        Owner(str(each["apiVersion"]), str(each["kind"]), str(each["name"]), str(each["uid"]), bool(each.get("controller")))
        for each in metadata.get("ownerReferences") or ()
    ]  # fmt: skip
    return ObjectMetadata(
        api_version,
        kind,
        str(metadata.get("namespace") or ""),
        str(metadata["name"]),
        str(metadata.get("uid") or ""),
        metadata.get("labels") or {},
        metadata.get("annotations") or {},
        tuple(sorted(owners, key=lambda each: not each.is_controller)),
        frozenset(str(each.get("manager") or "") for each in metadata.get("managedFields") or ()),
    )


def _listed(api: KubeApi, kinds: tuple[ListedKind, ...], unlisted: dict[str, str]) -> Listing:
    def one(kind: ListedKind) -> list[ObjectMetadata] | str:
        try:
            return list(_pages(api, kind))
        except ClusterError as error:
            return error.message

    found: dict[str, ObjectMetadata] = {}
    with ThreadPoolExecutor(_TOGETHER, thread_name_prefix="k8ssec-listing") as threads:
        for kind, answer in zip(kinds, threads.map(one, kinds), strict=True):
            if isinstance(answer, str):
                unlisted[kind.full_name] = answer
            else:
                # One object may be in two groups, and what has no uid is computed when it is asked for.
                found |= {each.uid: each for each in answer if each.uid and each.uid not in found}
    return Listing(kinds, tuple(found.values()), unlisted)


def _pages(api: KubeApi, kind: ListedKind) -> Iterator[ObjectMetadata]:
    """Raises ClusterError."""
    asked = {"limit": _PAGE}
    while True:
        answer = api.request("GET", kind.path(), params=asked, headers=_HEADERS)
        if answer.status in _NO_SUCH:
            return
        if not answer.ok:
            raise ClusterError(f"GET {kind.path()}: HTTP {answer.status}: {answer.message or answer.reason}")
        for item in answer.body.get("items") or ():
            yield listed_of(kind.api_version, kind.kind, item.get("metadata") or {})
        more = (answer.body.get("metadata") or {}).get("continue")
        if not more:
            return
        asked = {"limit": _PAGE, "continue": str(more)}
