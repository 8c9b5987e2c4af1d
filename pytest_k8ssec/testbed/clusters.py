"""The clusters of a run: created, found if the settings name one, or shared between xdist's workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from pytest_k8ssec.machine import tools
from pytest_k8ssec.machine.disks import as_disk_error
from pytest_k8ssec.machine.ledger import Run
from pytest_k8ssec.machine.process import Tell
from pytest_k8ssec.machine.tools import Image, Tool
from pytest_k8ssec.sabotages.packs import Pack
from pytest_k8ssec.sabotages.saboteur import checked
from pytest_k8ssec.settings import Settings
from pytest_k8ssec.testbed.stacks import Stacks

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.kind import KindCluster

_SHARED = "base.json"


class Clusters:
    """Makes the clusters that testbeds stand on.

    Args:
        run: the run that they belong to.
        stacks: what will be deployed; checked before a cluster is made.
        progress: called with each longer step in words.
        name: of the base cluster, "" for the run's own.
    """

    def __init__(self, settings: Settings, run: Run, stacks: Stacks, *, progress: Tell, name: str = "") -> None:
        self._settings = settings
        self._run = run
        self._stacks = stacks
        self._progress = progress
        self._name = name

    def make(self, variant: Pack | None) -> KindCluster:
        """Create a cluster, or find the one that the settings name."""
        from pytest_k8ssec.clusters import kind

        binary, probe = tools.find_tool("kind"), tools.probe_image()
        if variant is not None:
            with as_disk_error(what="a file of this run"):
                return self._create(variant, binary, probe)
        with as_disk_error(what="a file of this run"), FileLock(self._run.directory / "base.lock"):
            if self._settings.cluster:
                return kind.attach(self._settings.cluster, self._run, kind=binary, probe_image=probe)
            if (shared := self.shared()) is not None:
                return shared
            cluster = self._create(None, binary, probe)
            self._entry.write_text(json.dumps({"name": cluster.name, "origin": cluster.origin}))
            return cluster

    def shared(self) -> KindCluster | None:
        """The base cluster that a process of this run has created, None if there is none."""
        from pytest_k8ssec.clusters.kind import KindCluster

        if not self._entry.exists():
            return None
        entry = json.loads(self._entry.read_text())
        workdir = self._run.folder("cluster")
        return KindCluster(
            entry["name"], workdir / "kubeconfig", workdir, True, entry["origin"], "", tools.probe_image(), self._run
        )

    @property
    def diagnostics(self) -> Path:
        """Where logs go when something fails; outlives the run."""
        from pytest_k8ssec.clusters.diagnostics import default_root

        return (self._settings.diagnostics or default_root()) / self._run.id

    @property
    def _entry(self) -> Path:
        return self._run.directory / _SHARED

    def _create(self, variant: Pack | None, binary: Tool, probe: Image) -> KindCluster:
        from pytest_k8ssec.clusters.frozen.supply import Order, supply
        from pytest_k8ssec.clusters.kindconfig import PACKAGED, KindConfig

        path = self.kind_config
        intact = KindConfig.load(path or PACKAGED)
        config, suffix = intact, ""
        if variant is None:
            self._stacks.check()  # what is wrong with it is known now, not once a cluster stands
        else:
            config, suffix = intact.copy(), variant.name
            for sabotage in variant.members:
                assert sabotage.mutate is not None
                sabotage.mutate(config)
        order = Order(
            config=config,
            owner=self._run,
            kind=binary,
            node_image=tools.node_image(self._settings.node_image, self._settings.kubernetes_version),
            probe_image=probe,
            origin="user" if path else "packaged",
            name="" if variant else self._name,
            progress=self._progress,
            logs=self.diagnostics,
            variant=suffix,
            intact=intact if variant else None,
        )
        cluster = supply(order, fresh=self._settings.fresh)
        if variant is not None:
            _prove(variant, cluster)
        return cluster

    @property
    def kind_config(self) -> Path | None:
        """The user's kind configuration, None where there is none."""
        return self._settings.own_kind_config


def _prove(variant: Pack, cluster: KindCluster) -> None:
    """Raises SabotageError unless each sabotage took effect on its cluster."""
    try:
        for sabotage in variant.members:
            assert sabotage.proof is not None
            checked(sabotage, sabotage.proof(cluster))
    except BaseException:
        cluster.close()
        raise
