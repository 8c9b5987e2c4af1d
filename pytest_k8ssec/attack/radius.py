"""The blast radius of workloads: what the fixture, the control and the command all ask."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_k8ssec.attack.canary import Canary
from pytest_k8ssec.attack.graph import Graph
from pytest_k8ssec.attack.meter import Bounds
from pytest_k8ssec.attack.scene import Scene
from pytest_k8ssec.attack.walk import Walker, start_of
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.probes.escalation import places
from pytest_k8ssec.probes.pool import Pool
from pytest_k8ssec.stack import Stack, Workload


class BlastRadius:
    """``blast_radius(workload)``: the attack graph of whoever gets into one of its pods."""

    def __init__(self, cluster: Cluster, stack: Stack, pool: Pool, bounds: Bounds | None = None) -> None:
        self._cluster = cluster
        self._stack = stack
        self._pool = pool
        self._bounds = bounds or Bounds()
        self.canary = Canary(cluster, pool)

    def __call__(self, workload: Workload) -> Graph:
        """Walk from a twin of the workload.

        Raises:
            NoAccess: this run did not deploy the stack, so no twin may stand there.
            ProbeError: a twin did not start, or a probe broke.
        """
        return self._walker.walk(start_of(workload))

    def prepare(self, workloads: Sequence[Workload]) -> None:
        """Start the twins of several workloads side by side. Raises NoAccess, ProbeError."""
        self._walker.prepare([start_of(workload) for workload in workloads])

    @property
    def _walker(self) -> Walker:
        """Shared for as long as the cluster does not change."""
        return self._pool.remember("blast radius", self._made)

    def _made(self) -> Walker:
        scene = Scene(self._cluster, places(self._stack))
        return Walker.of(self._cluster, self._stack, self._pool, scene, self.canary.pod, self._bounds)
