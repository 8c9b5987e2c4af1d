"""Objects made by Helm Releases, which Pulumi does not list. Helm does, in a Secret of its own for each revision.

Source: https://helm.sh/docs/topics/advanced/#storage-backends
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.errors.yaml_text import NotYaml, load_yaml_documents
from pytest_k8ssec.evidence import JSON, Evidence, Outcome, Source
from pytest_k8ssec.stack.model import Stack
from pytest_k8ssec.stack.resource import ObjectOrigin, Resource
from pytest_k8ssec.stack.types import RELEASE, type_of
from pytest_k8ssec.verdict import Judge

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.api import KubeApi

_HERE = Source("client", "this process")
_OK: Final = 200
_GONE: Final = 404
_GZIP: Final = b"\x1f\x8b"
_UNPACKED: Final = 64 << 20
"""Bytes that a record may have: etcd takes 1 MiB of it, packed."""
_RANDOM_END: Final = re.compile(r"-[0-9a-f]{8}")
"""What Pulumi appends to the name of a Release that the program did not name."""


def with_release_objects(resources: Iterable[Resource], api: KubeApi) -> tuple[Resource, ...]:
    """The resources, and behind each Release the objects that it made: under its URN, as they have none of their own.

    A Release whose records can't be read stays alone; ``tell_unseen`` then keeps verdicts from being held.
    """
    found: list[Resource] = []
    for one in resources:
        if one.type != RELEASE or one.external:
            found.append(one)
            continue
        revisions = _revisions(one, api)
        named = replace(one, name=revisions[0].release) if revisions else one
        found.append(named)
        try:
            made = [each for revision in _that_count(revisions) for each in _objects(named, revision, api)]
        except _Unreadable:
            continue  # some of its objects would be missed, and nobody would know
        once: dict[tuple[str, ...], Resource] = {}
        for each in made:  # what is in force comes before what broke off
            once.setdefault(each.key, each)
        found += once.values()
    return tuple(found)


class _Unreadable(Exception):
    """Something in Helm's record, or on the cluster, could not be read."""


@dataclass(frozen=True, slots=True)
class _Revision:
    """One of Helm's records of a Release."""

    release: str
    number: int
    status: str
    secret: JSON

    @property
    def in_force(self) -> bool:
        """Whether Helm says that all of it was applied."""
        return self.status == "deployed"


def tell_unseen(judge: Judge, stack: Stack, allowed: Mapping[str, str]) -> None:
    """Keep a verdict on the stack from being held while nobody has looked at what its Helm Releases made.

    Args:
        allowed: ``Release NAME`` to the reason why its objects need not be judged.

    Source: https://www.pulumi.com/registry/packages/kubernetes/api-docs/helm/v3/release/
    """
    seen = {one.urn for one in stack.objects if one.origin in (ObjectOrigin.RELEASE, ObjectOrigin.HOOK)}
    for release in stack.releases:
        if release.urn in seen:
            continue
        subject = f"Release {release.name}"
        if subject in allowed:
            judge.note(f"what {subject} made is not judged: {allowed[subject]}")
            continue
        why = "Helm's record of its objects can't be read: use helm.sh/v4:Chart, or declare it with a reason"
        nothing = Evidence(_HERE, f"look for objects of {release.urn}", Outcome.ERROR, why)
        case = judge.case(f"what {subject} made")
        case.positive("it is known", nothing, succeeded=None)
        case.attack("attack it", nothing, through=None)


def _revisions(release: Resource, api: KubeApi) -> list[_Revision]:
    """Helm's records of a Release, the newest first; none where there are none that can be read."""
    where = api.path("v1", "Secret", release.namespace or "default")
    answer = api.request("GET", where, params={"labelSelector": "owner=helm"})
    named: dict[str, list[_Revision]] = {}
    for one in answer.body.get("items") or [] if answer.status == _OK else []:
        labels = one["metadata"]["labels"]
        name = str(labels.get("name"))
        named.setdefault(name, []).append(
            _Revision(name, int(labels.get("version") or 0), str(labels.get("status")), one)
        )
    found = named.get(release.name, [])
    if not found and (alike := _invented(release, named)):
        found = named[alike]
    return sorted(found, key=lambda one: one.number, reverse=True)


def _invented(release: Resource, named: Iterable[str]) -> str:
    """The one Release that may be meant where a preview has made up the name's end; "" where the program gave the name."""
    start = release.urn.rsplit("::", 1)[-1]

    def fits(name: str) -> bool:
        return name.startswith(start) and bool(_RANDOM_END.fullmatch(name[len(start) :]))

    if release.id or not fits(release.name):
        return ""
    alike = [name for name in named if fits(name)]
    return alike[0] if len(alike) == 1 else ""


def _that_count(revisions: Sequence[_Revision]) -> Iterator[_Revision]:
    """The newest that is in force, first; and each that broke off, as Helm takes back nothing of what such a one has made.

    Source: https://helm.sh/docs/helm/helm_upgrade/ (``--cleanup-on-fail``)
    """
    in_force = next((one for one in revisions if one.in_force), None)
    if in_force:
        yield in_force
    yield from (one for one in revisions if one.status not in ("deployed", "superseded"))
    if not revisions:
        raise _Unreadable


def _unpacked(secret: JSON) -> Mapping[str, Any]:
    try:
        packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
        if packed.startswith(_GZIP):
            packed = zlib.decompressobj(wbits=31).decompress(packed, _UNPACKED)
        record = json.loads(packed)
    except (KeyError, TypeError, ValueError, binascii.Error, zlib.error) as error:
        raise _Unreadable from error
    if not isinstance(record, dict):
        raise _Unreadable
    return record


def _objects(release: Resource, revision: _Revision, api: KubeApi) -> Iterator[Resource]:
    """What the record lists; of what hooks made, and what broke off, only what is still there, as Helm does not keep it.

    Raises:
        _Unreadable: some of it can't be told.
    """
    record = _unpacked(revision.secret)
    kept, hooks = str(record.get("manifest") or ""), record.get("hooks") or []
    texts = [(kept, ObjectOrigin.RELEASE), *((str(hook.get("manifest") or ""), ObjectOrigin.HOOK) for hook in hooks)]
    for text, origin in texts:
        for manifest in _manifests(text):
            made = _resource(release, record, manifest, api, origin)
            if (revision.in_force and origin is ObjectOrigin.RELEASE) or _is_there(made, manifest, api):
                yield made


def _manifests(text: str) -> Iterator[Mapping[str, Any]]:
    try:
        documents = load_yaml_documents(text)
    except NotYaml as error:  # Helm's parser takes some that this one does not
        raise _Unreadable from error
    for one in documents:
        if one:
            yield from _single(one)


def _single(manifest: Any) -> Iterator[Mapping[str, Any]]:
    """The manifest, or those in a list; items of a typed list need not say their kind."""
    if not (isinstance(manifest, Mapping) and manifest.get("kind") and manifest.get("apiVersion")):
        raise _Unreadable
    kind, items = str(manifest["kind"]), manifest.get("items")
    if not (kind.endswith("List") and isinstance(items, list)):
        yield manifest
        return
    of_list = {"kind": kind.removesuffix("List"), "apiVersion": manifest["apiVersion"]}
    for item in items:
        if not isinstance(item, Mapping):
            raise _Unreadable
        yield from _single({**of_list, **item})


def _resource(
    release: Resource, record: Mapping[str, Any], manifest: Mapping[str, Any], api: KubeApi, origin: ObjectOrigin
) -> Resource:
    metadata = manifest.get("metadata") or {}
    if not metadata.get("name"):
        raise _Unreadable
    version, kind, name = str(manifest["apiVersion"]), str(manifest["kind"]), str(metadata.get("name") or "")
    namespace = str(metadata.get("namespace") or record.get("namespace") or release.namespace or "default")
    try:
        is_placed = "/namespaces/" in api.path(version, kind, namespace, name)
    except ClusterError as error:  # what was made may live on, under another version of its kind
        raise _Unreadable from error
    return Resource(
        urn=release.urn,
        type=type_of(version, kind),
        name=name,
        namespace=namespace if is_placed else "",
        annotations={key: str(text) for key, text in (metadata.get("annotations") or {}).items()},
        origin=origin,
    )


def _is_there(made: Resource, manifest: Mapping[str, Any], api: KubeApi) -> bool:
    path = api.path(str(manifest["apiVersion"]), made.kind, made.namespace, made.name)
    status = api.request("GET", path).status
    if status not in (_OK, _GONE):
        raise _Unreadable
    return status == _OK
