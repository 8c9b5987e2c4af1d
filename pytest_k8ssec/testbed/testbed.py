"""One cluster, and what this run put on it; each part is made when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pytest_k8ssec.evidence import JSON
from pytest_k8ssec.machine.once import Once

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.kind import KindCluster
    from pytest_k8ssec.machine.ledger import Run
    from pytest_k8ssec.pods.pool import Pool
    from pytest_k8ssec.reach.sampling import Sampling
    from pytest_k8ssec.sabotages.packs import Pack
    from pytest_k8ssec.stack import Stack
    from pytest_k8ssec.testbed.clusters import Clusters
    from pytest_k8ssec.testbed.stacks import Stacks


class Testbed:
    """One cluster, and the stack and the pods of ours on it. Several threads may ask for each of them.

    Args:
        run: the run that everything belongs to.
        clusters: makes the cluster, or finds it.
        stacks: deploys the stack, or reads it.
        variant: the sabotages that the cluster is made with, None for the base.
        overlap: whether pods start side by side, and agents stay in them.
        choosing: with how many pods some of what is alike are tried, and the seed of what chance decides; None where
            nobody says.
    """

    __test__ = False  # pytest takes a class of such a name for tests

    def __init__(
        self,
        run: Run,
        clusters: Clusters,
        stacks: Stacks,
        variant: Pack | None,
        *,
        overlap: bool = True,
        choosing: tuple[float | None, int | None] = (None, None),
    ) -> None:
        self._run = run
        self._clusters = clusters
        self._stacks = stacks
        self._overlap = overlap
        self._choosing = choosing
        self.variant = variant
        self._made = Once[Any]()
        self.reachability: dict[str, dict[str, JSON]] = {}
        """How much was measured, if reachability was; by who measured: under xdist each worker does."""
        self.reach_maps: dict[str, dict[str, JSON]] = {}
        """What was measured, in short; by who did, too."""

    @cached_property
    def cluster(self) -> KindCluster:
        """The cluster; created or found now, if that was not done yet.

        Raises:
            ToolMissing, ClusterError: it can't be created or found.
        """

        def made() -> KindCluster:
            if self._overlap and self.variant is None and not self.has_stack:
                self._stacks.begin()
            return self._clusters.make(self.variant)

        # From Python 3.12 on a cached_property has no lock: two threads would make two.
        return cast("KindCluster", self._made.get("cluster", made))

    @cached_property
    def stack(self) -> Stack:
        """The stack; deployed now, if that was not done yet. On a cluster that is not ours it is only read.

        Raises:
            SettingsError: no stack was named.
            StackError: it can't be deployed.
        """
        _ = self._stacks.source  # where none was named, that is known before a cluster is made
        return cast("Stack", self._made.get("stack", lambda: self._stacks.make(self.cluster)))

    @property
    def expected_stack(self) -> Stack | None:
        """The stack if one was named and this is the base, else None."""
        return self.stack if self._stacks.named and self.variant is None else None

    @property
    def kind_config(self) -> Path | None:
        """The user's kind configuration, None where there is none."""
        return self._clusters.kind_config

    @property
    def known_stack(self) -> Stack | None:
        """The stack if it was deployed, or read, by now; none is for this."""
        return self.stack if self._made.knows("stack") else None

    @cached_property
    def pool(self) -> Pool:
        """The pods to probe from; only where this run deployed the stack may they be placed among the stack's."""
        from pytest_k8ssec.facts.containers import live_template
        from pytest_k8ssec.pods.pool import Pool
        from pytest_k8ssec.stack import Workload

        def among() -> tuple[str, ...]:
            stack = self.expected_stack
            return stack.namespaces if stack and stack.deployed else ()

        def template_of(workload: Workload) -> Mapping[str, JSON]:
            return live_template(self.cluster, workload)

        def made() -> Pool:
            return Pool(self.cluster, self._run.own, among, template_of=template_of, overlap=self._overlap)

        return cast("Pool", self._made.get("pool", made))

    @cached_property
    def sampling(self) -> Sampling:
        """How many of what is alike controls try, and what chance decides then: once, so that a control says one seed."""
        from pytest_k8ssec.reach.sampling import sampling_of

        return cast("Sampling", self._made.get("sampling", lambda: sampling_of(*self._choosing)))

    @property
    def stack_folder(self) -> Path | None:
        """Where the program of the stack is, if one was named."""
        return self._stacks.source.directory if self._stacks.named else None

    @property
    def has_cluster(self) -> bool:
        """Whether the cluster was made already."""
        return "cluster" in self.__dict__

    @property
    def has_stack(self) -> bool:
        """Whether the stack was deployed or read already."""
        return "stack" in self.__dict__

    @property
    def stands(self) -> bool:
        """Whether all that controls are judged on is there: the cluster, and on the base the stack where one was named."""
        return self.has_cluster and (self.has_stack or not self._stacks.named or self.variant is not None)

    def note_reachability(self, extent: dict[str, JSON]) -> None:
        """Note how much was measured, for the report."""
        self.reachability[self._run.own] = extent

    def note_reach_map(self, found: dict[str, JSON]) -> None:
        """Note what was measured in short, for the report."""
        self.reach_maps[self._run.own] = found

    def refresh_pool(self) -> None:
        """Give up all pods, if there are some."""
        if "pool" in self.__dict__:
            self.pool.refresh()

    def dismiss(self) -> None:
        """End what stays in pods of ours, which themselves stay."""
        if "pool" in self.__dict__:
            self.pool.dismiss()

    def close_pool(self) -> None:
        """Remove what our pods needed, if the cluster outlives the run."""
        if "pool" in self.__dict__:
            self.pool.close()

    def close(self) -> None:
        """Remove what was made, as far as it is ours."""
        self._stacks.end()
        self.close_pool()
        if self.has_cluster:
            self.cluster.close()
        self.__dict__.pop("cluster", None)
        self._made.clear()
