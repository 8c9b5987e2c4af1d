"""The answer to a question about reachability: true, false with the culprits, or an error if it is not known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_k8ssec.errors import ProbeError

if TYPE_CHECKING:
    from pytest_k8ssec.reach.cell import Cell

_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to a question; made for ``assert``.

    It is true only if every connection is known and as it must be. It is false if a connection is known not to be as it
    must be, and names that one. Otherwise, if a connection is unknown, asking for its truth is an error. Where many pods are
    sampled, connections that were not measured count by their class, and are counted.
    """

    words: str
    asked: int
    culprits: tuple[Cell, ...]
    unknown: tuple[Cell, ...]
    by_class: int = 0
    """How many of those that are known were not measured, and have the answer of their class."""

    def __bool__(self) -> bool:
        """Raises ProbeError if it can't be told, or if no connection was asked about: that would always be true."""
        if not self.asked:
            raise ProbeError(f"{self.words}: no connection was tried that could tell")
        if not self.culprits and self.unknown:
            raise ProbeError(
                f"{self.words}: can't be told: {len(self.unknown)} of {self.asked} connections are unknown",
                details="\n".join(_listed(self.unknown)),
            )
        return not self.culprits

    def __str__(self) -> str:
        if not self.culprits and not self.unknown:
            by_class = f" and {self.by_class} not, which are as their class" if self.by_class else ""
            return f"{self.words}: {self.asked - self.by_class} connections tried{by_class}, all as they must be"
        of_class = f" ({self.by_class} were not measured, and are as their class)" if self.by_class else ""
        lines = [f"{self.words}: {len(self.culprits)} of {self.asked} connections are not as they must be{of_class}"]
        lines += [f"  {line}" for line in _listed(self.culprits)]
        if self.unknown:
            lines += [f"and {len(self.unknown)} are unknown", *(f"  {line}" for line in _listed(self.unknown))]
        return "\n".join(lines)

    def __repr__(self) -> str:
        """What pytest shows of a failed assert, which it cuts to 240 characters: the first culprit, and how many more."""
        if not self.culprits:
            by_class = f", {self.by_class} of {self.asked} by class" if self.by_class else ""
            return f"<{self.words}: {'can not be told' if self.unknown else 'yes'}{by_class}>"
        more = f" and {len(self.culprits) - 1} more" if len(self.culprits) > 1 else ""
        return f"<not so: {self.culprits[0]}{more}>"


def judge_cells(words: str, cells: Iterable[Cell], as_it_must_be: Callable[[Cell], bool]) -> Finding:
    """Tell the cells apart: as they must be, known not to be, and unknown."""
    asked, by_class = 0, 0
    culprits, unknown = [], []
    for cell in cells:
        asked += 1
        by_class += cell.by_class
        if cell.verdict == "unknown":
            unknown.append(cell)
        elif not as_it_must_be(cell):
            culprits.append(cell)
    return Finding(words, asked, tuple(culprits), tuple(unknown), by_class)


def _listed(cells: tuple[Cell, ...]) -> list[str]:
    lines = [str(cell) for cell in cells[:_SHOWN]]
    return lines + ([f"... and {len(cells) - _SHOWN} more"] if len(cells) > _SHOWN else [])
