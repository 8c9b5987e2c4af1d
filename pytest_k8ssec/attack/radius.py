"""The blast radius of workloads, for the fixture, the control and the command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_k8ssec.attack.baseline import NAME, Baseline, read_baseline
from pytest_k8ssec.attack.graph import Graph
from pytest_k8ssec.attack.meter import Bounds
from pytest_k8ssec.attack.placement import Scene
from pytest_k8ssec.attack.walk import Walker, start_of
from pytest_k8ssec.attack.weak_pod import Canary
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.escalation import tried_namespaces
from pytest_k8ssec.probes.nodes_in_reach import nodes_in_reach
from pytest_k8ssec.stack import Stack, Workload


class BlastRadius:
    """``blast_radius(workload)``: the attack graph of whoever gets into one of its pods.

    What one workload's walk found out is reused by the walks of others, until :meth:`forget`, which keeps the twins.

    Args:
        baseline: what was agreed for the stack's workloads, None if nothing was.
        bounds: how far a walk goes.
        seed: of what chance decides where many namespaces are told by class; None where each of them is asked about.
    """

    def __init__(
        self,
        cluster: Cluster,
        stack: Stack,
        pool: Pool,
        baseline: Baseline | None = None,
        bounds: Bounds | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        self._cluster = cluster
        self._stack = stack
        self._pool = pool
        self._bounds = bounds or Bounds()
        self._seed = seed
        self._canary = Canary(cluster, pool)
        self._made: Walker | None = None
        self._failed: ProbeError | None = None
        self.baseline = baseline

    @classmethod
    def of(
        cls, cluster: Cluster, stack: Stack, pool: Pool, folder: Path | None, *, seed: int | None = None
    ) -> BlastRadius:
        """Measured against what the file in a stack's folder agrees to; None agrees to nothing. Raises SettingsError."""
        return cls(cluster, stack, pool, read_baseline(folder / NAME) if folder else None, seed=seed)

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

    def places(self, workload: Workload) -> set[tuple[str, str]]:
        """What there is to look round in: node and container; see ``Walker.places``. Raises ProbeError."""
        return self._walker.places(start_of(workload))

    def looked_round(self, workload: Workload) -> set[tuple[str, str]]:
        """What of :meth:`places` the walk looked round in."""
        return self._walker.looked_round(start_of(workload))

    def shown(self, workload: Workload) -> tuple[Graph, ...]:
        """What the same walk finds from a canary of ours with every weakness, on each node of the workload's twins.

        Raises:
            ProbeError: it did not start, or a probe broke.
            SabotageError: its rights did not come into force.
        """
        nodes = self._walker.nodes_of(start_of(workload))
        return tuple(self._canary.walked(node) for node in nodes)

    @property
    def told_by_class(self) -> str:
        """Of how many identities not each namespace was asked about, in words; "" where there is none."""
        scene = self._made.scene if self._made else None
        if scene is None or not scene.asked_in:
            return ""
        return (
            f"of {len(scene.asked_in)} identities the rules were asked for in {min(scene.asked_in.values())} to"
            f" {max(scene.asked_in.values())} of {len(scene.namespaces)} namespaces: RBAC's objects give them the same in the"
            f" others (seed {self._seed}; --k8ssec-reach-limit all asks in each)"
        )

    def forget(self) -> None:
        """Forget what was found out, because something on the cluster has changed."""
        self._made = self._failed = None

    @property
    def _walker(self) -> Walker:
        if self._failed is not None:  # what does not start is waited for once, and not for each workload
            raise self._failed
        if self._made is None:
            reach = nodes_in_reach(self._pool)
            scene = Scene(self._cluster, tried_namespaces(self._stack), reach=reach, seed=self._seed)
            try:
                self._made = Walker.of(self._cluster, self._stack, self._pool, scene, self._canary.pod, self._bounds)
            except ProbeError as error:
                self._failed = error
                raise
        return self._made
