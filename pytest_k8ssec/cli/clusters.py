"""``k8ssec up``, ``down``, ``list`` and ``sweep``: clusters that outlive a test run, and what killed runs left."""

from __future__ import annotations

import argparse
import time

from pytest_k8ssec.cli.say import say, say_text
from pytest_k8ssec.cli.setup import settings_of, stderr_teller
from pytest_k8ssec.clusters import sweep
from pytest_k8ssec.clusters.sweep import Swept
from pytest_k8ssec.errors import ClusterError, K8ssecError, ToolMissing
from pytest_k8ssec.machine import belongings, docker, ledger
from pytest_k8ssec.machine.ledger import Recorded


def up(arguments: argparse.Namespace) -> int:
    """Make a cluster, deploy the stack if one is named, and keep both.

    Raises:
        K8ssecError: it failed; nothing is left behind then, nor after a signal.
    """
    from pytest_k8ssec.testbed.testbeds import begin

    settings = settings_of(arguments)._replace(cluster=None)
    tell = stderr_teller()
    testbeds = begin(settings, progress=tell, name=arguments.name or "")
    try:
        _ = testbeds.base.cluster
        _ = testbeds.base.expected_stack
        lines = testbeds.keep()
    except BaseException:
        tell("removing what was made")
        try:
            testbeds.remove()
        except K8ssecError as error:  # why it came to this matters more
            tell(f"clean-up failed, `k8ssec sweep` tries again: {error}")
        raise
    say(*lines)
    return 0


def down(arguments: argparse.Namespace) -> int:
    """Remove one kept cluster, or all.

    Raises:
        ClusterError: it is not ours, it is in use, or it could not be removed.
    """
    if arguments.all:
        kept = [entry for entry in ledger.recorded() if entry.kept]
        for entry in kept:
            say(_removed(_remove(entry)))
        if not kept:
            say("no cluster was kept")
    else:
        done = _remove(_of_cluster(arguments.name))
        if done.others and not done.removed:
            raise _not_ours(arguments.name)
        say(_removed(done))
    return 0


def list_runs(_: argparse.Namespace) -> int:
    """Print each run, with its containers."""
    found = ledger.recorded()
    if not found:
        say("no run is recorded on this machine")
        return 0
    try:
        docker.check_daemon()
        silence = ""
    except ToolMissing as error:
        silence = f"not known: {error.message}"
    rows = [("RUN", "STATE", "AGE", "CONTAINERS"), *(_row(entry, silence) for entry in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row, entry in zip(rows, [None, *found], strict=True):
        say("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip())
        if entry and entry.kept:
            say(f"  kubeconfig {entry.run.directory / 'cluster' / 'kubeconfig'}")
    return 0


def sweep_dead(_: argparse.Namespace) -> int:
    """Remove what dead runs left. Returns 1 if something could not be removed."""
    swept = []
    for each in sweep.sweep():
        say_text(str(each))
        swept.append(each)
    if not swept:
        say("nothing to sweep: no run ended without cleaning up")
    return 1 if any(each.failure for each in swept) else 0


def _of_cluster(name: str) -> Recorded:
    """The run that made a cluster.

    Raises:
        ClusterError: none did, or it still runs.
    """
    mine = sorted(
        (entry for entry in ledger.recorded() if name in entry.clusters), key=lambda one: (one.kept, one.started)
    )
    for entry in mine:
        if entry.alive:
            raise ClusterError(
                f"cluster {name!r}: belongs to run {entry.run.id}, which is running",
                fix=f"end it first: kill {entry.pid}",
            )
    if mine:
        return mine[-1]
    docker.check_daemon()
    if docker.of_cluster(name):
        raise _not_ours(name)
    known = [known for entry in ledger.recorded() if entry.kept for known in entry.clusters]
    raise ClusterError(
        f"cluster {name!r}: does not exist", fix=f"kept: {', '.join(known)}" if known else "none was kept"
    )


def _not_ours(name: str) -> ClusterError:
    return ClusterError(
        f"cluster {name!r}: was not made by k8ssec, so it is not removed",
        fix=f"if you mean it: kind delete cluster --name {name}",
    )


def _remove(entry: Recorded) -> Swept:
    claimed = ledger.claim(entry.run.directory)
    if claimed is None:
        raise ClusterError(f"run {entry.run.id}: was taken by another process", fix="see `k8ssec list`")
    try:
        done = sweep.clear(claimed)
    finally:
        claimed.run.release()
    if done.failure:
        raise ClusterError(f"run {entry.run.id}: could not be removed: {done.failure}")
    return done


def _removed(done: Swept) -> str:
    return f"removed {', '.join(done.removed) or 'nothing but the record'}{sweep.left_alone(done.others)}"


def _row(entry: Recorded, silence: str) -> tuple[str, str, str, str]:
    """One line of the list; ``silence`` stands for the containers, where docker does not tell them."""
    state = f"running (process {entry.pid})" if entry.alive else "kept" if entry.kept else "dead"
    old = age(time.time() - entry.started) if entry.started else "?"
    return entry.run.id, state, old, silence or _containers(entry)


def _containers(entry: Recorded) -> str:
    try:
        there = belongings.of(entry)
        names = ", ".join(sorted(each.name for each in there.ours)) or "none"
        return names + sweep.left_alone(tuple(each.name for each in there.others))
    except K8ssecError as error:
        return f"not known: {error.message}"


def age(seconds: float) -> str:
    """Seconds as a person says them: ``5m``, ``3d``."""
    for size, letter in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size:.0f}{letter}"
    return f"{max(seconds, 0):.0f}s"
