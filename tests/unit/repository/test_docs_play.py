"""A page's commands are run, and what is worth a reader's time of their output is put into the page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from docs import play
from pytest_k8ssec.reports import screen, terminal

ENTRIES: list[dict[str, Any]] = [
    {
        "control": control, "verdict": verdict, "severity": "high", "seconds": 1.0, "summary": "tried", "phase": None,
        "reason": "\n".join(f"case {number} of {control}" for number in range(7)), "remediation": "do", "tables": [], "snippets": [],
    }
    for control, verdict in (("net-a", "breached"), ("net-b", "breached"), ("etcd-a", "held"))
]  # fmt: skip
OUTPUT = "\n".join(
    (
        "test_a net-a",
        "===== Kubernetes security =====",
        *(line for line, _ in screen.run_summary(ENTRIES, width=100)),
        "",
        terminal.tally_verdicts(ENTRIES),
        "report: build/report.json",
    )
)


def test_chosen_controls_are_kept() -> None:
    """With a few of the lines below each, dots where there were more, and the count of all."""
    found = play.excerpt(OUTPUT, ["net-b", "etcd-a"])
    assert ["etcd-a  HELD", "net-b   BREACHED", "net-b  high:", "    fix: do", "..."] == [
        line if line.startswith((" ", ".")) else "".join(re.findall(r"^\S+ +\S+", line)) for line in found[:5]
    ]
    assert ["...", "1 held, 2 breached, 0 inconclusive, 0 not-applicable"] == found[4:]


def test_without_a_choice_the_summary_is_kept() -> None:
    """From its heading on."""
    assert OUTPUT.splitlines()[1:] == play.excerpt(OUTPUT, [])


def test_without_a_summary_the_last_lines_are_kept() -> None:
    """None of them too long."""
    found = play.excerpt("\n".join(f"{number} {'x' * 200}" for number in range(50)), [])
    assert "49 xxx" == found[-1][:6]
    assert 50 > len(found)
    assert all(len(line) <= 116 and line.endswith(" ...") for line in found)


def test_a_page_gets_its_output(tmp_path: Path) -> None:
    """The command really runs; what stood there before goes; what fails is shown too."""
    page = tmp_path / "page.md"
    page.write_text("# A\n\n<!-- real output: python3 -c 'print(6 * 7); exit(1)' -->\n\nold\n\n<!-- end -->\n\nB\n")
    assert 0 == play.main([str(page), "--in", str(tmp_path)])
    text = page.read_text()
    assert "\n42\n```\n\n<!-- end -->\n\nB\n" in text
    assert "old" not in text


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial/README.md"])
def test_pages_can_be_played(page: str) -> None:
    """They name commands."""
    assert list(play.commands((Path(__file__).parents[3] / page).read_text(encoding="utf-8")))


def test_a_reader_sees_each_file_s_name() -> None:
    """The marks are comments, which nobody sees: the name stands above each, too."""
    text = (Path(__file__).parents[3] / "docs" / "tutorial" / "README.md").read_text(encoding="utf-8")
    for path, _ in play.files(text):
        assert f"`{path}`:\n\n<!-- file: {path} -->" in text


def test_no_path_of_the_machine_gets_into_a_page() -> None:
    """What lies at home is shown as anybody's."""
    found = play.excerpt(f"{OUTPUT}\nlogs of the cluster: {Path.home()}/.local/state/x", [])
    assert "logs of the cluster: ~/.local/state/x" == found[-1]
