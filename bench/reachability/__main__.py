"""The command line: ``python -m bench.reachability``."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.fetch import version as go_version
from bench.reachability import cyclonus
from bench.reachability.page import page, plot
from bench.reachability.run import SIZES, runs
from bench.reachability.scene import give_image, pods
from pytest_k8ssec.errors import K8ssecError
from pytest_k8ssec.machine import tools
from pytest_k8ssec.reports.write_whole import write_whole
from pytest_k8ssec.settings import resolve_settings
from toolchain.errors import ToolchainError

if TYPE_CHECKING:
    from bench.reachability.run import Measured
    from bench.reachability.size import Size

_REPOSITORY = Path(__file__).parents[2]
_BUILD = _REPOSITORY / "build" / "bench"
_RESULTS = _BUILD / "reachability.json"
_PAGE = _REPOSITORY / "docs" / "explanation" / "reachability-bench.md"
_PLOT = _PAGE.with_suffix(".svg")
_SCHEMA = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and write the results, the page and the plot; 1 for an error, or a cell that was wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.reachability", description=__doc__)
    parser.add_argument(
        "--repeats", type=int, default=5, metavar="N", help="runs of each tool at each size (default: 5)"
    )
    parser.add_argument(
        "--pods", type=int, nargs="+", choices=[size.count for size in SIZES], metavar="N",
        default=[size.count for size in SIZES], help="these sizes; earlier results of the others stay",
    )  # fmt: skip
    parser.add_argument("--page", action="store_true", help="only write the page from the results that are there")
    arguments = parser.parse_args(argv)
    if arguments.page:
        _write(json.loads(_RESULTS.read_text()))
        return 0
    try:
        return _measure([size for size in SIZES if size.count in arguments.pods], arguments.repeats)
    except (K8ssecError, ToolchainError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _measure(sizes: Sequence[Size], repeats: int) -> int:
    from pytest_k8ssec.testbed.testbeds import begin

    results = _earlier({size.count for size in sizes})
    config = str(Path(__file__).with_name("kind.yaml"))
    settings = resolve_settings(
        cli=lambda option: config if option.name == "kind_config" else None,
        environ={}, ini=lambda _: None, table={}, base=_REPOSITORY,
    )  # fmt: skip
    started = time.monotonic()

    def tell(line: str) -> None:
        print(f"bench {time.monotonic() - started:5.0f}s  {line}", file=sys.stderr, flush=True)

    right = True
    testbeds = begin(settings, progress=tell)
    try:
        cluster = testbeds.base.cluster
        results["kubernetes"] = cluster.version
        give_image(cluster, tools.find_tool("kind").path)
        for size in sizes:
            tell(f"{size.count} pods: starting them")
            with pods(cluster, size) as stands:
                for found in runs(cluster, size, stands, repeats):
                    tell(f"{size.count} pods: {_words(found)}")
                    right = right and found.agree
                    results["runs"].append(found.to_json())
                    results["runs"].sort(key=lambda each: each["pods"])
                    _write(results)
    finally:
        testbeds.remove()
    return 0 if right else 1


def _words(found: Measured) -> str:
    scaled = "" if found.measured_cells == found.cells else f" (scaled from {found.measured_cells} cells)"
    wrong = "" if found.agree else f"; wrong: {', '.join(found.wrong)}"
    return f"{found.tool} {found.seconds:.2f} s, {found.execs} execs, {found.rss_mb:.0f} MB{scaled}{wrong}"


def _earlier(again: set[int]) -> dict[str, Any]:
    """Earlier results of the other sizes, with what is true of this run."""
    runs_before = []
    if _RESULTS.exists():
        earlier: dict[str, Any] = json.loads(_RESULTS.read_text())
        if earlier.get("schema") == _SCHEMA:
            runs_before = [each for each in earlier["runs"] if each["pods"] not in again]
    return {
        "schema": _SCHEMA,
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        "versions": {"pytest-k8ssec": version("pytest-k8ssec"), cyclonus.NAME: go_version(cyclonus.NAME)},
        "processors": os.cpu_count(),
        "runs": runs_before,
    }


def _write(results: dict[str, Any]) -> None:
    write_whole(_RESULTS, json.dumps(results, indent=2) + "\n")
    write_whole(_PAGE, page(results, _PLOT.name))
    write_whole(_PLOT, plot(results))


if __name__ == "__main__":
    sys.exit(main())
