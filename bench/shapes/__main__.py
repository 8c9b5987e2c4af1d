"""The command line: ``python -m bench.shapes``.

Judges the hardened stack on a cluster of each shape, one after the other, and tells each difference to what is right
there in a line. It can be interrupted: a shape that has a report of the same sources is not run again.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench.shapes.run import Row, judge, told
from bench.shapes.shape import shapes
from pytest_k8ssec.errors import K8ssecError
from pytest_k8ssec.reports.write_whole import write_whole

BUILD = Path(__file__).parents[2] / "build" / "shapes"


def main(argv: Sequence[str] | None = None) -> int:
    """Judge what was asked for. Returns 1 where anything is not right, 2 where a shape can't be read."""
    try:
        known = shapes()
    except K8ssecError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    parser = argparse.ArgumentParser(prog="python -m bench.shapes", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=known, default=[*known], metavar="SHAPE", help="these (default: all)"
    )
    arguments = parser.parse_args(argv)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in a shell's background: a run would ignore it too
        signal.signal(signal.SIGINT, signal.default_int_handler)
    found: list[Row] = []
    for name in dict.fromkeys(arguments.only):
        started = time.monotonic()
        rows, came = judge(known[name], BUILD / name)
        found += rows
        took = "as before" if came.again else f"{time.monotonic() - started:.0f} s"
        counts = Counter(row.got.partition(" ")[0] for row in rows)
        words = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
        print(f"shapes: {name}: {words} ({took})", file=sys.stderr)
        for row in rows:
            if not row.right:
                print(row.line, flush=True)
        _write(tuple(rows))
    wrong = [row for row in found if not row.right]
    print(f"{len(found) - len(wrong)} of {len(found)} as expected, on {len({row.shape for row in found})} shapes")
    return 1 if wrong else 0


def _write(rows: tuple[Row, ...]) -> None:
    """Write what is known so far; what an earlier run found of other shapes stays."""
    file = BUILD / "verdicts.json"
    before = json.loads(file.read_text()) if file.exists() else []
    now, known = {row.shape for row in rows}, shapes()
    others = [row for row in before if row["shape"] in known and row["shape"] not in now]
    write_whole(
        file,
        json.dumps(sorted([*others, *told(rows)], key=lambda row: row["shape"]), indent=2, ensure_ascii=False) + "\n",
    )


if __name__ == "__main__":
    sys.exit(main())
