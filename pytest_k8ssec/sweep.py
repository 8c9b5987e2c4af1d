"""Cleaning up: what a run recorded goes, in every ending; what dead runs left behind goes too, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_k8ssec import docker, runs
from pytest_k8ssec.ending import end_marked
from pytest_k8ssec.errors import K8ssecError
from pytest_k8ssec.runs import Recorded, Run


@dataclass(frozen=True, slots=True)
class Swept:
    """What became of a dead run."""

    run: Recorded
    removed: tuple[str, ...] = ()
    """Names of the containers that it had left."""
    processes: int = 0
    """How many commands of its still ran."""
    failure: str = ""
    """Why it is still there, "" where it is gone."""

    def __str__(self) -> str:
        name = f"run {self.run.run.id}, which had ended without cleaning up"
        if self.failure:
            return f"{name}: not swept: {self.failure}"
        running = [f"{self.processes} running commands"] if self.processes else []
        return f"swept {name}: {', '.join([*self.removed, *running]) or 'nothing left but its folder'}"


def remove_recorded(run: Run) -> list[str]:
    """Remove every cluster and container that a run recorded or labelled.

    Returns:
        the names of what was there and is gone now.

    Raises:
        ToolMissing, CommandError: docker did not do it.
    """
    entry = runs.read(run.directory)
    return docker.remove_all(lambda: left_by(entry)) if entry.created else []


def left_by(entry: Recorded) -> list[str]:
    """Names of the containers that are there and belong to a run.

    Raises:
        ToolMissing, CommandError: docker did not answer.
    """
    found = docker.containers(docker.LABEL, entry.run.id)
    for name in entry.clusters:
        found += docker.containers(docker.KIND_LABEL, name)
    return found


def sweep() -> Iterator[Swept]:
    """Remove what runs left behind that ended without cleaning up; living and kept runs are not touched.

    Yields:
        what became of each dead run.

    Raises:
        SettingsError: the state directory is not ours.
    """
    for entry in runs.dead():
        yield clear(entry)


def clear(entry: Recorded) -> Swept:
    """Remove all of a run that the caller has claimed. One that resists is told of, and nothing raised."""
    try:
        if entry.created:
            docker.check_daemon()
            if entry.docker and (here := docker.endpoint()) not in ("", entry.docker):
                return Swept(
                    entry, failure=f"it used docker at {entry.docker}, this is {here}: set DOCKER_HOST to that"
                )
        # First what would go on creating, then what it created.
        processes = end_marked(entry.run.id)
        removed = remove_recorded(entry.run)
        entry.run.end()
    except K8ssecError as error:
        return Swept(entry, failure=str(error))
    return Swept(entry, tuple(removed), processes)
