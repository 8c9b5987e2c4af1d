"""Draws what of the matrix ``make test`` runs: one pack of live sabotages, and two with clusters of their own.

``python -m bench.draw [SEED]`` prints what ``pytest -k`` finds them by, and on standard error the seed that draws the same again.
"""

from __future__ import annotations

import random
import secrets
import sys
from collections.abc import Iterable

from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.plugin.known_packs import KnownPacks
from pytest_k8ssec.sabotages.packs import Pack

_LIVE, _OWN = 1, 2
"""So many of each: a pack takes about a minute and a half, its bystanders left out."""


def drawn(packs: Iterable[Pack], seed: int) -> list[str]:
    """The names of the packs that a seed draws."""
    chance, packs = random.Random(seed), list(packs)  # noqa: S311 - so that a seed draws the same again
    return [
        pack.name
        for needs_cluster, number in ((False, _LIVE), (True, _OWN))
        for pack in chance.sample([each for each in packs if each.needs_cluster is needs_cluster], number)
    ]


def main() -> None:
    """See above."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else secrets.randbelow(10**6)
    names = drawn(KnownPacks(packaged_controls(), together=True), seed)
    print(f"sabotages of {', '.join(names)} (again: PACKS_SEED={seed}; all: make matrix)", file=sys.stderr)
    print(f"not beside and ({' or '.join(names)})")


if __name__ == "__main__":
    main()
