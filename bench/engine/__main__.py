"""The command line: ``python -m bench.engine``."""

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

from bench.engine.page import engine_page
from bench.engine.run import MATCHER, THEIRS, results
from bench.fetch import version as go_version
from pytest_k8ssec.errors import K8ssecError
from pytest_k8ssec.reports.write_whole import write_whole
from toolchain.errors import ToolchainError

_REPOSITORY = Path(__file__).parents[2]
_BUILD = _REPOSITORY / "build" / "bench"
_RESULTS = _BUILD / "engine.json"
_PAGE = _REPOSITORY / "docs" / "explanation" / "engine-bench.md"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and write the results and the page; 1 for an error, or an answer that differed."""
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="runs of each program (default: 5)")
    parser.add_argument("--page", action="store_true", help="only write the page from the results that are there")
    arguments = parser.parse_args(argv)
    if arguments.page:
        write_whole(_PAGE, engine_page(json.loads(_RESULTS.read_text())))
        return 0
    started = time.monotonic()

    def tell(line: str) -> None:
        print(f"bench {time.monotonic() - started:5.0f}s  {line}", file=sys.stderr, flush=True)

    try:
        found = {
            "schema": 1,
            "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
            "versions": {"pytest-k8ssec": version("pytest-k8ssec"), THEIRS: go_version(MATCHER)},
            "processors": os.cpu_count(),
            **results(_BUILD / "engine", arguments.repeats, tell),
        }
    except (K8ssecError, ToolchainError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    write_whole(_RESULTS, json.dumps(found, indent=2) + "\n")
    write_whole(_PAGE, engine_page(found))
    return 1 if any(scene["different"] for scene in found["scenes"]) else 0


if __name__ == "__main__":
    sys.exit(main())
