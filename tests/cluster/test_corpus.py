"""Stacks as people have them get the verdicts that were written down before: some of the corpus, or all of it.

``make test-cluster`` does two stacks, drawn by K8SSEC_CORPUS_SEED; K8SSEC_CORPUS=all does all, as `make test-corpus` does
and keeps.
"""

from __future__ import annotations

import os
import random
import secrets

from bench.corpus.compare import compare
from bench.corpus.expected import Entry, corpus
from bench.corpus.run import ran
from tests.cluster.harness import Place

SEED = int(os.environ.get("K8SSEC_CORPUS_SEED") or secrets.randbelow(10**6))
STACKS = 2
"""So many take less than four minutes."""


def drawn() -> tuple[Entry, ...]:
    """The stacks of this run."""
    entries = corpus()
    return entries if os.environ.get("K8SSEC_CORPUS") == "all" else tuple(random.Random(SEED).sample(entries, STACKS))


def test_stacks_get_the_verdicts_that_are_right_for_them(place: Place) -> None:
    """Of the same subjects, and of no others."""
    wrong = []
    for entry in drawn():
        came = ran(entry, place.root / "corpus" / entry.name, {**place.environ, "K8SSEC_FRESH": "0"})
        wrong += [row.line for row in compare(entry, came.results, came.why) if not row.right]
    assert not wrong, "\n".join((f"K8SSEC_CORPUS_SEED={SEED}", *wrong))
