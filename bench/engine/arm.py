"""Ours, as a process of its own: ``python -m bench.engine.arm FOLDER ANSWERS``, told and answering as cyclonus-matcher is.

What is timed is the same too: from the objects as they are stored to an answer for every connection that can be read.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from pytest_k8ssec.facts.listening_ports import declared_ports
from pytest_k8ssec.facts.policies.network import End
from pytest_k8ssec.facts.policies.table import EndPort, PolicyTable
from pytest_k8ssec.reach.destinations import end_of

_DIGITS = bytes.maketrans(b"\x00\x01\x02", b"01?")
Body = dict[str, Any]


def main(folder: Path, answers: Path) -> None:
    """Compute, write the answers, and print what it took."""
    started, spent = time.perf_counter(), time.process_time()
    namespaces, pods, policies = (items(folder, name) for name in ("namespaces", "pods", "networkpolicies"))
    read = time.perf_counter()
    sources, targets = places(namespaces, pods)
    table = PolicyTable(policies, sources, targets)
    rows = [table.row(number) for number in range(len(sources))]
    ended, spent = time.perf_counter(), time.process_time() - spent
    answers.write_bytes(b"".join(rows).translate(_DIGITS))
    told = {"seconds": ended - started, "read_seconds": read - started, "cpu_seconds": spent}
    json.dump({**told, "cells": sum(map(len, rows))}, sys.stdout)


def items(folder: Path, name: str) -> list[Body]:
    """The objects of a stored list."""
    found: list[Body] = json.loads((folder / f"{name}.json").read_bytes())["items"]
    return found


def places(namespaces: list[Body], pods: list[Body]) -> tuple[list[End], list[EndPort]]:
    """The pods as sources, and each port that they declare as a target, in their order."""
    labels = {each["metadata"]["name"]: each["metadata"]["labels"] for each in namespaces}
    ends = [end_of(pod, labels) for pod in pods]
    return ends, [
        (end, port, protocol)
        for pod, end in zip(pods, ends, strict=True)
        for port, protocol in sorted(declared_ports(pod))
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
