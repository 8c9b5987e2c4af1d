"""Clusters of sabotages: one at a time, and the next one made beside what comes before it."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.machine.ledger import Run
from pytest_k8ssec.reach.sampling import LIMIT
from pytest_k8ssec.sabotages.packs import Pack
from pytest_k8ssec.settings import Settings
from pytest_k8ssec.testbed.testbeds import Testbeds

LONG = 30
"""Seconds that a thread is given."""


class Makes:
    """Makes clusters, and knows which of them are there."""

    def __init__(self) -> None:
        self.there: list[str] = []
        self.made: list[str] = []
        self.may = threading.Event()
        self.may.set()
        self.fails = 0

    def make(self, variant: Pack) -> Any:
        """A new one, once it may be."""
        assert self.may.wait(LONG)
        self.made.append(variant.name)
        if self.fails:
            self.fails -= 1
            raise ClusterError("no room")
        self.there.append(variant.name)
        return SimpleNamespace(close=lambda: self.there.remove(variant.name))


@pytest.fixture
def makes() -> Makes:
    """What makes clusters."""
    return Makes()


@pytest.fixture
def testbeds(tmp_path: Path, makes: Makes) -> Testbeds:
    """Those of a process that does not own the run."""
    made = Testbeds(
        Settings(), cast("Run", SimpleNamespace(own="run", id="run", directory=tmp_path)), owner=False, progress=print
    )
    made._clusters = cast("Any", makes)
    return made


def pack(name: str) -> Pack:
    """A pack of nothing."""
    return Pack(name, ())


def test_a_foreseen_cluster_is_made_once_and_waited_for(testbeds: Testbeds, makes: Makes) -> None:
    """Whoever comes for it while it is being made gets that one."""
    one = pack("one")
    makes.may.clear()
    testbeds.foresee(one)
    testbeds.foresee(one)
    threading.Timer(0.05, makes.may.set).start()
    assert testbeds.testbed(one).cluster
    testbeds.foresee(one)
    assert makes.made == ["one"]


def test_a_foreseen_one_outlives_the_one_before_it(testbeds: Testbeds, makes: Makes) -> None:
    """It is made while that one stands; all go with the run, also what nobody came for."""
    assert testbeds.testbed(pack("one")).cluster
    testbeds.foresee(pack("two"))
    testbeds._making[-1].result(LONG)
    assert makes.there == ["one", "two"]
    assert testbeds.testbed(pack("two")).cluster
    assert makes.there == ["two"]
    testbeds.foresee(pack("three"))
    testbeds._making[-1].result(LONG)
    testbeds.close(failed=False)
    assert (makes.there, makes.made) == ([], ["one", "two", "three"])


def test_one_that_is_being_made_is_waited_for_at_the_end(
    testbeds: Testbeds, makes: Makes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else it would be there once everything is removed; who waits is told what for."""
    makes.may.clear()
    testbeds.foresee(pack("one"))
    while not testbeds._making[-1].running():
        time.sleep(0.001)
    threading.Timer(0.05, makes.may.set).start()
    testbeds.close(failed=True)
    assert not makes.there
    assert "waiting for the cluster of the next sabotage" in capsys.readouterr().out


def test_where_it_failed_it_is_made_anew_at_its_turn(testbeds: Testbeds, makes: Makes) -> None:
    """Only then somebody is there to be told why it can't be."""
    makes.fails = 1
    testbeds.foresee(pack("one"))
    assert testbeds._making[-1].exception(LONG) is not None
    assert testbeds.testbed(pack("one")).cluster
    assert makes.made == ["one", "one"]


@pytest.mark.parametrize(("said", "limit", "seed"), [({"reach_limit": 7, "reach_seed": 3}, 7, 3), ({}, LIMIT, None)])
def test_controls_choose_by_the_settings_and_by_one_seed(
    tmp_path: Path, said: dict[str, Any], limit: int, seed: int | None
) -> None:
    """Where nobody says one, chance does so once: what several controls of a testbed note is the same."""
    run = cast("Run", SimpleNamespace(own="run", id="run", directory=tmp_path))
    base = Testbeds(Settings(**said), run, owner=False, progress=print).base
    assert limit == base.sampling.limit
    assert base.sampling is base.sampling
    assert seed in (None, base.sampling.seed)
