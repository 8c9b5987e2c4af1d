"""What pytest shows of a question about reachability that fails: the culprit, with its evidence."""

from __future__ import annotations

import pytest

MEASURED = """
import pytest
from pytest_k8ssec.evidence import Outcome
from tests.unit.reach.reaching import destination, only, reach

@pytest.fixture
def reachability():
    return reach(
        ("web/shop", "elsewhere", "batch/job"), [destination("pay/db", 5432)],
        only(("web/shop", "pay/db"), ("elsewhere", "pay/db")), broken=["batch/job"],
    )
"""


@pytest.fixture
def shown(pytester: pytest.Pytester) -> pytest.RunResult:
    """A run with a test for each way in which a question may come out."""
    pytester.makeconftest(MEASURED)
    pytester.makepyfile("""
        def test_holds(reachability):
            assert reachability.between("web/shop", "pay/db").is_open()

        def test_fails(reachability):
            assert reachability.to("pay/db", 5432).only_from("web/shop")

        def test_unknown(reachability):
            assert reachability.between("batch/job", "pay/db").is_blocked()

        def test_mistyped(reachability):
            assert reachability.between("web/shp", "pay/db").is_blocked()
    """)
    return pytester.runpytest("-p", "no:cacheprovider")


def test_a_plain_assert_names_the_culprit(shown: pytest.RunResult) -> None:
    """Who got through, to where, by which way; and what can't be told is no answer."""
    shown.assert_outcomes(passed=1, failed=3)
    shown.stdout.fnmatch_lines([
        "*assert <not so: elsewhere -> pay/db:5432/TCP (pod db-0, TCP 10.244.0.1:5432): open in 1.5 ms>",
    ])  # fmt: skip
    shown.stdout.fnmatch_lines(["*batch/job to pay/db is blocked: can't be told: 1 of 1 connections are unknown*"])
    shown.stdout.fnmatch_lines(["*batch/job: exec was refused*"])
    shown.stdout.fnmatch_lines(["*source 'web/shp': nothing has that name*", "*fix: did you mean web/shop*"])
