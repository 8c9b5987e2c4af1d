"""What is made of the runs' times: medians, ratios the right way round, and a page."""

from __future__ import annotations

from bench.speed.page import speed_page
from bench.speed.parts import figures

RUNS = {
    "kind": [30.0, 28.0, 90.0],
    "thaw": [10.0, 12.0, 9.0],
    "demo_plain": [130.0],
    "demo": [65.0],
    "first": [20.04],
    "matrix_minutes": [14.5],
}


def test_ratios_are_of_medians_slower_to_faster() -> None:
    """What was not measured has no figure."""
    assert {
        "thaw_ratio": 3.0,
        "demo_ratio": 2.0,
        "demo_seconds": 65.0,
        "first_verdict_s": 20.0,
        "matrix_minutes": 14.5,
    } == figures(RUNS)


def test_the_page_tells_medians_and_their_spread() -> None:
    """And what the machine did besides."""
    page = speed_page({"date": "2026-11-27", "processors": 2, "load": {"demos": 1.5}, "runs": RUNS, **figures(RUNS)})
    assert "2026-11-27, 2 cores, load 1.5 to 1.5" in page
    assert "are ready and DNS answers | 30.0 s | 3, 28.0 to 90.0 |" in page
    assert "| kind to thawed | 3.00 |" in page
