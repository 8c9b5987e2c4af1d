"""Groups 1, 5, 6 and 7 of the walk together: what a process in a container finds, from where it stands.

All is asked in one exec. A canary of ours, which may do everything, is asked the same at the same time on the same node.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_k8ssec.agent.tasks import Task
from pytest_k8ssec.attack import host, mounts, network
from pytest_k8ssec.attack.container import Answers, Container, Look
from pytest_k8ssec.attack.graph import Edge
from pytest_k8ssec.attack.meter import Meter
from pytest_k8ssec.attack.placement import Scene
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.probes.identities import Identity
from pytest_k8ssec.probes.planted_files import Planted


def look(container: Container, shown: Answers) -> Look:
    """Look round in a container, in one exec.

    Args:
        shown: what a canary found on the same node.

    Raises:
        ProbeError: the exec broke.
    """
    alike = _alike(container.pod, container.scene, container.traces)
    own = (*mounts.mount_tasks(container), *host.own_tasks(container), *network.stack_listener_tasks(container))
    return Look(container, _asked(container.pod, (*own, *alike)), shown)


def look_as_canary(pod: Pod, scene: Scene, traces: Planted) -> Answers:
    """What a pod of ours that may do everything finds where containers on its node look. Raises ProbeError."""
    return _asked(pod, _alike(pod, scene, traces))


def of_look(looked: Look, meter: Meter, identities: dict[str, Identity]) -> Iterator[Edge]:
    """All edges that leave a container because of what is in it and around it.

    Args:
        identities: by user, those whose tokens were found; filled as they are.

    Raises:
        BoundReached: the walk may not go on; the edges so far stand.
        ProbeError: no HTTP answer came.
    """
    container, found, shown = looked.container, looked.found, looked.shown
    yield from mounts.volumes(container, found)
    yield from mounts.stolen_tokens(container, found[str(container.tokens)], meter, identities)
    yield from mounts.held_credentials(container, found[str(container.tokens)], meter, identities)
    yield from network.network(container, found, shown, identities)
    yield from host.ways_out(container, found, shown)


def _alike(pod: Pod, scene: Scene, traces: Planted) -> list[Task]:
    return [*host.host_tasks(scene, pod.source.node, traces), *network.network_tasks(scene)]


def _asked(pod: Pod, tasks: Sequence[Task]) -> Answers:
    distinct = {str(task): task for task in tasks}
    return dict(zip(distinct, pod.ask(*distinct.values()), strict=True))
