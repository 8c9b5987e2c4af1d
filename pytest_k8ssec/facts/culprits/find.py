"""From a result's breaches to their culprits: each cause goes to its finder, and each culprit gets its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import K8ssecError
from pytest_k8ssec.evidence.causes import (
    Blame,
    Cause,
    Culprit,
    Fields,
    Flow,
    Known,
    Lacking,
    ObjectName,
    Right,
    Setting,
)
from pytest_k8ssec.facts.culprits.fields import still_there, wrong_fields
from pytest_k8ssec.facts.culprits.lacking import has_none
from pytest_k8ssec.facts.culprits.policies import FlowFinder
from pytest_k8ssec.facts.culprits.rights import RightsFinder
from pytest_k8ssec.facts.culprits.settings import runs_with

_Answer = tuple[list[Culprit], str]
"""Culprits; where there is none, why."""
_Breach = tuple[str, str, tuple[Cause, ...]]
"""A case, what got through first, and what may have let through what did."""
_NO_CAUSE = "the control does not say what could have let this through"


class Finders:
    """A finder for each kind of cause, made when it is first needed.

    Args:
        cluster: its API is asked as ourselves.
        place_of: where an object is declared, "" where that is not known.
        words: how a finding is said, with ``{case}`` and ``{attack}``.
        instead: where to look where no culprit has a place: a user's own test, the cluster's configuration.
    """

    def __init__(
        self,
        cluster: Cluster,
        place_of: Callable[[ObjectName], str],
        instead: str = "",
        words: str = "{case}: {attack}",
    ) -> None:
        self._api = api = cluster.api
        self._place_of, self._instead, self._words = place_of, instead, words
        self._rights: RightsFinder | None = None
        self._known: dict[Cause, _Answer] = {}
        self._by_kind: Mapping[type, Callable[..., _Answer]] = {
            Flow: FlowFinder(api).find,
            Fields: partial(wrong_fields, api),
            Known: partial(still_there, api),
            Lacking: partial(has_none, api),
            Right: self._right,
            Setting: partial(runs_with, cluster),
        }

    def blame(self, breaches: Iterable[_Breach]) -> tuple[Blame, ...]:
        """What is to blame for each breach, or why nothing is named."""
        return tuple(self._blame(*each) for each in breaches)

    def _blame(self, case: str, attack: str, causes: tuple[Cause, ...]) -> Blame:
        culprits: dict[ObjectName, Culprit] = {}
        reasons: dict[str, None] = {}
        for cause in dict.fromkeys(causes):
            found, why = self._answer(cause)
            culprits |= {each.what: each for each in found if each.what not in culprits}
            if why:
                reasons[why] = None
        placed = tuple(replace(each, place=each.place or self._place_of(each.what)) for each in culprits.values())
        why_none = "" if placed else next(iter(reasons), _NO_CAUSE)
        place = next((each.place for each in placed if each.place), self._instead)
        return Blame(case, attack, placed, why_none, place, self._words)

    def _answer(self, cause: Cause) -> _Answer:
        if cause not in self._known:
            try:
                self._known[cause] = self._by_kind[type(cause)](cause)
            except K8ssecError as error:
                self._known[cause] = [], f"could not be asked for: {error.message}"
            except Exception as error:  # noqa: BLE001 - a breach is told, whatever becomes of the search for its cause
                self._known[cause] = [], f"could not be found out: {type(error).__name__}: {error}"
        return self._known[cause]

    def _right(self, right: Right) -> _Answer:
        if self._rights is None:
            self._rights = RightsFinder(self._api)
        return self._rights.find(right)
