"""The stack that the settings name: checked early, deployed to a cluster of ours, only read on another one."""

from __future__ import annotations

import shlex
import tempfile
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from pytest_k8ssec.errors import K8ssecError, SettingsError
from pytest_k8ssec.machine import tools
from pytest_k8ssec.machine.disks import as_disk_error
from pytest_k8ssec.machine.ledger import Run
from pytest_k8ssec.machine.process import Tell
from pytest_k8ssec.settings import Settings

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.kind import KindCluster
    from pytest_k8ssec.stack import EarlyChild, Engine, Stack, StackSource, Workspace

STACK_SECONDS = 300
"""How long a stack's deployment may take."""


class Stacks:
    """Puts the stack onto clusters.

    Args:
        run: the run that it belongs to.
        progress: called with each longer step in words.
        early: Pulumi's process, where it was started before the run; who started it ends it if nobody takes it.
    """

    def __init__(self, settings: Settings, run: Run, *, progress: Tell, early: EarlyChild | None = None) -> None:
        self._settings = settings
        self._run = run
        self._progress = progress
        self._started = early
        self._early: EarlyChild | None = None

    @property
    def named(self) -> bool:
        """Whether the settings name a stack."""
        return bool(self._settings.stack)

    @cached_property
    def source(self) -> StackSource:
        """What the settings say of the stack.

        Raises:
            SettingsError: they name none.
        """
        return source_of(self._settings)

    def check(self) -> None:
        """Check the stack before there is a cluster; nothing if none was named.

        Raises:
            SettingsError, StackError: it can't be deployed as it is.
        """
        from pytest_k8ssec.stack import prepare

        if self.named:
            prepare(self.source)

    def begin(self) -> None:
        """Start Pulumi's process while the cluster is made, where a stack will be put there."""
        from pytest_k8ssec.stack import EarlyChild

        if self.named and self._early is None:
            # It has much to import, and need not wait for what is found out here.
            self._early, self._started = self._started or EarlyChild(), None
            if (workspace := self._workspace()) is not None:
                self._early.make_stack(workspace)

    def _workspace(self) -> Workspace | None:
        """Where the stack is made before there is a cluster; None where it can't be, which will be told when its turn comes."""
        from pytest_k8ssec.clusters.kind import on_nodes
        from pytest_k8ssec.stack import Workspace, prepare

        if self._run.worker:
            return None  # another worker may have made it, in the cluster's own folder
        with suppress(K8ssecError, OSError):
            folder = Path(tempfile.mkdtemp(prefix="stack-", dir=self._run.directory))
            return Workspace(prepare(self.source), self._engine(), folder, on_nodes(tools.probe_image().reference))
        return None

    def end(self) -> None:
        """End what was begun and is not needed any more."""
        if self._early is not None:
            self._early.end()
            self._early = None

    def make(self, cluster: KindCluster) -> Stack:
        """Deploy the stack, or read it if the cluster is not ours."""
        from pytest_k8ssec.stack import deploy, read_stack

        source, engine = self.source, self._engine()
        if not cluster.ours:
            with as_disk_error(what="a file of this run"):
                return read_stack(
                    source, engine, cluster, deadline=STACK_SECONDS, progress=self._progress, early=self._early
                )
        with as_disk_error(what="a file of this run"), FileLock(self._run.directory / f"stack-{cluster.name}.lock"):
            shared = self._run.passphrase if self._run.worker else ""
            return deploy(
                source,
                engine,
                cluster,
                deadline=STACK_SECONDS,
                progress=self._progress,
                passphrase=shared,
                early=self._early,
            )

    def _engine(self) -> Engine:
        from pytest_k8ssec.stack import Engine

        found = tools.find_provider()
        # Where nothing is to be fetched, the cache need not be one that can be written.
        cache = tools.cache_root() / "pulumi-plugins" if found is None or self.source.providers else None
        folder = found.path.parent if found else None
        return Engine(tools.find_tool("pulumi").path, folder, cache, tools.language_host_dirs())

    @property
    def flags(self) -> str:
        """Options that name the same stack again; a secret is named by its variable, never by its value."""
        chosen = self._settings
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


def source_of(settings: Settings) -> StackSource:
    """What settings say of the stack.

    Raises:
        SettingsError: they name none.
    """
    from pytest_k8ssec.stack import StackSource

    if settings.stack is None:
        raise SettingsError("stack: none was named", fix="name its directory with --k8ssec-stack DIR")
    return StackSource(
        settings.stack,
        settings.stack_name,
        settings.config_file,
        settings.config,
        settings.secret,
        settings.allow_provider,
    )
