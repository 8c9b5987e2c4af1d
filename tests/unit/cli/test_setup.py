"""A cluster that is made for one look: it goes in every ending, and what was seen matters more than how it went."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_k8ssec.cli.setup import passing_testbed
from pytest_k8ssec.errors import ClusterError, ProbeError
from pytest_k8ssec.settings import Settings
from pytest_k8ssec.testbed import testbeds


@dataclass
class Begun:
    """Testbeds of a run that has begun."""

    base: object = "testbed"
    refuses: bool = False
    removed: list[object] = field(default_factory=list)

    def remove(self) -> None:
        """All that was made."""
        self.removed.append(self.base)
        if self.refuses:
            raise ClusterError("docker daemon: none answers")


def begun(monkeypatch: pytest.MonkeyPatch, *, refuses: bool = False) -> Begun:
    """What the next run begins with."""
    made = Begun(refuses=refuses)

    def begin(_: Settings, **__: Any) -> Begun:
        return made

    monkeypatch.setattr(testbeds, "begin", begin)
    return made


def test_a_testbed_goes_in_every_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the look at it failed; the error is that of the look."""
    made = begun(monkeypatch)
    with passing_testbed(Settings(), lambda _: None) as testbed:
        assert made.base is testbed
        assert [] == made.removed
    with pytest.raises(ProbeError, match="no answer"), passing_testbed(Settings(), lambda _: None):
        raise ProbeError("no answer")
    assert [made.base] * 2 == made.removed


def test_a_clean_up_that_failed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no error: neither what was found nor why it was not may be lost by it."""
    begun(monkeypatch, refuses=True)
    told: list[str] = []
    with passing_testbed(Settings(), told.append):
        pass
    with pytest.raises(ProbeError, match="no answer"), passing_testbed(Settings(), told.append):
        raise ProbeError("no answer")
    assert [
        "removing what was made",
        "clean-up failed, `k8ssec sweep` tries again: docker daemon: none answers",
    ] * 2 == told
