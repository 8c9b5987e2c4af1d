"""All that one pytest process holds: its run, its clusters, and what stands on each.

A *site* is one cluster with what this run put on it. There is the base site, and one for each sabotage that needs a
cluster of its own; each part of a site is made when it is first asked for.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from pytest_k8ssec import docker, preflight, tools
from pytest_k8ssec.disks import told
from pytest_k8ssec.ending import end_marked
from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.interrupts import uninterrupted
from pytest_k8ssec.packs import Pack
from pytest_k8ssec.runs import Run
from pytest_k8ssec.saboteur import checked
from pytest_k8ssec.settings import Settings
from pytest_k8ssec.sweep import remove_recorded, sweep

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.kind import KindCluster
    from pytest_k8ssec.probes.pool import Pool
    from pytest_k8ssec.stack import Stack

Progress = Callable[[str], None]

STACK_SECONDS = 300
"""How long a stack's deployment may take."""
_SHARED = "base.json"


def begin(settings: Settings, *, progress: Progress, joined: Run | None = None, name: str = "") -> Sites:
    """Begin a run, once a docker daemon answers and what dead runs left behind is removed.

    Args:
        joined: the run of another process of ours that this one shares, instead of one of its own.
        name: of the base cluster, "" for the run's own.

    Raises:
        ToolMissing: no docker daemon answers.
        SettingsError: the state directory is not ours, or a folder can't be written or has too little room.
    """
    docker.check_daemon()
    for swept in sweep():  # first, as it makes room
        progress(str(swept))
    preflight.check(settings)
    run = joined or Run.begin()
    run.uses(docker.endpoint(), docker.daemon())
    return Sites(settings, run, owner=joined is None, progress=progress, name=name)


class Site:
    """One cluster, and the stack and the pods of ours on it."""

    def __init__(self, sites: Sites, variant: Pack | None) -> None:
        self._sites = sites
        self.variant = variant

    @cached_property
    def cluster(self) -> KindCluster:
        """The cluster, created or found now if need be.

        Raises:
            ToolMissing, ClusterError: it can't be had.
        """
        return self._sites.make_cluster(self.variant)

    @cached_property
    def stack(self) -> Stack:
        """The stack, deployed now if need be; on a cluster that is not ours it is only read.

        Raises:
            SettingsError: no stack was named.
            StackError: it can't be deployed.
        """
        _ = self._sites.stack_source  # where none was named, that is known before a cluster is made
        return self._sites.make_stack(self.cluster)

    @property
    def expected_stack(self) -> Stack | None:
        """The stack where one was named and this is the base site, else None."""
        return self.stack if self._sites.settings.stack and self.variant is None else None

    @cached_property
    def pool(self) -> Pool:
        """The pods to probe from; only where this run deployed the stack may they be placed among the stack's."""
        from pytest_k8ssec.probes.pool import Pool

        def among() -> tuple[str, ...]:
            stack = self.expected_stack
            return stack.namespaces if stack and stack.deployed else ()

        return Pool(self.cluster, self._sites.run.own, among)

    @property
    def has_cluster(self) -> bool:
        """Whether the cluster was made already."""
        return "cluster" in self.__dict__

    def refresh_pool(self) -> None:
        """Give up all pods, where there are some."""
        if "pool" in self.__dict__:
            self.pool.refresh()

    def close_pool(self) -> None:
        """Remove what our pods needed, where the cluster outlives the run."""
        if "pool" in self.__dict__:
            self.pool.close()

    def close(self) -> None:
        """Remove what was made, as far as it is ours."""
        self.close_pool()
        if self.has_cluster:
            self.cluster.close()
        self.__dict__.pop("cluster", None)


class Sites:
    """The sites of one pytest process; under xdist all workers share the base site.

    Args:
        run: the run that everything belongs to; an xdist worker has joined it.
        owner: whether this process began the run, and so removes what it created.
        progress: told each longer step.
        name: of the base cluster, "" for the run's own.
    """

    def __init__(self, settings: Settings, run: Run, *, owner: bool, progress: Progress, name: str = "") -> None:
        self.settings = settings
        self.run = run
        self.owner = owner
        self.progress = progress
        self._name = name
        self.base = Site(self, None)
        self._variants: dict[str, Site] = {}

    def site(self, variant: Pack | None) -> Site:
        """The base site, or the one of sabotages that need a cluster of their own."""
        if variant is None:
            return self.base
        if variant.name not in self._variants:
            # One at a time: what the last variant needed is gone before the next one is made.
            self.close_variants()
            self._variants[variant.name] = Site(self, variant)
        return self._variants[variant.name]

    def close_variants(self) -> None:
        """Remove the clusters of sabotages."""
        for site in self._variants.values():
            site.close()
        self._variants.clear()

    def make_cluster(self, variant: Pack | None) -> KindCluster:
        """Create a cluster, or find the one that the settings name."""
        from pytest_k8ssec.clusters import kind

        docker.check_daemon()
        binary, probe = tools.find("kind"), tools.probe_image()
        if variant is not None:
            with told(what="a file of this run"):
                return self._create(variant)
        with told(what="a file of this run"), FileLock(self.run.directory / "base.lock"):
            if self.settings.cluster:
                return kind.attach(self.settings.cluster, self.run, kind=binary, probe_image=probe)
            shared = self.run.directory / _SHARED
            if shared.exists():
                return self._shared_cluster(json.loads(shared.read_text()))
            cluster = self._create(None)
            shared.write_text(json.dumps({"name": cluster.name, "origin": cluster.origin}))
            return cluster

    def adopt(self) -> None:
        """Take over the base cluster that xdist workers created."""
        shared = self.run.directory / _SHARED
        if shared.exists():
            self.base.cluster = self._shared_cluster(json.loads(shared.read_text()))

    def make_stack(self, cluster: KindCluster) -> Stack:
        """Deploy the stack, or read it where the cluster is not ours."""
        from pytest_k8ssec import stack as stacks

        source = self.stack_source
        found = tools.find_provider()
        # Where nothing is to be fetched, the cache need not be one that can be written.
        cache = tools.cache_root() / "pulumi-plugins" if found is None or source.providers else None
        engine = stacks.Engine(tools.find("pulumi").path, found.path.parent if found else None, cache)
        if not cluster.ours:
            with told(what="a file of this run"):
                return stacks.read(source, engine, cluster, deadline=STACK_SECONDS, progress=self.progress)
        with told(what="a file of this run"), FileLock(self.run.directory / f"stack-{cluster.name}.lock"):
            shared = self.run.passphrase if self.run.worker else ""
            return stacks.deploy(
                source, engine, cluster, deadline=STACK_SECONDS, progress=self.progress, passphrase=shared
            )

    @cached_property
    def stack_source(self) -> Any:
        """What the settings say of the stack.

        Raises:
            SettingsError: they name none.
        """
        from pytest_k8ssec import stack as stacks

        if self.settings.stack is None:
            raise SettingsError("stack: none was named", fix="name its directory with --k8ssec-stack DIR")
        chosen = self.settings
        assert chosen.stack is not None
        return stacks.StackSource(
            chosen.stack, chosen.stack_name, chosen.config_file, chosen.config, chosen.secret, chosen.allow_provider
        )

    def _create(self, variant: Pack | None) -> KindCluster:
        from pytest_k8ssec.clusters import kind
        from pytest_k8ssec.clusters.kindconfig import PACKAGED, KindConfig

        path, origin = self._kind_config()
        config = KindConfig.load(path or PACKAGED)
        if variant is None and self.settings.stack:
            from pytest_k8ssec import stack as stacks

            stacks.prepare(self.stack_source)  # what is wrong with it is known now, not once a cluster stands
        if variant is not None:
            config = config.copy()
            for sabotage in variant.members:
                assert sabotage.mutate is not None
                sabotage.mutate(config)
        cluster = kind.create(
            config,
            self.run,
            kind=tools.find("kind"),
            node_image=tools.node_image(self.settings.node_image, self.settings.kubernetes_version),
            probe_image=tools.probe_image(),
            origin=origin,
            variant=variant.name if variant else "",
            suffix=variant.name if variant else "",
            kept_name="" if variant else self._name,
            progress=self.progress,
            logs=self.diagnostics,
        )
        if variant is not None:
            self._prove(variant, cluster)
        return cluster

    def _prove(self, variant: Pack, cluster: KindCluster) -> None:
        """Raises SabotageError unless each sabotage took effect on its cluster."""
        try:
            for sabotage in variant.members:
                assert sabotage.proof is not None
                checked(sabotage, sabotage.proof(cluster))
        except BaseException:
            cluster.close()
            raise

    def _kind_config(self) -> tuple[Path | None, Any]:
        """The user's kind configuration where there is one, and whose it is."""
        if self.settings.kind_config:
            return self.settings.kind_config, "user"
        beside = self.settings.stack / "kind.yaml" if self.settings.stack else None
        if beside and beside.exists():
            return beside, "user"
        return None, "packaged"

    def _shared_cluster(self, entry: dict[str, Any]) -> KindCluster:
        from pytest_k8ssec.clusters.kind import KindCluster

        workdir = self.run.folder("cluster")
        return KindCluster(
            entry["name"], workdir / "kubeconfig", workdir, True, entry["origin"], "", tools.probe_image(), self.run
        )

    @property
    def diagnostics(self) -> Path:
        """Where logs go when something fails; outlives the run."""
        from pytest_k8ssec.clusters.diagnostics import default_root

        return (self.settings.diagnostics or default_root()) / self.run.id

    def describe(self) -> dict[str, Any]:
        """The cluster, the stack and the versions, for a report; only what is known without asking anybody."""
        about: dict[str, Any] = {"versions": {}}
        if self.base.has_cluster:
            cluster = self.base.cluster
            about["cluster"] = {
                "name": cluster.name,
                "origin": cluster.origin,
                "ephemeral": cluster.ours,
                "nodes": [node.name for node in cluster.__dict__.get("nodes", ())],
            }
            if "version" in cluster.__dict__:
                about["versions"]["kubernetes-server"] = cluster.version
        if "stack" in self.base.__dict__:
            stack = self.base.stack
            about["stack"] = {
                "name": stack.name,
                "project": stack.project,
                "deployed": stack.deployed,
                "seconds": round(stack.seconds, 1),
                "resources": len(stack.resources),
                "namespaces": list(stack.namespaces),
                "providers": dict(stack.providers),
                "providers_unused": [name for name in self.settings.allow_provider if name not in stack.providers],
            }
        return about

    def save_diagnostics(self) -> list[str]:
        """Save the base cluster's logs before it goes. Returns a line that says where they are."""
        from pytest_k8ssec.clusters import kind

        if not (self.owner and self.base.has_cluster and self.base.cluster.ours):
            return []
        saved = kind.export_logs(self.base.cluster, tools.find("kind"), self.diagnostics)
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
        self.close_variants()
        if not self.owner:
            self.base.close_pool()
            return []
        keep = self.settings.keep == "always" or (self.settings.keep == "on-failure" and failed)
        if keep and self.base.has_cluster and self.base.cluster.ours:
            return self.keep()
        self.remove()
        return []

    def keep(self) -> list[str]:
        """Leave the base cluster where it is, and end the run. Returns lines that say how to use and remove it."""
        with uninterrupted():
            self.base.cluster.close_vantages()
            self.run.keep()
        name = self.base.cluster.name
        return [
            f"kept cluster {name}; kubeconfig {self.base.cluster.kubeconfig}",
            f"run again on it:  pytest --k8ssec-controls --k8ssec-cluster {name}" + self._stack_flags(),
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

    def _stack_flags(self) -> str:
        """What names the same stack again; a secret is named by its variable, never by its value."""
        chosen = self.settings
        if not chosen.stack:
            return ""
        flags = ["--k8ssec-stack", str(chosen.stack), "--k8ssec-stack-name", chosen.stack_name]
        if chosen.config_file:
            flags += ["--k8ssec-config-file", str(chosen.config_file)]
        for flag, pairs in (
            ("--k8ssec-config", chosen.config),
            ("--k8ssec-secret", chosen.secret),
            ("--k8ssec-allow-provider", chosen.allow_provider),
        ):
            for key, value in pairs.items():
                flags += [flag, f"{key}={value}"]
        return f" {shlex.join(flags)}"
