"""One container to look round in, and what was found there: the data of groups 1, 5, 6 and 7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_k8ssec.agent.tasks import Tcp, Tokens, Udp
from pytest_k8ssec.agent.vantage import Answer
from pytest_k8ssec.attack.graph import Edge, Kind, Status, Vertex
from pytest_k8ssec.attack.kinds import KINDS
from pytest_k8ssec.attack.placement import Scene
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.probes.planted_files import Planted


@dataclass(frozen=True, slots=True)
class StackListener:
    """One thing of the stack that listens."""

    vertex: Vertex
    address: str
    port: int
    protocol: str = "TCP"

    @property
    def task(self) -> Tcp | Udp:
        """What connects to it, or asks it for any answer at all."""
        return Udp(self.address, self.port, any_answer=True) if self.protocol == "UDP" else Tcp(self.address, self.port)


@dataclass(frozen=True, slots=True)
class Container:
    """One container to look round in."""

    name: str
    """``namespace/workload/container``."""
    template: Mapping[str, Any]
    """Its pod template, in which it is the main container."""
    pod: Pod
    """Its twin."""
    traces: Planted
    scene: Scene
    targets: Sequence[StackListener]

    @property
    def short(self) -> str:
        """Its name within the workload."""
        return self.name.rpartition("/")[2]

    @property
    def vertex(self) -> Vertex:
        """The vertex that its edges leave from."""
        return Vertex(Kind.CONTAINER, self.name)

    @property
    def node(self) -> Vertex:
        """The node that it runs on."""
        return self.scene.node(self.pod.source.node)

    @property
    def tokens(self) -> Tokens:
        """The search for tokens and other credentials; those in the node's own files belong to another edge."""
        return Tokens(tuple(self.mounts), pieces=True)

    @property
    def mounts(self) -> dict[str, str]:
        """What it mounts of its node: the node's path by where it is in the container."""
        return self.scene.mounts(self.name.partition("/")[0], self.template)

    def edge(self, kind: str, target: Vertex, status: Status, evidence: Evidence) -> Edge:
        """An edge that leaves from the container; a broken task makes it unknown."""
        known = Status.UNKNOWN if evidence.broken else status
        return Edge(KINDS[kind], self.vertex, target, known, evidence)


Answers = dict[str, Answer]
"""By the task's words, as a task may hold values that can't be keys."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was found in one container."""

    container: Container
    found: Answers
    shown: Answers
    """What a canary of ours, which may do everything, found on the same node at the same time."""
