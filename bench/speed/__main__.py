"""The command line: ``python -m bench.speed``.

Each ratio is of two commands that took turns, so that both met the same machine; each figure is the median of its runs, but
for the matrix, which runs once.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from bench.speed.page import speed_page
from bench.speed.parts import BUILD, PARTS, REPOSITORY, figures
from pytest_k8ssec.reports.write_whole import write_whole

_RESULTS = BUILD / "speed.json"
_PAGE = REPOSITORY / "docs" / "explanation" / "speed-bench.md"
_REPEATS = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what was asked for, and write it and the page; results of other parts stay. Returns 1 where one failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.speed", description=__doc__)
    parser.add_argument("--repeats", type=int, default=_REPEATS, metavar="N", help="runs of each kind (default: 5)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[*PARTS], help="parts to measure (default: all)")
    parser.add_argument("--page", action="store_true", help="only write the page from the results that are there")
    arguments = parser.parse_args(argv)
    started = time.monotonic()

    def tell(line: str) -> None:
        print(f"bench {time.monotonic() - started:5.0f}s  {line}", file=sys.stderr, flush=True)

    found: dict[str, Any] = {"schema": 1, "runs": {}, "load": {}}
    if _RESULTS.exists():
        found = json.loads(_RESULTS.read_text())
    for part in () if arguments.page else arguments.only:
        tell(part)
        try:
            found["runs"] |= PARTS[part](arguments.repeats, tell)
        except (subprocess.SubprocessError, OSError) as error:
            print(f"error: {part}: {error}", file=sys.stderr)
            return 1
        found |= figures(found["runs"])
        found |= {"date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}", "processors": os.cpu_count()}
        found["load"][part] = round(os.getloadavg()[2], 2)
        BUILD.mkdir(parents=True, exist_ok=True)
        write_whole(_RESULTS, json.dumps(found, indent=2) + "\n")
    write_whole(_PAGE, speed_page(found))
    print("\n".join(f"{name:24}{value}" for name, value in figures(found["runs"]).items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
