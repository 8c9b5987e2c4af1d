"""Puts sabotages of a running cluster in force, keeps them while tests run under them, and undoes them: ``Saboteur.leave``.

A sabotage is a generator that stands in its control's file: what comes before its ``yield`` breaks, what comes after undoes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pytest_k8ssec.catalogue.control import Sabotage
from pytest_k8ssec.errors import K8ssecError, NotUndone, SabotageError
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.sabotages.packs import Pack
from pytest_k8ssec.sabotages.proofs import changed_by

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.interface import Cluster

GetFixture = Callable[[str], Any]


class Saboteur:
    """Holds at most one pack of live sabotages in force.

    Args:
        changed: called whenever the cluster is no longer what it was.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._pack: Pack | None = None
        self._live: list[tuple[Sabotage, Iterator[Evidence]]] = []
        self._tainted = ""
        self._failed: dict[str, str] = {}
        self.changed: dict[str, list[str]] = {}
        """By sabotage in force that says so: the objects that it changed."""

    def enter(self, pack: Pack, cluster: Cluster, resolve: GetFixture) -> None:
        """Put live sabotages in force, after undoing others; those that are in force already stay.

        Args:
            cluster: what they will break.
            resolve: gives the value of a fixture that a sabotage names.

        Raises:
            SabotageError: one is refused, failed, or did not prove that it took effect. None of the pack is in force then,
                and it will not be tried again.
        """
        if self._pack == pack:
            return
        self.leave()
        self.check()
        if pack.name in self._failed:
            raise SabotageError(self._failed[pack.name])
        if not cluster.ours:
            raise SabotageError(f"sabotage {pack.name!r}: refused: this run did not create cluster {cluster.name}")
        try:
            for sabotage in pack.members:
                self._apply(sabotage, resolve)
        except BaseException as error:
            self._failed[pack.name] = str(error)
            if isinstance(error, NotUndone):  # its generator has ended, and says no more of it
                self._tainted = f"{pack.name!r} could not be undone, so this cluster proves nothing: {error}"
            self._undo_all()
            self._changed()
            raise
        self._pack = pack
        self._changed()

    def leave(self) -> None:
        """Undo what is in force, if something is.

        Raises:
            SabotageError: it could not be undone; nothing is judged on that cluster any more.
        """
        if self._pack is None:
            return
        self._pack = None
        self._undo_all()
        self._changed()

    def check(self) -> None:
        """Raises SabotageError where the cluster still carries a sabotage that could not be undone."""
        if self._tainted:
            raise SabotageError(self._tainted)

    @property
    def in_force(self) -> Pack | None:
        """What is in force."""
        return self._pack

    def _apply(self, sabotage: Sabotage, resolve: GetFixture) -> None:
        assert sabotage.live is not None
        generator = sabotage.live(**{name: resolve(name) for name in inspect.signature(sabotage.live).parameters})
        # From here on it has to be undone, whatever came of it.
        self._live.append((sabotage, generator))
        try:
            proof = next(generator)
            checked(sabotage, proof)
            if objects := changed_by(proof):
                self.changed[sabotage.name] = objects
        except StopIteration as error:
            raise SabotageError(f"sabotage {sabotage.name!r}: gave no evidence that it took effect") from error
        except SabotageError:
            raise
        except K8ssecError as error:
            raise SabotageError(f"sabotage {sabotage.name!r}: could not be applied: {error}") from error

    def _undo_all(self) -> None:
        """Let all sabotages come to their end, the last one first, also where one of them resists."""
        failed: BaseException | None = None
        self.changed = {}
        while self._live:
            try:
                self._undo(*self._live.pop())
            except BaseException as error:  # noqa: BLE001 - raised below, once the others are undone too
                failed = failed or error
        if failed is not None:
            raise failed

    def _undo(self, sabotage: Sabotage, generator: Iterator[Evidence]) -> None:
        """Let a sabotage come to its end; whatever goes wrong on the way, the cluster can't be trusted any more."""
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
