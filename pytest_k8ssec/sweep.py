"""Cleaning up: what a run recorded goes, in every ending; what dead runs left behind goes too, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_k8ssec import docker, runs
from pytest_k8ssec.runs import Recorded, Run


def remove_recorded(run: Run) -> list[str]:
    """Remove every cluster and container that a run recorded or labelled.

    Returns:
        the names of what was there and is gone now.

    Raises:
        ToolMissing, CommandError: docker did not do it.
    """
    created = runs.read(run.directory).created
    if not created:
        return []
    found = docker.containers(docker.LABEL, run.id)
    for kind, name in created:
        if kind == "cluster":
            found += docker.containers(docker.KIND_LABEL, name)
    docker.remove(found)
    return found


def sweep() -> Iterator[tuple[Recorded, list[str]]]:
    """Remove what runs left behind that ended without cleaning up; living and kept runs are not touched.

    Yields:
        each dead run, and the names of the containers that it had left.
    """
    for entry in runs.dead():
        found = remove_recorded(entry.run)
        entry.run.end()
        yield entry, found
