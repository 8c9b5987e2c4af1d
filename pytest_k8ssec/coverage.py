"""What there is to try, by combination, beside what was tried: no *held* speaks for anything else.

A control has *dimensions*: node, port, verb, account. It says which combinations of their values exist, from facts of the
cluster and not from the list of what it tries; and each of its attacks says which combinations it tries. What exists and
was not tried makes a verdict inconclusive, by name. TCP from one node and UDP from another do not cover both from both.

Only a *class* that the control states shrinks that: of combinations that no rule of the cluster tells apart, one that was
tried speaks for all. What is *absent* by evidence (nothing listens there) changes no verdict, and is listed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from pytest_k8ssec.evidence import JSON

Combination = tuple[tuple[str, str], ...]
"""Values by dimension, in the order of the dimensions' names."""

_LISTED = 100
"""Combinations of one kind that a report lists; it counts the others."""
_NAMED = 3
"""Those that a reason names."""
_UNTRIED = "no attack tried it"


def combination(at: Mapping[str, object]) -> Combination:
    """One value for each dimension, each as text, so that equal ones are equal whoever made them."""
    return tuple(sorted((dimension, str(value)) for dimension, value in at.items()))


@dataclass(slots=True)
class Coverage:
    """The combinations that exist, with what is said of them. Each :class:`~pytest_k8ssec.verdict.Judge` has one.

    Args:
        dimensions: those of a control that declared them; () takes any.
    """

    dimensions: tuple[str, ...] = ()
    _classes: dict[Combination, str] = field(default_factory=dict)
    _left_out: dict[Combination, str] = field(default_factory=dict)
    _absent: dict[Combination, str] = field(default_factory=dict)

    def exists(self, *, alike: str = "", **at: object) -> None:
        """Say that there is this combination to try.

        Args:
            alike: the class of those that nothing in the cluster tells apart: any of them speaks for all. "" for none.
            at: a value for each dimension.

        Raises:
            TypeError: these are not the control's dimensions.
        """
        self._classes[self.checked(at)] = alike

    def left_out(self, why: str, **at: object) -> None:
        """Say that there is this combination, that nobody tries it, and why: that alone makes a verdict inconclusive.

        Raises:
            TypeError: as :meth:`exists`.
        """
        made = self.checked(at)
        self._classes.setdefault(made, "")
        self._left_out[made] = why

    def absent(self, why: str, **at: object) -> None:
        """Say that evidence shows that there is nothing to try here; it is listed, and changes no verdict.

        Raises:
            TypeError: as :meth:`exists`.
        """
        self._absent[self.checked(at)] = why

    def checked(self, at: Mapping[str, object]) -> Combination:
        """The combination. Raises TypeError where its dimensions are others than the control's."""
        if self.dimensions and at.keys() != set(self.dimensions):
            raise TypeError(f"dimensions are {', '.join(self.dimensions)}, not {', '.join(at)}")
        return combination(at)

    def untried(self, tried: Collection[Combination]) -> dict[Combination, str]:
        """What exists, was not tried, and is not spoken for; and why.

        Args:
            tried: what attacks tried.
        """
        spoken_for = {kind for each in tried if (kind := self._classes.get(each, ""))}
        return {
            each: self._left_out.get(each, _UNTRIED)
            for each, kind in self._classes.items()
            if each not in tried and each not in self._absent and kind not in spoken_for
        }

    def reason(self, tried: Collection[Combination]) -> str:
        """Why what was tried is not enough, in a line; "" where it is.

        Args:
            tried: what attacks tried.
        """
        if self.dimensions and not (self._classes or self._absent):
            return f"not tried: nobody said what there is to try, by {', '.join(self.dimensions)}"
        untried = self.untried(tried)
        if not untried:
            return ""
        named = [f"{in_words(each)} ({why})" for each, why in list(untried.items())[:_NAMED]]
        more = len(untried) - len(named)
        return f"not tried: {'; '.join(named)}{f'; and {more} more' if more else ''}"

    def words(self, tried: Collection[Combination]) -> str:
        """How much of it was tried, in a line; "" where no combination is known."""
        return self._in_words(self._count(tried, self.untried(tried))) if self._classes or self._absent else ""

    def _in_words(self, known: Mapping[str, int]) -> str:
        further = [f"{known[kind]} {words}" for kind, words in _FURTHER.items() if known[kind]]
        names = dict.fromkeys(dimension for each in (*self._classes, *self._absent) for dimension, _ in each)
        whole = f"{known['tried']} of {known['existing']} combinations of {', '.join(self.dimensions or names)} tried"
        return ", ".join((whole, *further))

    def to_json(self, tried: Collection[Combination]) -> JSON:
        """JSON-compatible form for the report; None where no combination is known."""
        if not self._classes and not self._absent:
            return None
        untried = self.untried(tried)
        known = self._count(tried, untried)
        return {
            "words": self._in_words(known),
            **known,
            "untried": _listed(untried),
            "nothing_there": _listed(self._absent),
        }

    def _count(self, tried: Collection[Combination], untried: Collection[Combination]) -> dict[str, int]:
        existing = [each for each in self._classes if each not in self._absent]
        hit = sum(each in tried for each in existing)
        return {
            "existing": len(existing),
            "tried": hit,
            "by_class": len(existing) - hit - len(untried),
            "left_out": len(untried),
            "absent": len(self._absent),
        }


_FURTHER = {"by_class": "by their class", "left_out": "left out", "absent": "absent"}


def in_words(at: Combination) -> str:
    """``node worker, port 22379``."""
    return ", ".join(f"{dimension} {value}" for dimension, value in at)


def _listed(found: Mapping[Combination, str]) -> list[JSON]:
    return [{"at": dict(each), "why": why} for each, why in list(found.items())[:_LISTED]]
