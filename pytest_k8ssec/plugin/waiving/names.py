"""The names by which a case, and one attack of it, can be waived; and what of them stays the same on another cluster."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_k8ssec.verdict import Attack, Case

_OBJECT = re.compile(r"(?:(?P<kind>[A-Z]\w*|service account) )?(?P<where>[a-z0-9][a-z0-9.-]*/[A-Za-z0-9][\w.:-]*)")
_NAMESPACE = re.compile(r"namespace (?P<name>[a-z0-9][a-z0-9-]*)\b")
_CONTAINER = re.compile(r", container (?P<name>[a-z0-9][a-z0-9-]*)")
_KINDS = {"service account": "ServiceAccount"}
_VOLATILE = (
    re.compile(r"\d+\.\d+\.\d+\.\d+"),
    re.compile(r"\[?[0-9a-f]*(?::[0-9a-f]*){2,}\]?"),
    re.compile(r"(?<=-)[bcdfghjklmnpqrstvwxz2456789]{6,10}-[bcdfghjklmnpqrstvwxz2456789]{5}\b"),
    re.compile(r"(?<=-)[bcdfghjklmnpqrstvwxz2456789]{5}\b"),
    re.compile(r"\b(?=[a-f]*\d)[0-9a-f]{6,}\b"),
    re.compile(r"(?<=\bbootstrap-token-)[a-z0-9]{6}\b"),
    re.compile(r"\b3[0-2]\d{3}\b"),
)
"""Addresses, what Kubernetes adds to the names of pods, ids of runs and of tokens, node ports: drawn anew for each cluster, or pod."""


def case_names(case: Case) -> tuple[str, ...]:
    """Each name of a case: its own, those that the control says, those of the object that its own begins with.

    ``Deployment web/shop, container init`` is ``web/shop`` and ``Deployment web/shop`` too, and both with ``/init``.
    """
    return tuple(dict.fromkeys((case.name, *case.subjects, *_of_object(case.name))))


def attack_names(case: Case, attack: Attack) -> tuple[str, ...]:
    """Each name of one attack of a case: those of the case, and ``CASE: ATTACK``."""
    return (*case_names(case), *(f"{name}: {attack.what}" for name in case_names(case)))


def lasting_name(case: str, attack: str, used: Iterable[Iterable[str]] = (), cluster: str = "") -> str:
    """The same for the same breach on another cluster, or after a rollout; what is alike but for that is one.

    Args:
        case: its name.
        attack: what was tried.
        used: each thing that the attack used, by its names: with another one it is another breach.
        cluster: the name of the cluster, with which its nodes' names begin, "" for none.
    """
    things = sorted({next(iter(names), "") for names in used})
    return _lasting(" | ".join([case, attack, *things]), cluster)


def _of_object(name: str) -> Iterator[str]:
    if space := _NAMESPACE.match(name):
        yield from (space["name"], f"Namespace {space['name']}")
    elif (found := _OBJECT.match(name)) and not name.startswith(" and ", found.end()):
        where = found["where"]
        kind = _KINDS.get(found["kind"] or "", found["kind"])
        container = _CONTAINER.search(name, found.end())
        for whole in (where, f"{kind} {where}") if kind else (where,):
            yield whole
            if container:
                yield f"{whole}/{container['name']}"


def _lasting(text: str, cluster: str) -> str:
    if cluster:
        text = re.sub(rf"(?<![a-z0-9./]){re.escape(cluster)}(?=-(?:control-plane|worker)\d*\b)", "@", text)
    for pattern in _VOLATILE:
        text = pattern.sub("@", text)
    return text
