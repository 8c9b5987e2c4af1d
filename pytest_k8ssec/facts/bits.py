"""Sets of numbered things, each as one integer: bit n stands for the n-th. One operation answers for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_

Bits = int
_VALUES = bytes.maketrans(b"01", b"\x00\x01")


def union(sets: Iterable[Bits]) -> Bits:
    """All that is in some of them."""
    return reduce(or_, sets, 0)


def spread(bits: Bits, count: int) -> bytes:
    """A set of things that are numbered below ``count``, as one byte for each: 1 for what is in it, 0 for what is not."""
    # Python writes a number to a base of two in linear time: some microseconds for thousands of things.
    return format(bits, f"0{count}b")[::-1].encode().translate(_VALUES) if count else b""


def either_of(ones: Bits, twos: Bits, count: int) -> bytes:
    """Two sets that have nothing in common, as one byte for each thing: 1 or 2 for what is in one of them, 0 for the rest."""
    row = spread(ones, count)
    if not twos:
        return row
    both = int.from_bytes(row, "little") | int.from_bytes(spread(twos, count), "little") << 1
    return both.to_bytes(count, "little")


def alike(sets: Sequence[Bits], count: int) -> tuple[list[int], list[tuple[int, ...]]]:
    """Which things are in the same of some sets: the class of each, and of each class in which of the sets it is."""
    kinds: dict[tuple[int, ...], int] = {}
    if not sets:
        return [0] * count, [()] if count else []
    numbers = [kinds.setdefault(kind, len(kinds)) for kind in zip(*(spread(each, count) for each in sets), strict=True)]
    return numbers, list(kinds)
