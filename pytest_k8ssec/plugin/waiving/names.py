"""The names by which a case, and one attack of it, can be waived."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_k8ssec.verdict import Attack, Case

_OBJECT = re.compile(r"(?:(?P<kind>[A-Z]\w*|service account) )?(?P<where>[a-z0-9][a-z0-9.-]*/[A-Za-z0-9][\w.:-]*)")
_NAMESPACE = re.compile(r"namespace (?P<name>[a-z0-9][a-z0-9-]*)\b")
_CONTAINER = re.compile(r", container (?P<name>[a-z0-9][a-z0-9-]*)")
_KINDS = {"service account": "ServiceAccount"}


def case_names(case: Case) -> tuple[str, ...]:
    """Each name of a case: its own, those that the control says, those of the object that its own begins with.

    ``Deployment web/shop, container init`` is ``web/shop`` and ``Deployment web/shop`` too, and both with ``/init``.
    """
    return tuple(dict.fromkeys((case.name, *case.subjects, *_of_object(case.name))))


def attack_names(case: Case, attack: Attack) -> tuple[str, ...]:
    """Each name of one attack of a case: those of the case, and ``CASE: ATTACK``."""
    return (*case_names(case), *(f"{name}: {attack.what}" for name in case_names(case)))


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
