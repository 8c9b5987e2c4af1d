"""The command line: ``python -m bench.corpus``.

Judges each stack of ``stacks/corpus`` on a cluster of its own, one after the other, and tells each difference to what
is right for it in a line. It can be interrupted: a stack that has a report of the same sources is not run again.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.corpus.compare import Row, compare, summary
from bench.corpus.expected import corpus
from bench.corpus.run import ran
from pytest_k8ssec.errors import K8ssecError
from pytest_k8ssec.reports.write_whole import write_whole

BUILD = Path(__file__).parents[2] / "build" / "corpus"
_VERDICTS = "verdicts.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Judge what was asked for. Returns 1 where anything is not right, 2 where an expectation can't be read."""
    try:
        entries = {entry.name: entry for entry in corpus()}
    except K8ssecError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    parser = argparse.ArgumentParser(prog="python -m bench.corpus", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=entries, default=[*entries], metavar="STACK", help="these (default: all)"
    )
    arguments = parser.parse_args(argv)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in a shell's background: a run would ignore it too
        signal.signal(signal.SIGINT, signal.default_int_handler)
    found: list[Row] = []
    for name in dict.fromkeys(arguments.only):
        started = time.monotonic()
        came = ran(entries[name], BUILD / name)
        rows = compare(entries[name], came.results, came.why)
        found += rows
        took = "as before" if came.again else f"{time.monotonic() - started:.0f} s"
        print(f"corpus: {name}: {sum(row.right for row in rows)} of {len(rows)} as expected ({took})", file=sys.stderr)
        for row in rows:
            if not row.right:
                print(row.line, flush=True)
        _write(found, entries)
    print(summary(found))
    return 0 if all(row.right for row in found) else 1


def _write(rows: Sequence[Row], known: Collection[str]) -> None:
    """Write what is known so far; what an earlier run found of other stacks stays."""
    file = BUILD / _VERDICTS
    before = json.loads(file.read_text()) if file.exists() else []
    now = {row.stack for row in rows}
    others = [row for row in before if row["stack"] in known and row["stack"] not in now]
    told = sorted([*others, *map(asdict, rows)], key=lambda row: str(row["stack"]))
    write_whole(file, json.dumps(told, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
