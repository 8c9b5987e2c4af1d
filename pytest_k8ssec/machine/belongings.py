"""Whose is a container? A run's are those that its record names by their ids, and hardly any other.

A name or a label proves nothing: a run that was killed may have written ahead a name that somebody gives to a cluster of
their own a week later. Only a kill in the instant between a container's making and the writing down of its id leaves one
that is nowhere recorded. It is the run's if all of this is so: it bears a name that was written ahead, it was made between
that entry and the last sign of life of whoever writes the record, and it has what nothing else has: the run's own folder
mounted (a node), or the run's label (any other). Whatever else has such a name or label is told of, and left.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace

from pytest_k8ssec.machine import docker, ledger
from pytest_k8ssec.machine.docker import DockerContainer
from pytest_k8ssec.machine.ledger import Announced, Recorded, Run

_NODE = re.compile(r"-(control-plane|worker)\d*")
_BALANCER = "-external-load-balancer"
"""What kind puts before several control planes; no folder is mounted into it."""


@dataclass(frozen=True, slots=True)
class Belongings:
    """The containers that are there and have to do with a run."""

    ours: tuple[DockerContainer, ...]
    """Those that the run made."""
    others: tuple[DockerContainer, ...]
    """Those that only have a name or a label of the run's."""


def of(entry: Recorded) -> Belongings:
    """What is there of a run.

    Raises:
        ToolMissing, CommandError: docker did not answer.
    """
    made, names, clusters = (
        {each.id for each in entry.made},
        {each.name for each in entry.announced},
        set(entry.clusters),
    )
    found = docker.described(
        each.id
        for each in docker.listed()
        if each.id in made or each.run == entry.run.id or each.cluster in clusters or each.name in names
    )
    ours = [each for each in found if each.id in made or _unrecorded(each, entry)]
    return Belongings(tuple(ours), tuple(each for each in found if each not in ours))


def of_living(run: Run) -> tuple[DockerContainer, ...]:
    """What is there of a run that this process belongs to, whoever of it made it.

    Raises:
        ToolMissing, CommandError: docker did not answer.
    """
    return of(replace(ledger.read_run(run.directory), last_sign=time.time())).ours


def _unrecorded(container: DockerContainer, entry: Recorded) -> bool:
    """Whether a container whose id nobody wrote down is the run's all the same."""
    return any(
        announced.at <= container.created <= entry.last_sign and _bears(container, announced, entry.run)
        for announced in entry.announced
    )


def _bears(container: DockerContainer, announced: Announced, run: Run) -> bool:
    """Whether a container has a name that was written ahead, and what only the run gives."""
    if announced.kind != "cluster":
        return container.name == announced.name and container.labels.get(docker.RUN_LABEL) == run.id
    if container.labels.get(docker.KIND_LABEL) != announced.name:
        return False
    role = container.name.removeprefix(announced.name)
    return role == _BALANCER or bool(_NODE.fullmatch(role) and str(run.mark) in container.binds)
