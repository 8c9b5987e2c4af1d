"""What one pytest process holds: its run and its testbeds, and how they end."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from pytest_k8ssec.clusters.sweep import remove_recorded, sweep
from pytest_k8ssec.machine import docker, preflight, tools
from pytest_k8ssec.machine.ledger import Run
from pytest_k8ssec.machine.process import Tell
from pytest_k8ssec.machine.recorder import attend_soon
from pytest_k8ssec.machine.signals import uninterrupted
from pytest_k8ssec.machine.terminate import end_marked
from pytest_k8ssec.sabotages.packs import Pack
from pytest_k8ssec.settings import Settings
from pytest_k8ssec.testbed.clusters import Clusters
from pytest_k8ssec.testbed.description import describe_testbed
from pytest_k8ssec.testbed.stacks import Stacks
from pytest_k8ssec.testbed.testbed import Testbed

if TYPE_CHECKING:
    from pytest_k8ssec.stack import EarlyChild


def begin(
    settings: Settings,
    *,
    progress: Tell,
    joined: Run | None = None,
    name: str = "",
    early: EarlyChild | None = None,
) -> Testbeds:
    """Begin a run, once a docker daemon answers and what dead runs left behind is removed.

    Args:
        joined: the run of another process of ours that this one shares, instead of one of its own.
        name: of the base cluster, "" for the run's own.
        early: Pulumi's process, where the caller has started it, who ends it if nobody takes it.

    Raises:
        ToolMissing: no docker daemon answers.
        SettingsError: the state directory is not ours, or a folder can't be written or has too little room.
    """
    docker.check_daemon()
    for swept in sweep():  # first, as it makes room
        progress(str(swept))
    preflight.check(settings)
    run = joined or Run.begin()
    if settings.cluster is None:
        attend_soon(run)
    run.uses(docker.endpoint(), docker.daemon())
    return Testbeds(settings, run, owner=joined is None, progress=progress, name=name, early=early)


class Testbeds:
    """The testbeds of one pytest process; under xdist all workers share the base.

    Args:
        run: the run that everything belongs to; an xdist worker has joined it.
        owner: whether this process began the run, and so removes what it created.
        progress: called with each longer step in words.
        name: of the base cluster, "" for the run's own.
        early: Pulumi's process, where it was started before the run.
    """

    __test__ = False  # pytest takes a class of such a name for tests

    def __init__(
        self,
        settings: Settings,
        run: Run,
        *,
        owner: bool,
        progress: Tell,
        name: str = "",
        early: EarlyChild | None = None,
    ) -> None:
        self.settings = settings
        self.run = run
        self._owner = owner
        self._progress = progress
        self._stacks = Stacks(settings, run, progress=progress, early=early)
        self._clusters = Clusters(settings, run, self._stacks, progress=progress, name=name)
        self.base = self._testbed(None)
        self._variants: dict[str, Testbed] = {}
        self._foreseen: dict[str, Testbed] = {}
        self._making: list[Future[object]] = []
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="k8ssec-foreseen")

    def _testbed(self, variant: Pack | None) -> Testbed:
        choosing = self.settings.reach_limit, self.settings.reach_seed
        return Testbed(
            self.run, self._clusters, self._stacks, variant, overlap=not self.settings.serial, choosing=choosing
        )

    def testbed(self, variant: Pack | None) -> Testbed:
        """The base testbed, or that of sabotages that need a cluster of their own."""
        if variant is None:
            return self.base
        if variant.name not in self._variants:
            # One at a time: what the last variant needed is gone before the next one is made.
            self.close_variants()
            foreseen = variant.name in self._foreseen
            self._variants[variant.name] = self._foreseen.pop(variant.name) if foreseen else self._testbed(variant)
        return self._variants[variant.name]

    def foresee(self, variant: Pack) -> None:
        """Begin to make the cluster of sabotages whose turn comes next. Where that fails, it is made anew at its turn."""
        if variant.name not in self._variants and variant.name not in self._foreseen:
            testbed = self._foreseen[variant.name] = self._testbed(variant)
            self._making.append(self._maker.submit(lambda: testbed.cluster))

    def close_variants(self) -> None:
        """Remove the clusters of sabotages, but for one that is foreseen."""
        for testbed in self._variants.values():
            testbed.close()
        self._variants.clear()

    def _close_all_variants(self) -> None:
        """Remove the clusters of sabotages, once none is being made any more."""
        making = [made for made in self._making if not made.cancel() and not made.done()]
        if making:
            self._progress("waiting for the cluster of the next sabotage, which is being made and goes then")
        wait(making)
        self._variants |= self._foreseen
        self._foreseen.clear()
        self.close_variants()

    def adopt(self) -> None:
        """Take over the base cluster that xdist workers created."""
        if (shared := self._clusters.shared()) is not None:
            self.base.cluster = shared

    def describe(self) -> dict[str, Any]:
        """The cluster, the stack and the versions, for a report; only what is known without a request."""
        return describe_testbed(self.base, self.settings)

    def save_diagnostics(self) -> list[str]:
        """Save the base cluster's logs before it is removed. Returns a line that says where they are."""
        from pytest_k8ssec.clusters import kind

        if not (self._owner and self.base.has_cluster and self.base.cluster.ours):
            return []
        saved = kind.export_logs(self.base.cluster, tools.find_tool("kind"), self._clusters.diagnostics)
        return [f"logs of the cluster: {saved}"] if saved else []

    def close(self, *, failed: bool) -> list[str]:
        """Remove what this process created, unless it is to be kept.

        Args:
            failed: whether a test failed.

        Returns:
            lines for the user: what was kept, and how to use and remove it.

        Raises:
            DaemonGone: docker does not answer any more; the text says what is left, and what removes it.
        """
        try:
            return self._close(failed=failed)
        except docker.DaemonGone as error:
            end_marked(self.run.id)
            raise self._left(error) from error

    def _close(self, *, failed: bool) -> list[str]:
        self._stacks.end()
        self._close_all_variants()
        if not self._owner:
            self.base.close_pool()
            return []
        keep = self.settings.keep == "always" or (self.settings.keep == "on-failure" and failed)
        if keep and self.base.has_cluster and self.base.cluster.ours:
            return self.keep()
        self.remove()
        return []

    def keep(self) -> list[str]:
        """Leave the base cluster where it is, and end the run. Returns lines that say how to use and remove it."""
        self._stacks.end()
        self.base.dismiss()
        with uninterrupted():
            self.base.cluster.close_vantages()
            self.run.keep()
        name = self.base.cluster.name
        return [
            f"kept cluster {name}; kubeconfig {self.base.cluster.kubeconfig}",
            f"run again on it:  pytest --k8ssec-controls --k8ssec-cluster {name}" + self._stacks.flags,
            f"remove it:        k8ssec down {name}",
        ]

    def remove(self) -> None:
        """Remove all that this run created, and end it."""
        with uninterrupted():
            self.base.close()
            self.run.dismiss_recorder()
            end_marked(self.run.id)
            remove_recorded(self.run)
            self.run.end()

    def _left(self, error: docker.DaemonGone) -> docker.DaemonGone:
        """What to tell of things that can't be removed now."""
        cluster = (
            f"cluster {self.base.cluster.name}" if self.base.has_cluster and self.base.cluster.ours else "what it made"
        )
        return docker.DaemonGone(
            f"{error.message}: {cluster} and its containers may be left (run {self.run.id})",
            fix=f"{error.fix}; then `k8ssec sweep` removes them, as the next run does",
        )
