"""``k8ssec cache``: the frozen clusters of this machine."""

from __future__ import annotations

import argparse
import time

from pytest_k8ssec.cli.clusters import age
from pytest_k8ssec.cli.say import say
from pytest_k8ssec.clusters.frozen import shelf
from pytest_k8ssec.clusters.frozen.shelf import FrozenCluster
from pytest_k8ssec.clusters.frozen.strays import remove_strays
from pytest_k8ssec.machine import docker


def cache(arguments: argparse.Namespace) -> int:
    """List the frozen clusters, or remove them.

    Raises:
        ToolMissing: no docker daemon answers, and some are to be removed.
    """
    if arguments.what == "clear":
        docker.check_daemon()
        gone, kept = shelf.clear_shelf()
        say(f"removed {len(gone)} frozen clusters, {_megabytes(gone)} MB")
        if strays := remove_strays():
            say(f"removed {len(strays)} images of frozen clusters that no cache knows")
        for entry in kept:
            say(f"left {entry.key[:12]}: is in use")
        return 0
    found = shelf.entries()
    if not found:
        say("no cluster is frozen on this machine")
        return 0
    say("KEY           NODES  MB    MADE  USED")
    now = time.time()
    for entry in reversed(found):
        say(
            f"{entry.key[:12]}  {len(entry.nodes):<5}  {_megabytes([entry]):<4}  "
            f"{age(now - entry.made):<4}  {age(now - shelf.used(entry))}"
        )
    return 0


def _megabytes(entries: list[FrozenCluster]) -> int:
    return round(sum(entry.size for entry in entries) / 1_000_000)
