"""Which containers belong to a run: those that its record names by id, with one exception.

A name or a label proves nothing: a killed run may have recorded a name in advance, and a week later somebody gives that
name to a cluster of their own. A container is unrecorded only if the run was killed between the container's creation
and the recording of its id. Such a container is the run's if its name was recorded in advance, and

- a node: the run's own folder is mounted into it, as into nothing else;
- any other: it has the run's label, and was made between that entry and the recorder's last sign of life;
- a load balancer, into which kind mounts nothing: it was made in that time too, and all nodes of its cluster are the
  run's.

Any other container with such a name or label is reported, and left alone.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace

from pytest_k8ssec.machine import docker, ledger
from pytest_k8ssec.machine.docker import DockerContainer
from pytest_k8ssec.machine.ledger import Announced, Recorded, Run

FOLDER_ON_NODE = "/kind/k8ssec-run"
"""Where the run's own folder is mounted on a node. The folder is empty: it only shows whose node that is."""
_NODE = re.compile(r"-(control-plane|worker)\d*")
_BALANCER = "-external-load-balancer"
"""What kind puts before several control planes; no folder is mounted into it."""


@dataclass(frozen=True, slots=True)
class Belongings:
    """The existing containers that are related to a run."""

    ours: tuple[DockerContainer, ...]
    """Those that the run made."""
    others: tuple[DockerContainer, ...]
    """Those that only have a name or a label of the run's."""


def of(entry: Recorded) -> Belongings:
    """The existing containers of a run.

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
    ours += [each for each in found if each not in ours and _balances(each, entry, found, ours)]
    return Belongings(tuple(ours), tuple(each for each in found if each not in ours))


def of_living(run: Run) -> tuple[DockerContainer, ...]:
    """The existing containers of the run that this process belongs to, whichever of its processes made them.

    Raises:
        ToolMissing, CommandError: docker did not answer.
    """
    return of(replace(ledger.read_run(run.directory), last_sign=time.time())).ours


def _unrecorded(container: DockerContainer, entry: Recorded) -> bool:
    """Whether a container whose id nobody wrote down is the run's all the same."""
    for announced in entry.announced:
        if announced.kind == "cluster":
            role = container.name.removeprefix(announced.name)
            if _is_of(container, announced) and _NODE.fullmatch(role) and _has_mark(container, entry.run):
                return True
        elif (
            container.name == announced.name
            and container.labels.get(docker.RUN_LABEL) == entry.run.id
            and _in_time(container, announced, entry)
        ):
            return True
    return False


def _balances(
    container: DockerContainer, entry: Recorded, found: list[DockerContainer], ours: list[DockerContainer]
) -> bool:
    """Whether a container is the load balancer of a cluster whose nodes are all the run's."""
    return any(
        _is_of(container, announced)
        and container.name == announced.name + _BALANCER
        and _in_time(container, announced, entry)
        and all(each in ours for each in found if _is_of(each, announced) and not each.name.endswith(_BALANCER))
        and any(_is_of(each, announced) for each in ours)
        for announced in entry.announced
        if announced.kind == "cluster"
    )


def _is_of(container: DockerContainer, announced: Announced) -> bool:
    return container.labels.get(docker.KIND_LABEL) == announced.name


def _has_mark(container: DockerContainer, run: Run) -> bool:
    return any(bind.split(":")[:2] == [str(run.mark), FOLDER_ON_NODE] for bind in container.binds)


def _in_time(container: DockerContainer, announced: Announced, entry: Recorded) -> bool:
    return announced.at <= container.created <= entry.last_sign
