"""Looks for secret values in everything that a cluster shows, and plants a marker that such a search must find."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_k8ssec.clusters.api import Body, KubeApi
from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.facts.inventory import logs, objects
from pytest_k8ssec.stack import Leak, leaks

_US = Source("client", "this process")
_SHOWN = 5
"""How many places evidence names."""


@dataclass(frozen=True, slots=True)
class Search:
    """Where values were looked for, and what was found: in which document, and where in it."""

    where: str
    finds: tuple[tuple[str, Leak], ...]
    cut: tuple[str, ...] = ()
    """Documents of which only the beginning was searched."""
    places: frozenset[str] = frozenset()
    """What the documents are of: see :func:`objects_of` and :func:`logs_of`."""

    def of(self, name: str) -> Search:
        """What was found of one value."""
        return replace(self, finds=tuple(each for each in self.finds if each[1].secret == name))

    def at(self, documents: Collection[str]) -> Search:
        """What was found in these documents."""
        return replace(self, finds=tuple(each for each in self.finds if each[0] in documents))

    def elsewhere_than(self, documents: Collection[str]) -> Search:
        """What was found in other documents than these."""
        return replace(self, finds=tuple(each for each in self.finds if each[0] not in documents))

    @property
    def found(self) -> bool | None:
        """Whether it was found; None where it was not, but not all was looked at."""
        return True if self.finds else None if self.cut else False

    @property
    def evidence(self) -> Evidence:
        """Where it was found, and in which form: never the value."""
        words = [f"{document}: {leak.place} {leak.form}" for document, leak in self.finds]
        words += [f"{document}: only its beginning was read" for document in self.cut]
        more = [f"and {len(words) - _SHOWN} more"] if len(words) > _SHOWN else []
        outcome = Outcome.DONE if self.finds else Outcome.ABSENT
        return Evidence(_US, f"search {self.where} for it", outcome, "; ".join(words[:_SHOWN] + more))


def in_objects(api: KubeApi, namespaces: Sequence[str], values: Mapping[str, str]) -> Search:
    """Look for values, by name, in every object of these namespaces, and in every object outside of namespaces.

    A document's name is ``Kind namespace/name``.

    Raises:
        ProbeError: something could not be listed.
    """
    listed = list(objects(api, namespaces))
    found = _search("objects, events among them", ((_title(one), one) for one in listed), values)
    return replace(found, places=frozenset(objects_of(one["metadata"].get("namespace", "")) for one in listed))


def in_logs(api: KubeApi, namespaces: Sequence[str], values: Mapping[str, str]) -> Search:
    """Look for values, by name, in every log of these namespaces.

    Raises:
        ProbeError: a log could not be read.
    """
    read = [(f"log of {whose}", text, whole) for whose, text, whole in logs(api, namespaces)]
    found = _search("logs", ((name, {"text": text}) for name, text, _ in read), values)
    places = frozenset(logs_of(name.removeprefix("log of ").partition("/")[0]) for name, _, _ in read)
    return replace(found, cut=tuple(name for name, _, whole in read if not whole), places=places)


def objects_of(namespace: str) -> str:
    """How the objects of a namespace are named together; "" for those that are in none."""
    return f"objects of namespace {namespace}" if namespace else "objects of no namespace"


def logs_of(namespace: str) -> str:
    """How the logs of a namespace are named together."""
    return f"logs of namespace {namespace}"


def _search(what: str, documents: Iterable[tuple[str, Body]], values: Mapping[str, str]) -> Search:
    listed = list(documents)
    found = tuple((name, leak) for name, document in listed for leak in leaks(document, values))
    return Search(f"{len(listed)} {what}", found)


def _title(one: Body) -> str:
    meta = one["metadata"]
    return f"{one['kind']} " + "/".join(meta[key] for key in ("namespace", "name") if meta.get(key))


_PACKED = ("plain", "base64", "twice", "packed", "packed-twice")


def marked(namespace: str, marker: str) -> tuple[Body, Body]:
    """A ConfigMap that holds a marker in every form, and an event that holds it in plain."""
    name = f"k8ssec-marker-{marker[:6]}"
    meta = {"name": name, "namespace": namespace}
    packed = gzip.compress(marker.encode())
    forms = (marker, in_base64(marker), in_base64(in_base64(marker)), in_base64(packed), in_base64(in_base64(packed)))
    about = {"kind": "ConfigMap", "apiVersion": "v1", "name": name, "namespace": namespace}
    return (
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": meta,
            "data": dict(zip(_PACKED, forms, strict=True)),
        },
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": meta,
            "involvedObject": about,
            "reason": "K8ssec",
            "message": f"a marker: {marker}",
            "type": "Normal",
        },
    )


def found_all(search: Search) -> bool:
    """Whether a search found each place in which :func:`marked` puts its marker."""
    wanted = {("ConfigMap", f"data.{form}") for form in _PACKED} | {("Event", "message")}
    return wanted <= {(document.partition(" ")[0], leak.place) for document, leak in search.finds}


def in_base64(data: bytes | str) -> str:
    """The data, in base64."""
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()
