"""What came into a cluster with a stack and is nowhere declared: of Helm, of operators, of Kubernetes' own controllers.

On a cluster of ours that is measured: what is there, less what was there before, what the cluster makes by itself and what is
ours. On one that is only read it follows from marks and owner references.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_k8ssec.clusters.discovery import ListedKind
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.stack.found.listing import Listing, ObjectMetadata, list_kinds, list_objects, listed_beside
from pytest_k8ssec.stack.found.origins import Origins, is_part
from pytest_k8ssec.stack.resource import ObjectOrigin, Resource
from pytest_k8ssec.stack.types import is_own_group, type_of

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.api import KubeApi

JUDGED: Final = frozenset(
    {
        "Namespace", "ServiceAccount", "Pod", "ReplicationController", "Deployment.apps", "StatefulSet.apps",
        "DaemonSet.apps", "ReplicaSet.apps", "Job.batch", "CronJob.batch",
    }
)  # fmt: skip
"""Kinds that controls put on trial: looked for anew each time that they are asked for, as operators go on making them."""
ANYTHING: Final = "any object"
"""Stands among what could not be listed where the API server did not tell which kinds there are."""
_QUIET: Final = 2.0
"""Seconds in which operators make nothing new: then they are taken to be done."""
_LONGEST: Final = 20.0


class Before:
    """What is on a cluster before the stack: listed in a thread of its own, while Pulumi previews.

    Args:
        kept: a file in which processes that deploy the same stack to the same cluster find what the first of them listed;
            None where there is only one.
    """

    def __init__(self, api: KubeApi, kept: Path | None = None) -> None:
        self._kept = kept
        self._told: tuple[frozenset[str], dict[str, str]] | None = None
        if kept is not None and kept.exists():
            told = json.loads(kept.read_text())
            self._told = frozenset(told["uids"]), told["unlisted"]
        else:
            self._listed = listed_beside(api)

    def wait(self) -> tuple[frozenset[str], dict[str, str]]:
        """Wait until all is listed: to be called before the first object of the stack is made.

        Returns:
            the uids of all objects, and what could not be listed, with the reason.
        """
        if self._told is None:
            self._told = self._heard()
        return self._told

    def _heard(self) -> tuple[frozenset[str], dict[str, str]]:
        try:
            listing = self._listed()
        except ClusterError as error:
            listing = Listing((), (), {ANYTHING: error.message})
        uids, unlisted = frozenset(one.uid for one in listing.objects), dict(listing.unlisted)
        if self._kept is not None:
            part = self._kept.with_suffix(".part")
            with suppress(OSError):  # the run is over, and its folder gone
                part.write_text(json.dumps({"uids": sorted(uids), "unlisted": unlisted}))
                part.replace(self._kept)
        return uids, unlisted


class Footprint:
    """The objects that came with a stack beside those that are known already; safe to share between threads.

    Args:
        resources: what is known to be the stack's.
        before: what was there before it; None on a cluster that is only read.
    """

    def __init__(self, api: KubeApi, resources: Iterable[Resource], before: Before | None) -> None:
        self._api = api
        self._resources = tuple(resources)
        self._before = before
        uids, unlisted = before.wait() if before else (None, {})
        self._origins = Origins(api, self._resources, uids)
        self._lock = threading.Lock()
        self._kinds: tuple[ListedKind, ...] = ()
        self._found: dict[str, ObjectMetadata] = {}
        self._how: dict[str, ObjectOrigin] = {}
        self._unlisted: dict[str, str] = dict(unlisted)
        self._objects: tuple[Resource, ...] = ()
        self._independent: tuple[Resource, ...] = ()

    @property
    def objects(self) -> tuple[Resource, ...]:
        """All that were there at the last look."""
        return self._objects

    @property
    def independent(self) -> tuple[Resource, ...]:
        """Those that are no part of another one, as a Pod is of its ReplicaSet."""
        return self._independent

    @property
    def unlisted(self) -> dict[str, str]:
        """What could not be listed, and why: what else the stack has brought is not known there."""
        with self._lock:
            return dict(self._unlisted)

    def measure(self, listed: Callable[[], Listing] | None = None) -> None:
        """List all there is. Where operators are at work they get the time to begin.

        Args:
            listed: gives what was listed just now, where that could begin before; raises ClusterError.
        """
        with self._lock:
            try:
                listing = listed() if listed else list_objects(self._api)
                self._kinds = tuple(one for one in listing.kinds if one.full_name in JUDGED)
                self._take(listing)
            except ClusterError as error:
                self._unlisted[ANYTHING] = error.message
        if self._before is not None and self._has_operator():
            self._settle()

    def look(self) -> None:
        """List anew what controls put on trial, but for what could not be listed at first.

        Raises:
            ClusterError: a kind could not be listed.
        """
        with self._lock:
            listing = list_kinds(self._api, tuple(one for one in self._kinds if one.full_name not in self._unlisted))
            for kind, why in listing.unlisted.items():
                raise ClusterError(f"{kind}: could not be listed: {why}")
            self._take(listing)

    def _take(self, listing: Listing) -> None:
        """Raises ClusterError."""
        self._unlisted |= listing.unlisted
        if ANYTHING in self._unlisted:
            return
        # Of a kind that could not be listed before the stack, all would seem to have come with it.
        known = [one for one in listing.objects if one.full_kind not in self._unlisted]
        origins = self._origins.among(known)
        anew = {one.full_name for one in listing.kinds}
        kept = {uid: one for uid, one in self._found.items() if one.full_kind not in anew}
        self._found = kept | {one.uid: one for one in known if one.uid in origins}
        self._how |= origins
        made = [(_resource(one, self._how[uid]), is_part(one)) for uid, one in self._found.items()]
        self._objects = tuple(one for one, _ in made)
        self._independent = tuple(one for one, part in made if not part)

    def _has_operator(self) -> bool:
        """Whether something may be at work that makes more: it did so already, or has objects of its own kind to look after."""
        made = any(one.origin is ObjectOrigin.OPERATOR for one in self.objects)
        return made or any(one.is_object and not is_own_group(one.key[0]) for one in self._resources)

    def _settle(self) -> None:
        end = time.monotonic() + _LONGEST
        seen, since = len(self.objects), time.monotonic()
        while time.monotonic() < min(end, since + _QUIET):
            time.sleep(0.5)  # many kinds at once: asked anew, which only stacks with an operator pay for
            try:
                self.look()
            except ClusterError:
                return  # whoever asks next is told
            if len(self.objects) != seen:
                seen, since = len(self.objects), time.monotonic()


def _resource(one: ObjectMetadata, origin: ObjectOrigin) -> Resource:
    hidden = "/last-applied-configuration"  # holds whole objects, Secrets' data too
    annotations = {key: text for key, text in one.annotations.items() if not key.endswith(hidden)}
    return Resource(
        "", type_of(one.api_version, one.kind), one.name, one.namespace, annotations=annotations, origin=origin
    )
