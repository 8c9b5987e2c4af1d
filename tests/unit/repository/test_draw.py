"""What of the matrix `make test` runs is drawn by a seed, and each pack has its turn."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bench import draw
from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.plugin.known_packs import KnownPacks
from pytest_k8ssec.sabotages.packs import Pack

Told = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def packs() -> Sequence[Pack]:
    """Those of the packaged controls."""
    return list(KnownPacks(packaged_controls(), together=True))


def test_each_pack_has_its_turn(packs: Sequence[Pack]) -> None:
    """Over many seeds all are drawn; by each of them some of the running cluster and some with a cluster of their own."""
    named = {pack.name: pack for pack in packs}
    turns = [draw.drawn(packs, seed) for seed in range(200)]
    assert set(named) == {name for turn in turns for name in turn}
    assert {(False, True, True)} == {tuple(named[name].needs_cluster for name in turn) for turn in turns}
    assert all(len(set(turn)) == len(turn) for turn in turns)


def test_the_seed_that_is_told_draws_the_same_again(monkeypatch: pytest.MonkeyPatch, capsys: Told) -> None:
    """On standard output stands only what pytest takes."""
    monkeypatch.setattr("sys.argv", ["draw"])
    draw.main()
    first = capsys.readouterr()
    seed = first.err.partition("PACKS_SEED=")[2].partition(";")[0]
    monkeypatch.setattr("sys.argv", ["draw", seed])
    draw.main()
    assert first == capsys.readouterr()
    assert first.out.startswith("not beside and (")
