"""Where an object of the cluster is declared: the line of the stack's program, or of the kind configuration."""

from __future__ import annotations

from pathlib import Path

from pytest_k8ssec.clusters.kind_lines import line_of
from pytest_k8ssec.evidence.causes import ObjectName
from pytest_k8ssec.stack import Stack


class DeclaredPlaces:
    """The places of a stack's objects, and of a cluster's settings.

    Args:
        stack: None where none was deployed: then no place of an object is known.
        kind_config: None where the packaged one was used, which nobody can change.
        here: the folder that paths are shown from, so that they can be clicked.
    """

    def __init__(self, stack: Stack | None, kind_config: Path | None, here: Path) -> None:
        self._kind_config, self._here = kind_config, here
        # What a Helm Release made has the Release's URN, and is declared where that is.
        by_urn = {each.urn: each.place for each in (stack.resources if stack else ()) if each.place}
        self._by_name = {
            (each.kind, each.namespace, each.name): each.place or by_urn.get(each.urn, "")
            for each in (stack.objects if stack else ())
        }

    def of(self, what: ObjectName) -> str:
        """``file:line`` of an object or a setting; "" where nobody knows."""
        if what.kind == "Setting":
            found = line_of(self._kind_config.resolve(), what.field.rpartition(".")[2]) if self._kind_config else ""
        else:
            found = self._by_name.get((what.kind, what.namespace, what.name), "")
        return relative(found, self._here) if found else ""

    def of_cluster(self) -> str:
        """The kind configuration, "" where that is not the user's."""
        return relative(str(self._kind_config.resolve()), self._here) if self._kind_config else ""


def relative(place: str, here: Path) -> str:
    """A place as it is seen from a folder; one that is not below it stays whole."""
    path, here = Path(place), here.resolve()
    return str(path.relative_to(here)) if path.is_relative_to(here) else place
