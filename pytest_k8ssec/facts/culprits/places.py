"""Where an object of the cluster is declared: the line of the stack's program that declares it."""

from __future__ import annotations

from pathlib import Path

from pytest_k8ssec.evidence.causes import ObjectName
from pytest_k8ssec.stack import Stack


class DeclaredPlaces:
    """The places of a stack's objects.

    Args:
        stack: None where none was deployed: then no place is known.
        here: the folder that paths are shown from, so that they can be clicked.
    """

    def __init__(self, stack: Stack | None, here: Path) -> None:
        self._here = here
        # What a Helm Release made has the Release's URN, and is declared where that is.
        by_urn = {each.urn: each.place for each in (stack.resources if stack else ()) if each.place}
        self._by_name = {
            (each.kind, each.namespace, each.name): each.place or by_urn.get(each.urn, "")
            for each in (stack.objects if stack else ())
        }

    def of(self, what: ObjectName) -> str:
        """``file:line`` of an object; "" where nobody knows."""
        place = self._by_name.get((what.kind, what.namespace, what.name), "")
        return relative(place, self._here) if place else ""


def relative(place: str, here: Path) -> str:
    """A place as it is seen from a folder; one that is not below it stays whole."""
    path = Path(place)
    return str(path.relative_to(here)) if path.is_relative_to(here) else place
