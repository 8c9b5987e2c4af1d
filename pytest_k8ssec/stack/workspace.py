"""A stack's private folder and what Pulumi's processes find there: all that can be made while there is no cluster yet."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import yaml

from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.machine.proxies import direct
from pytest_k8ssec.stack import plugins
from pytest_k8ssec.stack.hosts import find_host
from pytest_k8ssec.stack.messages import Job
from pytest_k8ssec.stack.source import Prepared


@dataclass(frozen=True, slots=True)
class Engine:
    """Where Pulumi is."""

    pulumi: Path
    """The command line."""
    plugin_dir: Path | None = None
    """Directory with ``pulumi-resource-kubernetes``; None where Pulumi fetches the official one by itself."""
    plugin_cache: Path | None = None
    """Directory that keeps what Pulumi fetches from run to run; None keeps it for this run only."""
    host_dirs: tuple[Path, ...] = ()
    """Directories with language hosts (``pulumi-language-yaml``) that are neither on PATH nor beside Pulumi."""


class Workspace:
    """A stack's private folder; nothing is ever written into the user's own.

    Args:
        prepared: the stack.
        engine: what runs it.
        folder: an empty folder, or one where the same stack was run before: then its state goes on.
        probe_image: what ``{probe_image}`` in a value of its configuration stands for.
        passphrase: of the state; "" for one that nobody else can know.

    Raises:
        StackError, ToolMissing: what runs the stack's language is not there.
    """

    def __init__(
        self, prepared: Prepared, engine: Engine, folder: Path, probe_image: str, passphrase: str = ""
    ) -> None:
        self.prepared = prepared
        self.folder = folder
        self.env = _environment(engine, folder, passphrase, prepared.source.providers)
        """The environment of Pulumi's processes, which leads to no cluster."""
        self._shared = bool(passphrase)
        hosts = folder / "hosts"
        self._inline = find_host(prepared, engine.pulumi, self.env["PATH"], hosts) is None
        self.env["PATH"] = os.pathsep.join([self.env["PATH"], str(hosts)])
        self._write(probe_image)

    def env_for(self, cluster: Cluster) -> dict[str, str]:
        """The environment that leads to this cluster, and past every proxy."""
        # Unset, the provider would take the user's own, which may be production.
        return direct(self.env | {"KUBECONFIG": str(cluster.kubeconfig)}, _hosts(cluster))

    def job(self, operation: Literal["init", "preview", "up"], environment: Mapping[str, str] | None = None) -> Job:
        """An operation on the stack, as the child is told it."""
        project, source = self.prepared.project, self.prepared.source
        return Job(
            operation=operation,
            stack=source.name,
            workspace=str(self.folder),
            directory=str(project.directory if self._inline else source.directory),
            program=str(project.program) if self._inline else "",
            shared=self._shared,
            secrets=self.prepared.secrets,
            environment=environment or {},
        )

    def discard(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, probe_image: str) -> None:
        """The project's file and the stack's; from here on these are Pulumi's, which stores its salt and secrets there."""
        project = self.prepared.project
        document = {"name": project.name, "runtime": project.runtime, "main": str(project.directory)}
        if "config" in project.document:
            document["config"] = project.document["config"]
        config = {
            key: value.replace("{probe_image}", probe_image) if isinstance(value, str) else value
            for key, value in self.prepared.config.items()
        }
        (self.folder / "Pulumi.yaml").write_text(yaml.safe_dump(document))
        path = self.folder / f"Pulumi.{self.prepared.source.name}.yaml"
        # What is there says with which salt the state is encrypted, and holds the secrets.
        known = yaml.safe_load(path.read_text()) if path.exists() else {}
        path.write_text(yaml.safe_dump({**known, "config": (known.get("config") or {}) | config}))


def _environment(engine: Engine, workspace: Path, passphrase: str, allowed: Collection[str]) -> dict[str, str]:
    """The child's environment: ours without anything that could lead Pulumi to the user's stacks, clusters or plugins."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_") and key != "KUBECONFIG"}
    folders = [engine.pulumi.parent, engine.plugin_dir, *engine.host_dirs, Path(sys.executable).parent]
    path = os.pathsep.join([*(str(one) for one in folders if one), env.get("PATH", os.defpath)])
    refusing = plugins.refusing_folder(workspace / "refused", engine.pulumi, path, allowed)
    env["PATH"] = os.pathsep.join([str(refusing), path])
    home = workspace / "home"
    home.mkdir(exist_ok=True)
    (workspace / "state").mkdir(exist_ok=True)
    if engine.plugin_cache and not (home / "plugins").exists():
        cache = plugins.cache_of(engine.plugin_cache, allowed)
        cache.mkdir(parents=True, exist_ok=True)
        (home / "plugins").symlink_to(cache, target_is_directory=True)
    return env | {
        "PULUMI_HOME": str(home),
        "PULUMI_BACKEND_URL": f"file://{workspace / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": passphrase or secrets.token_urlsafe(32),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # What a program names and does not use is not fetched.
        "PULUMI_OPTION_SKIP_PLUGIN_PRE_INSTALL": "true",
        "PULUMI_PLUGIN_DOWNLOAD_URL_OVERRIDES": plugins.download_rules(allowed),
        "NO_COLOR": "1",
    }


def _hosts(cluster: Cluster) -> Iterator[str]:
    """What belongs to the cluster and may be asked from here."""
    yield urlsplit(cluster.api.server).hostname or ""
    for node in cluster.nodes:
        yield from (node.name, *node.addresses)
