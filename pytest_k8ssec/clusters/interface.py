"""What a cluster is to the rest of the package, and its data. Nothing here knows kind, Pulumi or a control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.api import KubeApi
    from pytest_k8ssec.machine.process import Completed


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the cluster, as the API names it."""

    name: str
    address: str
    """InternalIP, "" where it has none as yet."""
    control_plane: bool
    container: str = ""
    """The docker container that is this node, "" where there is none (no node access)."""
    short: str = ""
    """What is the same in every run, as ``control-plane``: kind's name of it without the cluster's."""
    further: tuple[str, ...] = ()
    """Its other InternalIPs, as of the other family where there are two: what is closed at one may be open at another."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """All of its InternalIPs, the first one first."""
        return (self.address, *self.further)


@dataclass(frozen=True, slots=True)
class Published:
    """One port of this machine that leads to a port of a node."""

    host: str
    """The address of this machine that it is bound to; a wildcard for all."""
    port: int
    target: int
    """The node's port."""


class Cluster(Protocol):
    """A ready cluster.

    ``ours`` tells whether this run created it: only then may it be sabotaged, a stack be deployed to it, or it be
    deleted. ``workdir`` is a private directory of this run for files about this cluster.
    """

    name: str
    kubeconfig: Path
    workdir: Path
    ours: bool
    origin: Literal["packaged", "user", "existing"]
    """Whose configuration it was made from: ours, the user's ``kind.yaml``, or it was there already."""
    variant: str
    """"" for the configuration as it is, else the name of the sabotage that it was created with."""

    @property
    def api(self) -> KubeApi:
        """Authenticated client of the API server."""

    @property
    def nodes(self) -> Sequence[Node]:
        """All nodes, control plane first."""

    @property
    def probe_image(self) -> str:
        """Image reference, present on every node, that carries a Python 3 to run the agent."""

    @property
    def machine_addresses(self) -> Sequence[str]:
        """The addresses by which this machine is reached from the nodes' network, IPv4 first."""

    def published(self, node: Node | None) -> Sequence[Published]:
        """The ports of this machine that lead to a node; none where the node is no container.

        Args:
            node: None for the load balancer before several control planes: what leads there, leads to their API servers.

        Raises:
            ProbeError: they can't be found out.
        """

    def on_node(
        self, node: Node, argv: Sequence[str], *, deadline: float = 20, stdin: bytes = b"", check: bool = True
    ) -> Completed:
        """Run a command on a node as root.

        Raises:
            ProbeError: no node access, or the command failed (with ``check``) or ran past its deadline.
        """

    def in_network_of(
        self, node: Node | None, argv: Sequence[str], *, deadline: float = 20, stdin: bytes = b""
    ) -> Completed:
        """Run a command of the probe image in a node's network namespace, or outside the cluster, on its network.

        Args:
            node: whose network namespace; ``None`` is a separate container beside the nodes ("outside").

        Raises:
            ProbeError: the command could not be run to its end.
        """
