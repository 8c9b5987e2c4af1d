"""Plays a page of documentation: writes the files that it shows, runs its commands, and puts their real output into it.

python -m docs.play README.md                                  in this checkout
python -m docs.play docs/tutorial/README.md --in DIR           in an empty directory of its own

A file is a fenced block below ``<!-- file: PATH -->``. What a command prints stands between
``<!-- real output: COMMAND -->`` and ``<!-- end -->``; ``COMMAND | NAME ...`` keeps only what the summary says of these.
Both take a cluster, so nothing here runs by itself. A page is trusted as a Makefile is: it is this repository's own.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

NOT_YET = "(not run yet: `python -m docs.play` puts the real output here)"
"""What stands in a block that nobody has filled."""
_STEP = re.compile(
    r"^<!-- file: (?P<path>\S+) -->\n```\w+\n(?P<text>.*?)^```$"
    r"|^(?P<begin><!-- real output: (?P<command>[^|\n]+?)(?: \| (?P<names>[^\n]+?))? -->\n)(?:.*?)^(?P<end><!-- end -->)$",
    re.MULTILINE | re.DOTALL,
)
_TALLY = re.compile(r"\d+ held, \d+ breached")
_SUMMARY = re.compile(r"=+ Kubernetes security =+")
_BELOW, _LAST, _WIDTH = 4, 14, 116
_DEADLINE = 3600

Runner = Callable[[str], str]


def main(argv: Sequence[str] | None = None) -> int:
    """Play one page; what its commands print is written into it."""
    parser = argparse.ArgumentParser(prog="python -m docs.play", description="A page's real output.")
    parser.add_argument("page", type=Path)
    parser.add_argument(
        "--in", dest="directory", type=Path, default=Path(), help="where to write files and run commands"
    )
    given = parser.parse_args(argv)
    text = given.page.read_text(encoding="utf-8")
    given.page.write_text(
        played(text, given.directory, lambda command: _run(command, given.directory)), encoding="utf-8"
    )
    return 0


def played(text: str, directory: Path, run: Runner) -> str:
    """The page with the output of its commands, which are run in their order, between the files that it shows.

    Args:
        text: the page.
        directory: where its files are written.
        run: takes a command and returns what it prints.
    """

    def step(match: re.Match[str]) -> str:
        if match["path"]:
            file = directory / match["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(match["text"], encoding="utf-8")
            return match[0]
        kept = "\n".join(excerpt(run(match["command"]), (match["names"] or "").split()))
        return f"{match['begin']}\n```text\n$ {match['command']}\n...\n{kept}\n```\n\n{match['end']}"

    return _STEP.sub(step, text)


def files(text: str) -> Iterator[tuple[str, str]]:
    """Path and text of each file that a page shows."""
    return ((match["path"], match["text"]) for match in _STEP.finditer(text) if match["path"])


def commands(text: str) -> Iterator[str]:
    """The commands whose output a page shows."""
    return (match["command"] for match in _STEP.finditer(text) if match["command"])


def excerpt(output: str, names: Sequence[str]) -> list[str]:
    """The lines that are worth a reader's time, none too long, with dots where something was left out.

    Args:
        output: all that was printed.
        names: controls; what the summary says of them is kept. Without any: the summary, or else the last lines.
    """
    at_home = output.replace(str(Path.home()), "~")  # a page names no path of the machine that it was played on
    lines = [line.rstrip() for line in at_home.rstrip().splitlines()]
    begin = next((number for number, line in enumerate(lines) if _SUMMARY.fullmatch(line)), None)
    kept = _of(lines[begin:], names) if names else lines[-_LAST:] if begin is None else lines[begin:]
    return [line if len(line) <= _WIDTH else f"{line[: _WIDTH - 4]} ..." for line in kept]


def _of(lines: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    left = -1
    for line in lines:
        if line.startswith("  "):
            left -= 1
            if left >= 0:
                yield line
            elif left == -1:
                yield "    ..."
        elif line.partition(" ")[0] in names:
            yield line
            left = _BELOW
        else:
            left = -1
            if _TALLY.match(line):
                yield from ("...", line)


def _run(command: str, directory: Path) -> str:
    done = subprocess.run(
        shlex.split(command),
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_DEADLINE,
        check=False,  # a page shows what fails, too
    )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
