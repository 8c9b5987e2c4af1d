"""The command line: `python -m bench detection`."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.beside import OWN, Beside, Row
from bench.mutants import ABOUT, mutants
from bench.peers import PEERS
from bench.peers.interface import Report
from bench.table import SCHEMA, page
from pytest_k8ssec.catalogue.packaged import CONTROLS_FOLDER
from pytest_k8ssec.machine import tools
from pytest_k8ssec.reports.write_whole import write_whole
from toolchain.errors import ToolchainError

_REPOSITORY = Path(__file__).parents[1]
_BUILD = _REPOSITORY / "build" / "bench"
_RESULTS = _BUILD / "detection.json"
_PAGE = _REPOSITORY / "docs" / "explanation" / "peers.md"
_STACK = _REPOSITORY / "stacks" / "hardened"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is that of pytest, or 1 for an error."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    detection = commands.add_parser("detection", help="break real clusters, and see which tool notices")
    detection.add_argument("--only", nargs="+", default=[], metavar="SABOTAGE", help="these; earlier results stay")
    detection.add_argument("--list", action="store_true", help="name the sabotages, and run nothing")
    commands.add_parser("page", help="write docs/explanation/peers.md from the results that are there")
    arguments = parser.parse_args(argv)
    if arguments.command == "page":
        _write_page(json.loads(_RESULTS.read_text()))
        return 0
    if unknown := sorted(set(arguments.only) - set(ABOUT)):
        parser.error(f"no such sabotage: {', '.join(unknown)}")
    return _detection(frozenset(arguments.only), only_list=arguments.list)


def _detection(only: frozenset[str], *, only_list: bool) -> int:
    found, absent = mutants(only)
    if absent:
        print(f"no control declares these, so they are left out: {', '.join(absent)}", file=sys.stderr)
    if only_list:
        for mutant in found:
            kind = "cluster" if mutant.sabotage.needs_cluster else "live"
            print(f"{mutant.name:36}{mutant.control.id:24}{kind:10}{', '.join(mutant.about)}")
        return 0
    try:
        for peer in PEERS:
            print(f"bench: {peer.about.name} {peer.about.version}", flush=True)
            peer.fetch()
    except ToolchainError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    import pytest  # the other commands need none

    results = _earlier() if only else _fresh()

    def keep(row: Row) -> None:
        """Write down each row as it comes: an interrupted bench keeps what it has."""
        _merge(results, row, beside)
        write_whole(_RESULTS, json.dumps(results, indent=2) + "\n")
        _write_page(results)

    beside = Beside(found, PEERS, keep)
    flags = ["--k8ssec-controls", "--k8ssec-sabotage", "--k8ssec-stack", str(_STACK)]
    flags += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]  # the bench has imported it
    return int(
        pytest.main([str(CONTROLS_FOLDER), *flags, "--k8ssec-report", str(_BUILD / "run"), "-v"], plugins=[beside])
    )


def _fresh() -> dict[str, Any]:
    own = {
        "name": OWN,
        "version": version(OWN),
        "scope": "attacks and judges; here the one control that the sabotage is made for",
        "notes": [],
        "commands": ["pytest --k8ssec-controls --k8ssec-sabotage --k8ssec-stack stacks/hardened -k $CONTROL"],
    }
    peers = [
        {"name": each.name, "version": each.version, "scope": each.scope, "notes": list(each.notes), "commands": []}
        for each in (peer.about for peer in PEERS)
    ]
    return {
        "schema": SCHEMA,
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        "kubernetes": tools.choose_node_image().version,
        "processors": os.cpu_count(),
        "tools": [own, *peers],
        "mutants": [],
    }


def _earlier() -> dict[str, Any]:
    """Earlier results of the same tools, else none."""
    fresh = _fresh()
    if not _RESULTS.exists():
        return fresh
    earlier: dict[str, Any] = json.loads(_RESULTS.read_text())
    same = [(each["name"], each["version"]) for each in fresh["tools"]]
    if earlier.get("schema") != SCHEMA or same != [(each["name"], each["version"]) for each in earlier["tools"]]:
        return fresh
    return {**earlier, "date": fresh["date"], "kubernetes": fresh["kubernetes"]}


def _merge(results: dict[str, Any], row: Row, beside: Beside) -> None:
    """Put a row in its place: where the mutants' list has it."""
    entry = {
        "name": row.mutant.name,
        "control": row.mutant.control.id,
        "title": row.mutant.sabotage.title,
        "kind": "cluster" if row.mutant.sabotage.needs_cluster else "live",
        "cells": {tool: cell.to_json() for tool, cell in row.cells.items()},
    }
    rows = {each["name"]: each for each in results["mutants"]} | {row.mutant.name: entry}
    results["mutants"] = [rows[name] for name in ABOUT if name in rows]
    for tool in results["tools"]:
        said = beside.hardened.get(tool["name"])
        if isinstance(said, Report):
            tool["commands"] = list(said.commands)
            tool["hardened"] = f"{len(said.findings)} findings in {said.seconds:.1f} s."
            tool["findings"] = sorted(said.findings)
        elif said is not None:
            tool["hardened"] = f"not run: {said}"


def _write_page(results: dict[str, Any]) -> None:
    write_whole(_PAGE, page(results))


if __name__ == "__main__":
    sys.exit(main())
