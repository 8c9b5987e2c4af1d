"""One cluster, one stack, one pool: also where threads ask for them at the same moment."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_k8ssec.testbed.testbed import Testbed


class Site:
    """Makes clusters and stacks, each time another."""

    named = True
    source = "a stack"

    def begin(self) -> None:
        """Nothing to begin."""

    def end(self) -> None:
        """Nothing to end."""

    def make(self, _of: object) -> Any:
        """A new one."""
        return SimpleNamespace(close=lambda: None)


@pytest.fixture
def testbed() -> Testbed:
    """One where nothing was made yet."""
    site = cast("Any", Site())
    return Testbed(cast("Any", SimpleNamespace(own="run")), site, site, None)


@pytest.mark.parametrize("name", ["cluster", "stack", "pool"])
def test_two_threads_that_find_nothing_made_get_the_same(testbed: Testbed, name: str) -> None:
    """From Python 3.12 on both come to the function behind the cached property."""
    make = Testbed.__dict__[name].func
    assert make(testbed) is make(testbed) is getattr(testbed, name)


def test_after_its_end_another_is_made(testbed: Testbed) -> None:
    """What is gone is not handed out."""
    before = testbed.cluster
    testbed.close()
    assert not testbed.has_cluster
    assert before is not testbed.cluster
