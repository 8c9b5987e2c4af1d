"""Groups 1, 5, 6 and 7 of the walk together: what a process in a container finds, from where it stands.

All is asked in one exec. A canary of ours, which may do everything, is asked the same at the same time on the same node.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_k8ssec.attack import doors, host, local
from pytest_k8ssec.attack.container import Answers, Container, Look
from pytest_k8ssec.attack.graph import Edge
from pytest_k8ssec.attack.meter import Meter
from pytest_k8ssec.attack.scene import Scene
from pytest_k8ssec.probes.identities import Identity
from pytest_k8ssec.probes.planted import Planted
from pytest_k8ssec.probes.pool import Pod
from pytest_k8ssec.probes.tasks import Task


def look(container: Container, shown: Answers) -> Look:
    """Look round in a container, in one exec.

    Args:
        shown: what a canary found on the same node.

    Raises:
        ProbeError: the exec broke.
    """
    alike = _alike(container.pod, container.scene, container.traces)
    own = (*local.tasks(container), *host.own_tasks(container), *doors.listeners(container))
    return Look(container, _asked(container.pod, (*own, *alike)), shown)


def look_as_canary(pod: Pod, scene: Scene, traces: Planted) -> Answers:
    """What a pod of ours that may do everything finds where containers on its node look, too. Raises ProbeError."""
    return _asked(pod, _alike(pod, scene, traces))


def of_look(looked: Look, meter: Meter, identities: dict[str, Identity]) -> Iterator[Edge]:
    """All edges that leave a container by what is in it and around it.

    Args:
        identities: by user, those whose tokens were found; filled as they are.

    Raises:
        BoundReached: the walk may not go on; what came so far stands.
        ProbeError: no HTTP answer came.
    """
    container, found, shown = looked.container, looked.found, looked.shown
    yield from local.volumes(container, found)
    yield from local.tokens(container, found[str(container.tokens)], meter, identities)
    yield from doors.network(container, found, shown, identities)
    yield from host.ways_out(container, found, shown)


def _alike(pod: Pod, scene: Scene, traces: Planted) -> list[Task]:
    return [*host.tasks(scene, pod.source.node, traces), *doors.tasks(scene)]


def _asked(pod: Pod, tasks: Sequence[Task]) -> Answers:
    distinct = {str(task): task for task in tasks}
    return dict(zip(distinct, pod.ask(*distinct.values()), strict=True))
