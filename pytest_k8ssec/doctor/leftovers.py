"""Runs that were recorded on this machine."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_k8ssec.doctor.finding import Diagnosis, error, ok, warning
from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.machine import ledger


def examine_leftovers() -> Iterator[Diagnosis]:
    """What dead runs left behind, what was kept, and what runs now."""
    try:
        found = ledger.recorded()
    except SettingsError as refused:
        yield error("runs", refused.message, refused.fix)
        return
    dead = [entry.run.id for entry in found if not entry.alive and not entry.kept]
    kept = [name for entry in found if entry.kept for name in entry.clusters]
    alive = [entry.run.id for entry in found if entry.alive]
    if dead:
        yield warning(
            "dead runs", f"{', '.join(dead)}: ended without cleaning up; the next run sweeps them", "k8ssec sweep"
        )
    if kept:
        yield ok("kept clusters", f"{', '.join(kept)} (`k8ssec down NAME` removes one)")
    yield ok("runs", f"running now: {', '.join(alive)}" if alive else "none is running")
