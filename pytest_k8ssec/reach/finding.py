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
    must be, and names that one. Otherwise, if a connection is unknown, asking for its truth is an error.
    """

    words: str
    asked: int
    culprits: tuple[Cell, ...]
    unknown: tuple[Cell, ...]

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
            return f"{self.words}: {self.asked} connections tried, all as they must be"
        lines = [f"{self.words}: {len(self.culprits)} of {self.asked} connections are not as they must be"]
        lines += [f"  {line}" for line in _listed(self.culprits)]
        if self.unknown:
            lines += [f"and {len(self.unknown)} are unknown", *(f"  {line}" for line in _listed(self.unknown))]
        return "\n".join(lines)

    def __repr__(self) -> str:
        """What pytest shows of a failed assert, which it cuts to 240 characters: the first culprit, and how many more."""
        if not self.culprits:
            return f"<{self.words}: {'can not be told' if self.unknown else 'yes'}>"
        more = f" and {len(self.culprits) - 1} more" if len(self.culprits) > 1 else ""
        return f"<not so: {self.culprits[0]}{more}>"


def judge_cells(words: str, cells: Iterable[Cell], as_it_must_be: Callable[[Cell], bool]) -> Finding:
    """Tell the cells apart: as they must be, known not to be, and unknown."""
    asked = 0
    culprits, unknown = [], []
    for cell in cells:
        asked += 1
        if cell.verdict == "unknown":
            unknown.append(cell)
        elif not as_it_must_be(cell):
            culprits.append(cell)
    return Finding(words, asked, tuple(culprits), tuple(unknown))


def _listed(cells: tuple[Cell, ...]) -> list[str]:
    lines = [str(cell) for cell in cells[:_SHOWN]]
    return lines + ([f"... and {len(cells) - _SHOWN} more"] if len(cells) > _SHOWN else [])
