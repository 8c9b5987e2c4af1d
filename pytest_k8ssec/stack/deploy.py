"""Deploy a stack to the cluster under test, or read what it declares: the steps, one below the other."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml

from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import StackError
from pytest_k8ssec.machine.process import Tell
from pytest_k8ssec.machine.proxies import direct
from pytest_k8ssec.secrecy.find import Leak
from pytest_k8ssec.secrecy.redact import Redactor, redact
from pytest_k8ssec.stack import plugins
from pytest_k8ssec.stack.existing import find_existing
from pytest_k8ssec.stack.failure import Course, explain_failure
from pytest_k8ssec.stack.helm_releases import with_release_objects
from pytest_k8ssec.stack.hosts import find_host
from pytest_k8ssec.stack.messages import PROVIDER, Diagnostic, EngineStep, Failed, Finished, Job, Message
from pytest_k8ssec.stack.model import Resource, Secret, Stack
from pytest_k8ssec.stack.providers import Providers
from pytest_k8ssec.stack.servers import refuse_elsewhere
from pytest_k8ssec.stack.source import Prepared, StackSource, prepare
from pytest_k8ssec.stack.state import declared_resources, deployed_resources, stack_outputs
from pytest_k8ssec.stack.types import is_progress
from pytest_k8ssec.stack.unready_pods import describe
from pytest_k8ssec.stack.worker import EarlyChild, OutOfTime, Worker

_LINES = 5
"""How many lines of progress a deployment prints."""
_GRACE = 10.0
"""Seconds that the rest gets once something failed: Pulumi waits for all that is under way, for minutes."""


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


def deploy(
    source: StackSource,
    engine: Engine,
    cluster: Cluster,
    *,
    deadline: float = 180,
    progress: Tell = lambda _: None,
    passphrase: str = "",
    early: EarlyChild | None = None,
) -> Stack:
    """Bring a stack up on a cluster that this run created.

    Args:
        deadline: seconds for all of it, until each workload is ready.
        progress: called with a few words that say how far it is.
        passphrase: of the stack's state. Processes that deploy the stack to the same cluster with the same passphrase,
            one after the other, share its state; without a passphrase the state is this process's alone.
        early: a child that waits for its first job.

    Raises:
        SettingsError: a setting is wrong, or a value that the program requires was not given.
        StackError: the program, one of its providers or the cluster is to blame; the text says which, and why.
    """
    if not cluster.ours:
        raise StackError(f"cluster {cluster.name}: was not created by this run, so no stack is deployed to it")
    operations = _Operations(prepare(source), engine, cluster, deadline, progress, passphrase, early)
    try:
        with operations.worker:
            preview, _ = operations.run("preview")
            _, done = operations.run("up", total=len(preview.objects("done")))
            operations.providers.tell_unused()
    except BaseException:
        operations.discard()  # what was broken off stays locked, and whoever comes next would be told only that
        raise
    outputs = stack_outputs(done.outputs, done.state, operations.hide)
    exposed = tuple(Leak(**one) for one in done.exposed)
    resources = with_release_objects(deployed_resources(done.state), cluster.api)
    return operations.stack(resources, outputs, exposed)


def read_stack(
    source: StackSource,
    engine: Engine,
    cluster: Cluster,
    *,
    deadline: float = 180,
    progress: Tell = lambda _: None,
    early: EarlyChild | None = None,
) -> Stack:
    """Learn by a preview which objects a stack declares, and find them on a cluster: nothing is changed there.

    Raises:
        SettingsError: as for :func:`deploy`.
        StackError: as for :func:`deploy`, or an object that the stack declares is not on the cluster.
    """
    operations = _Operations(prepare(source), engine, cluster, deadline, progress, early=early)
    with operations.worker:
        preview, _ = operations.run("preview")
        operations.providers.tell_unused()
    declared = declared_resources(preview.steps.values())
    return operations.stack(with_release_objects(find_existing(declared, cluster, source), cluster.api), {})


class _Operations:
    """A stack's private workspace, and Pulumi's operations in it."""

    def __init__(
        self,
        prepared: Prepared,
        engine: Engine,
        cluster: Cluster,
        seconds: float,
        progress: Tell,
        passphrase: str = "",
        early: EarlyChild | None = None,
    ) -> None:
        self._prepared = prepared
        self._cluster = cluster
        self._started = time.monotonic()
        self._seconds = seconds
        self._progress = progress
        self._workspace = _workspace(cluster, shared=bool(passphrase))
        self.providers = Providers(prepared.source.providers, progress)
        self._env = _environment(engine, cluster, self._workspace, passphrase, prepared.source.providers)
        hosts = self._workspace / "hosts"
        self._inline = find_host(prepared, engine.pulumi, self._env["PATH"], hosts) is None
        self._env["PATH"] = os.pathsep.join([self._env["PATH"], str(hosts)])
        # A URL among the outputs is there to be used: it is left alone where it merely resembles a secret.
        self.hide = Redactor(prepared.secrets.values(), whole=True)
        self.worker = Worker(env=self._env, deadline=self._started + seconds, hide=redact, early=early)
        _write_workspace(self._workspace, prepared, cluster.probe_image)

    def run(self, operation: Literal["preview", "up"], total: int = 0) -> tuple[Course, Finished]:
        """Run one operation to its end.

        Args:
            total: how many objects are to be created, for the progress.

        Raises:
            K8ssecError: it failed, or ran past the deadline.
        """
        course, said, late = Course(), "", False
        message: Message | None = None
        self._progress("stack: previewing" if operation == "preview" else f"stack: 0 of {total} objects")
        try:
            for message in self.worker.run(self._job(operation)):
                course.take(message)
                if isinstance(message, Finished):
                    break
                if isinstance(message, Failed):
                    said = message.message
                if isinstance(message, Diagnostic):
                    self.providers.hear(message)
                if isinstance(message, EngineStep):
                    self._look_at(message, course, operation, total)
                if course.failing:
                    self.worker.hurry(_GRACE)
        except OutOfTime:
            late = True
        if refusal := self.providers.kept_out(course.errors, operation):
            raise refusal
        if isinstance(message, Finished):
            return course, message
        after = self._seconds if late else None
        raise explain_failure(self._prepared.source, course, said, after=after, trouble=self._trouble)

    def discard(self) -> None:
        """Remove the workspace."""
        shutil.rmtree(self._workspace, ignore_errors=True)

    def stack(self, resources: tuple[Resource, ...], outputs: dict[str, Any], exposed: tuple[Leak, ...] = ()) -> Stack:
        """The result."""
        return Stack(
            name=self._prepared.source.name,
            project=self._prepared.project.name,
            outputs=outputs,
            resources=resources,
            deployed=self._cluster.ours,
            seconds=time.monotonic() - self._started,
            api=self._cluster.api,
            secrets={key: Secret(value) for key, value in self._prepared.secrets.items()},
            exposed=exposed,
            providers=self.providers.used(),
        )

    def _job(self, operation: Literal["preview", "up"]) -> Job:
        program = str(self._prepared.project.program) if self._inline else ""
        return Job(
            operation=operation,
            stack=self._prepared.source.name,
            workspace=str(self._workspace),
            directory=str(self._prepared.project.directory if self._inline else self._prepared.source.directory),
            program=program,
            secrets=self._prepared.secrets,
        )

    def _look_at(self, step: EngineStep, course: Course, operation: str, total: int) -> None:
        """Refuse a provider of another kind, or that points elsewhere, at its first appearance; report progress."""
        self.providers.look_at(step.type, step.urn, operation)
        if step.type == PROVIDER and step.state == "started":
            refuse_elsewhere(step.urn, step.inputs, self._cluster.kubeconfig, self._prepared.project.directory)
        if operation == "up" and step.state == "done" and is_progress(step.type):
            done = course.finished
            # What a program declares only once something is known was not in the preview: total may be too low, even 0.
            if done >= total or done * _LINES // total > (done - 1) * _LINES // total:
                self._progress(f"stack: {done} of {total} objects")

    def _trouble(self, namespaces: list[str]) -> str:
        return redact(describe(self._cluster.api, namespaces))


def _workspace(cluster: Cluster, *, shared: bool) -> Path:
    """Where the stack's state is."""
    if not shared:
        return Path(tempfile.mkdtemp(prefix="stack-", dir=cluster.workdir))
    path = cluster.workdir / "stack"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def _environment(
    engine: Engine, cluster: Cluster, workspace: Path, passphrase: str, allowed: Collection[str]
) -> dict[str, str]:
    """The child's environment: ours without anything that could lead Pulumi to the user's stacks, clusters or plugins."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
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
    env |= {
        # Unset, the provider would take the user's own, which may be production.
        "KUBECONFIG": str(cluster.kubeconfig),
        "PULUMI_HOME": str(home),
        "PULUMI_BACKEND_URL": f"file://{workspace / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": passphrase or secrets.token_urlsafe(32),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # What a program names and does not use is not fetched.
        "PULUMI_OPTION_SKIP_PLUGIN_PRE_INSTALL": "true",
        "PULUMI_PLUGIN_DOWNLOAD_URL_OVERRIDES": plugins.download_rules(allowed),
        "NO_COLOR": "1",
    }
    return direct(env, _hosts(cluster))


def _hosts(cluster: Cluster) -> Iterator[str]:
    """What belongs to the cluster and may be asked from here."""
    yield urlsplit(cluster.api.server).hostname or ""
    for node in cluster.nodes:
        yield from (node.name, node.address)


def _write_workspace(workspace: Path, prepared: Prepared, probe_image: str) -> None:
    """A Pulumi.yaml and a config file of our own: nothing is ever written into the user's directory."""
    project = prepared.project
    document = {"name": project.name, "runtime": project.runtime, "main": str(project.directory)}
    if "config" in project.document:
        document["config"] = project.document["config"]
    config = {
        key: value.replace("{probe_image}", probe_image) if isinstance(value, str) else value
        for key, value in prepared.config.items()
    }
    (workspace / "Pulumi.yaml").write_text(yaml.safe_dump(document))
    path = workspace / f"Pulumi.{prepared.source.name}.yaml"
    if not path.exists():  # what is there says with which salt the state is encrypted
        path.write_text(yaml.safe_dump({"config": config}))
