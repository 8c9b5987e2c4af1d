"""What a kubelet gives to whoever has no credentials, and how bad that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.agent.vantage import probe
from pytest_k8ssec.catalogue.annotated import control_of
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.kubelet import anon
from pytest_k8ssec.controls.kubelet.anon import test_kubelet_anon as kubelet_anon
from pytest_k8ssec.reports.result import Result
from pytest_k8ssec.sabotages.packs import Pack
from pytest_k8ssec.sabotages.phases import Phase
from pytest_k8ssec.verdict import Judge, Verdict
from tests.unit.fakes import FakeVantage

if TYPE_CHECKING:
    from pytest_k8ssec.agent.tasks import Task
    from pytest_k8ssec.evidence import Evidence
    from pytest_k8ssec.pods.pool import Pod, Pool


@dataclass
class World:
    """A cluster whose kubelets answer whoever has no token as told, by address; it is its own pool and attacker."""

    anonymous: dict[str, int]

    @property
    def cluster(self) -> World:
        """Itself."""
        return self

    @property
    def nodes(self) -> tuple[Node, ...]:
        """One for each answer."""
        return tuple(Node(host, host, control_plane=True, container=host) for host in self.anonymous)

    def remember(self, _what: str, find_out: Callable[[], Any]) -> Any:
        """Found out each time."""
        return find_out()

    def probe(self, *tasks: Task) -> list[Evidence]:
        """What comes back."""
        return probe(FakeVantage(self._said), tasks)

    def _said(self, task: dict[str, Any]) -> dict[str, Any]:
        if task["op"] == "tcp":
            return {"outcome": "open"}
        return {"outcome": "http", "status": 200 if task["headers"] else self.anonymous[task["host"]]}


@pytest.mark.parametrize(
    ("anonymous", "verdict", "severity"),
    [
        ({"10.0.0.2": 401}, Verdict.HELD, "critical"),
        ({"10.0.0.2": 200}, Verdict.BREACHED, "critical"),
        ({"10.0.0.2": 403}, Verdict.BREACHED, "medium"),
        ({"10.0.0.2": 403, "10.0.0.3": 401}, Verdict.BREACHED, "medium"),
        ({"10.0.0.2": 403, "10.0.0.3": 200}, Verdict.BREACHED, "critical"),
        ({"10.0.0.2": 500}, Verdict.INCONCLUSIVE, "critical"),
    ],
)
def test_one_whose_authoriser_refuses_is_breached_for_what_it_is(
    monkeypatch: pytest.MonkeyPatch, anonymous: dict[str, int], verdict: Verdict, severity: str
) -> None:
    """Anonymous requests are on, which is bad; nothing was given, which is less bad than a list of pods."""
    bearer = type("Auditor", (), {"bearer": {"Authorization": "Bearer x"}})
    monkeypatch.setattr(anon, "auditor", lambda _: bearer)
    judge, world = Judge(), World(anonymous)
    kubelet_anon(judge, cast("Pool", world), lambda: cast("Pod", world))
    found, why = judge.verdict()
    assert verdict is found
    result = Result.of(control_of(kubelet_anon), "test", Phase(), found, why, 1.0, judge)
    assert severity == result.severity
    if 403 in anonymous.values():
        assert "only its authoriser refuses" in why
        assert "CIS 4.2.1" in why
        assert ["medium"] == [one["severity"] for one in result.to_json()["attacks"] if "severity" in one]


@pytest.mark.parametrize(("answered", "seen"), [(403, True), (200, False)])
def test_what_its_sabotage_shows_is_that_the_authoriser_alone_refuses(
    monkeypatch: pytest.MonkeyPatch, answered: int, seen: bool
) -> None:
    """Where another sabotage has the authoriser let everybody in, this one was not shown."""
    bearer = type("Auditor", (), {"bearer": {"Authorization": "Bearer x"}})
    monkeypatch.setattr(anon, "auditor", lambda _: bearer)
    judge, world = Judge(), World({"10.0.0.2": answered})
    kubelet_anon(judge, cast("Pool", world), lambda: cast("Pod", world))
    control = control_of(kubelet_anon)
    assert control is not None
    phase = Phase("sabotaged", Pack.alone(control.sabotages[0]))
    attacks = [attack for case in judge.cases for attack in case.attacks]
    assert seen != bool(phase.missing("kubelet-anon", attacks))
