"""Clean-up: removes what a run made, in every ending, and what dead runs left behind, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pytest_k8ssec.clusters.borrowed import take_back
from pytest_k8ssec.clusters.frozen import shelf
from pytest_k8ssec.errors import K8ssecError
from pytest_k8ssec.machine import belongings, docker, ledger
from pytest_k8ssec.machine.ledger import Recorded, Run
from pytest_k8ssec.machine.recorder import await_recorders
from pytest_k8ssec.machine.terminate import end_marked

_IN_FLIGHT_SECONDS = 60
"""So long after a recorder was killed docker may still be making what it was asked for."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What became of a dead run."""

    run: Recorded
    removed: tuple[str, ...] = ()
    """Names of the containers that it had left, and paths of objects on a cluster that was not its own."""
    others: tuple[str, ...] = ()
    """Names of containers that only have a name or a label of the run's: they were not touched."""
    processes: int = 0
    """How many of its commands were still running."""
    failure: str = ""
    """Why it is still there, "" where it is gone."""

    def __str__(self) -> str:
        name = f"run {self.run.run.id}, which had ended without cleaning up"
        if self.failure:
            return f"{name}: not swept: {self.failure}"
        running = [f"{self.processes} running commands"] if self.processes else []
        what = ", ".join([*self.removed, *running]) or "nothing left but its folder"
        return f"swept {name}: {what}{left_alone(self.others)}"


def left_alone(names: tuple[str, ...]) -> str:
    """What to say of containers that were not touched, "" for none."""
    return f"; left {', '.join(names)} alone: named or labelled as the run's, but not made by it" if names else ""


def remove_recorded(run: Run) -> list[str]:
    """Remove every container that a living run made.

    Returns:
        the names of what was there and is gone now.

    Raises:
        ToolMissing, CommandError: docker did not do it.
    """
    return _remove(replace(ledger.read_run(run.directory), last_sign=time.time(), settled=True))


def _remove(entry: Recorded) -> list[str]:
    if not entry.announced:
        return []
    volumes = {volume for each in entry.made for volume in each.volumes}

    def ours() -> tuple[docker.DockerContainer, ...]:
        found = belongings.of(entry).ours
        volumes.update(volume for each in found for volume in each.volumes)
        return found

    removed = docker.remove_all(ours, patient=not entry.settled and time.time() - entry.last_sign < _IN_FLIGHT_SECONDS)
    docker.remove_volumes(volumes)  # those of a container that somebody removed without them
    # Images of a cluster that was being frozen; those that an entry names are whole, and stay.
    frozen = {each.name for each in entry.announced if each.kind == "image"}
    return [*removed, *shelf.remove_images(sorted(frozen - shelf.images() if frozen else ()))]


def sweep() -> Iterator[Swept]:
    """Remove what runs left behind that ended without cleaning up; living and kept runs are not touched.

    Yields:
        what became of each dead run.

    Raises:
        SettingsError: the state directory is not ours.
    """
    for entry in ledger.dead():
        yield clear(entry)


def clear(entry: Recorded) -> Swept:
    """Remove all of a run that the caller has claimed. A failure is reported, not raised."""
    try:
        if entry.announced or entry.objects:
            docker.check_daemon()
            if elsewhere := _elsewhere(entry):
                return Swept(entry, failure=elsewhere)
        # First what would go on creating, then what it created.
        await_recorders(entry.run)
        processes = end_marked(entry.run.id)
        known = ledger.read_run(entry.run.directory, alive=False)
        if processes:
            known = replace(known, last_sign=time.time())  # until now something of the run was at work
        removed = [*take_back(known), *_remove(known)]
        others = belongings.of(known).others if known.announced else ()
        entry.run.end()
    except (K8ssecError, OSError, ValueError, LookupError, TypeError) as error:  # a file of its may be half written
        return Swept(entry, failure=str(error) or type(error).__name__)
    return Swept(entry, tuple(removed), tuple(each.name for each in others), processes)


def _elsewhere(entry: Recorded) -> str:
    """Why what a run made can't be looked for here, "" where it can: another docker daemon has it."""
    if entry.daemon:
        if entry.daemon == docker.daemon():
            return ""
        return (
            f"it used another docker daemon, at {entry.docker}: set DOCKER_HOST to that, or start that one; "
            f"if it is gone for good: rm -r {entry.run.directory}"
        )
    if entry.docker and (here := docker.endpoint()) not in ("", entry.docker):
        return f"it used docker at {entry.docker}, this is {here}: set DOCKER_HOST to that"
    return ""
