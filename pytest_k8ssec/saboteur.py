"""Sabotage of a running cluster: put in force, proven, kept while tests run under it, undone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pytest_k8ssec.control import Sabotage
from pytest_k8ssec.errors import K8ssecError, SabotageError
from pytest_k8ssec.evidence import Evidence

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.interface import Cluster


class Saboteur:
    """Holds at most one live sabotage in force.

    Args:
        changed: called whenever the cluster is no longer what it was.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._live: tuple[Sabotage, Iterator[Evidence]] | None = None
        self._tainted = ""

    def enter(self, sabotage: Sabotage, cluster: Cluster, resolve: Callable[[str], Any]) -> None:
        """Put a live sabotage in force, after undoing another one; one that is in force already stays.

        Args:
            cluster: what it will break.
            resolve: gives the value of a fixture that the sabotage names.

        Raises:
            SabotageError: it is refused, failed, or did not prove that it took effect.
        """
        if self._live and self._live[0] is sabotage:
            return
        self.leave()
        if self._tainted:
            raise SabotageError(self._tainted)
        if not cluster.ours:
            raise SabotageError(f"sabotage {sabotage.name!r}: refused: this run did not create cluster {cluster.name}")
        assert sabotage.live is not None
        generator = sabotage.live(**{name: resolve(name) for name in inspect.signature(sabotage.live).parameters})
        try:
            checked(sabotage, next(generator))
        except BaseException as error:
            self._undo(sabotage, generator)
            self._changed()
            if isinstance(error, StopIteration):
                raise SabotageError(f"sabotage {sabotage.name!r}: gave no evidence that it took effect") from error
            if isinstance(error, K8ssecError) and not isinstance(error, SabotageError):
                raise SabotageError(f"sabotage {sabotage.name!r}: could not be applied: {error}") from error
            raise
        self._live = (sabotage, generator)
        self._changed()

    def leave(self) -> None:
        """Undo the sabotage that is in force, if one is.

        Raises:
            SabotageError: it could not be undone; nothing is judged on that cluster any more.
        """
        if self._live is None:
            return
        (sabotage, generator), self._live = self._live, None
        self._undo(sabotage, generator)
        self._changed()

    def check(self) -> None:
        """Raises SabotageError where the cluster still carries a sabotage that could not be undone."""
        if self._tainted:
            raise SabotageError(self._tainted)

    @property
    def in_force(self) -> Sabotage | None:
        """The sabotage that is in force."""
        return self._live[0] if self._live else None

    def _undo(self, sabotage: Sabotage, generator: Iterator[Evidence]) -> None:
        """Let the sabotage come to its end; whatever goes wrong on the way, the cluster can't be trusted any more."""
        try:
            for _ in generator:
                raise SabotageError("it yields more than once")
        except BaseException as error:
            why = str(error) if isinstance(error, K8ssecError) else f"{type(error).__name__}: {error}"
            self._tainted = f"sabotage {sabotage.name!r}: could not be undone, so this cluster proves nothing: {why}"
            if not isinstance(error, Exception):
                raise  # an interrupt stays one
            raise SabotageError(self._tainted) from error


def checked(sabotage: Sabotage, proof: object) -> None:
    """Raises SabotageError unless ``proof`` is evidence of a probe that worked."""
    if not isinstance(proof, Evidence):
        raise SabotageError(f"sabotage {sabotage.name!r}: gave no evidence that it took effect")
    if proof.broken:
        raise SabotageError(f"sabotage {sabotage.name!r}: could not prove that it took effect: {proof}")
