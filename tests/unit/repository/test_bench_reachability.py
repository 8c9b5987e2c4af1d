"""The reachability bench: how cyclonus' table is read, how runs are scaled and judged, and what the page says."""

from __future__ import annotations

import sys
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bench.reachability import cyclonus
from bench.reachability.measured import Cost, measured
from bench.reachability.page import page, plot
from bench.reachability.run import SIZES, judged
from bench.reachability.scene import Stand
from bench.reachability.size import Size
from pytest_k8ssec.errors import CommandError, ProbeError

SIZE = Size(1, 2, protocols=("TCP", "UDP"), ports=(80,))
TABLE = """\
Summary: right 6
+--------+---------+---------+
| TCP/80 | N00/P00 | N00/P01 |
| UDP/80 |         |         |
+--------+---------+---------+
| n00/p00 | . .     | . X     |
+--------+---------+---------+
| n00/p01 | X X     | . !     |
+--------+---------+---------+
"""


def test_its_table_is_read_cell_by_cell() -> None:
    """Open, blocked, and what it could not tell are three things."""
    found = cyclonus.read(TABLE, SIZE)
    first, second = SIZE.keys
    assert found == {
        (first, first, "TCP/80"): True, (first, first, "UDP/80"): True,
        (first, second, "TCP/80"): True, (first, second, "UDP/80"): False,
        (second, first, "TCP/80"): False, (second, first, "UDP/80"): False,
        (second, second, "TCP/80"): True, (second, second, "UDP/80"): None,
    }  # fmt: skip


def test_where_it_is_surprised_what_it_measured_counts() -> None:
    """It prints what it expects before, and the difference after."""
    other = TABLE.replace("X", ".").replace("!", ".")
    said = f"Expected combined:\n{other}\nkube results, try 0:\n{TABLE}\nActual vs expected (last round):\n{other}"
    assert cyclonus.read(TABLE, SIZE) == cyclonus.read(said, SIZE)


@pytest.mark.parametrize(
    "said", ["", "panic: no cluster", TABLE.replace("n00/p01", "n00/p07"), TABLE.replace("X X", "X")]
)
def test_what_is_no_table_of_this_size_is_an_error(said: str) -> None:
    """A cell that is missing is no blocked one."""
    with pytest.raises(ProbeError):
        cyclonus.read(said, SIZE)


def stand(key: str, *, denied: bool) -> Stand:
    """A pod."""
    return Stand(key, "192.0.2.1", "node", "c", denied)


STANDS = [stand("n00/p00", denied=True), stand("n00/p01", denied=False)]
RIGHT = {
    (source.key, target.key, f"{protocol}/80"): not target.denied or source is target
    for source in STANDS
    for target in STANDS
    for protocol in SIZE.protocols
}


def test_cells_as_the_policies_have_them_agree() -> None:
    """A pod reaches itself, whatever policies say."""
    found = judged("k8ssec", SIZE, Cost(2.0, 1.0, 50.0, ""), dict(RIGHT), STANDS, execs=2)
    assert (True, (), 2.0, 2, 8, 8) == (
        found.agree, found.wrong, found.seconds, found.execs, found.cells, found.measured_cells,
    )  # fmt: skip


@pytest.mark.parametrize("said", [None, True])
def test_a_cell_that_differs_or_is_not_known_does_not_agree(said: bool | None) -> None:
    """And it is named."""
    cells: dict[cyclonus.Cell, bool | None] = {**RIGHT, ("n00/p01", "n00/p00", "TCP/80"): said}
    found = judged("cyclonus", SIZE, Cost(2.0, 1.0, 50.0, ""), cells, STANDS)
    assert not found.agree
    assert [f"n00/p01 to n00/p00 TCP/80: {said}"] == list(found.wrong)


def test_what_was_measured_on_a_part_is_scaled_but_for_what_it_costs_anyway() -> None:
    """Eight cells of 32: four times what they took, and once what none of them takes."""
    whole = Size(2, 2, protocols=("TCP", "UDP"), ports=(80,))
    found = judged("cyclonus", whole, Cost(3.0, 2.0, 50.0, ""), dict(RIGHT), STANDS, idle=Cost(1.0, 1.0, 40.0, ""))
    assert (9.0, 5.0, 32, 32, 8) == (found.seconds, found.cpu_s, found.execs, found.cells, found.measured_cells)


def results() -> dict[str, Any]:
    """Two tools at two sizes."""
    runs = [
        judged(tool, size, Cost(seconds, 1.0, 50.0, ""), dict(RIGHT), STANDS).to_json()
        for size in SIZES[:2]
        for tool, seconds in (("k8ssec", 2.0), ("cyclonus", 20.0), ("cyclonus", 30.0))
    ]
    return {"date": "2026-11-23", "processors": 2, "versions": {"cyclonus": "v0"}, "runs": runs}


def test_the_page_has_a_row_for_each_tool_and_size_with_its_spread() -> None:
    """And how many times as long as ours it took."""
    rows = [line for line in page(results(), "plot.svg").splitlines() if line.startswith(("| 9 ", "| 25 "))]
    assert 4 == len(rows)
    assert "cyclonus" in rows[1]
    assert "12.5" in rows[1]


def test_the_plot_is_svg_with_a_line_for_each_tool() -> None:
    """Well-formed, as a browser insists on it."""
    root = ET.fromstring(plot(results()))
    assert 2 == len(root.findall("{http://www.w3.org/2000/svg}polyline"))


def test_names_of_lines_that_end_together_do_not_lie_on_each_other() -> None:
    """The lower one gives way."""
    same = {**results(), "runs": [{**each, "seconds": 2.0} for each in results()["runs"]]}
    texts = ET.fromstring(plot(same)).findall("{http://www.w3.org/2000/svg}text")
    heights = [float(each.attrib["y"]) for each in texts if each.text in {"k8ssec", "cyclonus"}]
    assert max(heights) - min(heights) >= 13.9


def test_a_programs_cost_is_its_own() -> None:
    """Time, processor time, memory, and what it said."""
    code = "import sys; block = bytearray(60_000_000); print(sys.stdin.read())"
    cost = measured([sys.executable, "-c", code], env={}, stdin="hello", deadline=30)
    assert "hello\n" == cost.said
    assert cost.rss_mb > 55
    assert 0 < cost.cpu_s <= cost.seconds * 2


@pytest.mark.parametrize(
    ("code", "words"), [("raise SystemExit(3)", "exit code 3"), ("while True: pass", "no end in time")]
)
def test_a_program_that_fails_or_does_not_end_is_an_error(code: str, words: str) -> None:
    """A figure of it would be one of nothing."""
    with pytest.raises(CommandError, match=words):
        measured([sys.executable, "-c", code], env={}, stdin="", deadline=1)
