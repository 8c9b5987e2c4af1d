"""A control of a team's own, outside of the package, written with what the package hands out by name."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Run

OWN = '''
"""The ledger lets nobody in."""

from pytest_k8ssec import Evidence, Outcome, Severity, Source, blocked, control, got_through


@control(severity=Severity.HIGH, subject="cluster")
def test_net_ledger(judge):
    """Knock."""
    answer, shown = (Evidence(Source("client", "me"), "knock", each) for each in (Outcome.REFUSED, Outcome.OPEN))
    case = judge.case("the ledger")
    case.attack("knock", answer, through=got_through(answer))
    case.positive("it is there", shown, succeeded=blocked(shown) is False)


def test_something_else():
    pass
'''


@pytest.mark.parametrize("chosen", [("-k", "net-ledger"), ("-m", "severity_high"), ("-m", "net")], ids=" ".join)
def test_a_control_of_ones_own_is_chosen_and_judged(run: Run, chosen: tuple[str, str]) -> None:
    """By its id, its severity and its family, as a packaged one is."""
    result = run(OWN, *chosen)
    result.assert_outcomes(passed=1, deselected=1)
    result.stdout.fnmatch_lines(["net-ledger *HELD *high*"])
