"""Deploy a stack to the cluster under test, or read what it declares: the steps, one below the other."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import StackError
from pytest_k8ssec.machine.process import Tell
from pytest_k8ssec.secrecy.find import Leak
from pytest_k8ssec.secrecy.redact import Redactor, redact
from pytest_k8ssec.stack.failure import Course, explain_failure
from pytest_k8ssec.stack.found.existing import find_existing
from pytest_k8ssec.stack.found.footprint import Before, Footprint
from pytest_k8ssec.stack.found.helm_releases import with_release_objects
from pytest_k8ssec.stack.found.listing import Listing, listed_beside
from pytest_k8ssec.stack.found.unready_pods import describe
from pytest_k8ssec.stack.messages import PROVIDER, Diagnostic, EngineStep, Failed, Finished, Message
from pytest_k8ssec.stack.model import Secret, Stack
from pytest_k8ssec.stack.positions import lines_of_yaml, places
from pytest_k8ssec.stack.providers import Providers
from pytest_k8ssec.stack.resource import Resource
from pytest_k8ssec.stack.servers import refuse_elsewhere
from pytest_k8ssec.stack.source import StackSource, prepare, project_file
from pytest_k8ssec.stack.state import declared_resources, deployed_resources, stack_outputs
from pytest_k8ssec.stack.types import is_progress
from pytest_k8ssec.stack.worker import EarlyChild, OutOfTime, Worker
from pytest_k8ssec.stack.workspace import Engine, Workspace

_LINES = 5
"""How many lines of progress a deployment prints."""
_GRACE = 10.0
"""Seconds that the rest gets once something failed: Pulumi waits for all that is under way, for minutes."""


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
        deadline: seconds for all of it, until each workload is ready; a second more for each object beyond that number.
        progress: called with a few words that say how far it is.
        passphrase: of the stack's state. Processes that deploy the stack to the same cluster with the same passphrase,
            one after the other, share its state; without a passphrase the state is this process's alone.
        early: a child that was started before; where it has the stack's workspace, the stack is taken from there.

    Raises:
        SettingsError: a setting is wrong, or a value that the program requires was not given.
        StackError: the program, one of its providers or the cluster is to blame; the text says which, and why.
    """
    if not cluster.ours:
        raise StackError(f"cluster {cluster.name}: was not created by this run, so no stack is deployed to it")
    workspace = (early and early.workspace) or _workspace(source, engine, cluster, passphrase)
    operations = _Operations(workspace, cluster, deadline, progress, early)
    before = Before(cluster.api, cluster.workdir / "before.json" if passphrase else None)
    try:
        with operations.worker:
            preview, _ = operations.run("preview")
            before.wait()
            total = len(preview.objects("done"))
            operations.allow_for(total)
            _, done = operations.run("up", total=total)
            operations.providers.tell_unused()
    except BaseException:
        operations.workspace.discard()  # what was broken off stays locked, and whoever comes next would be told only that
        raise
    outputs = stack_outputs(done.outputs, done.state, operations.hide)
    exposed = tuple(Leak(**one) for one in done.exposed)
    return operations.stack(deployed_resources(done.state, operations.places(done.state)), before, outputs, exposed)


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
    workspace = (early and early.workspace) or _workspace(source, engine, cluster, passphrase="")
    operations = _Operations(workspace, cluster, deadline, progress, early)
    listed = listed_beside(cluster.api)
    with operations.worker:
        preview, _ = operations.run("preview")
        operations.providers.tell_unused()
    declared = declared_resources(preview.steps.values())
    return operations.stack(find_existing(declared, cluster, source), None, {}, listed=listed)


class _Operations:
    """A stack's private workspace, and Pulumi's operations in it."""

    def __init__(
        self,
        workspace: Workspace,
        cluster: Cluster,
        seconds: float,
        progress: Tell,
        early: EarlyChild | None,
    ) -> None:
        self._prepared = workspace.prepared
        self._cluster = cluster
        self._started = time.monotonic()
        self._seconds = seconds
        self._progress = progress
        self.workspace = workspace
        self.providers = Providers(workspace.prepared.source.providers, progress)
        # A URL among the outputs is there to be used: it is left alone where it merely resembles a secret.
        self.hide = Redactor(workspace.prepared.secrets.values(), whole=True)
        env, deadline = workspace.env_for(cluster), self._started + seconds
        self.worker = Worker(env=env, deadline=deadline, hide=redact, early=early)

    def allow_for(self, total: int) -> None:
        """Give a stack of very many objects the time to create them: Pulumi makes a few in a second."""
        more = max(0.0, total - self._seconds)
        self._seconds += more
        self.worker.put_off(more)

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
            for message in self.worker.run(self.workspace.job(operation)):
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

    def places(self, state: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Where each resource is declared, by URN."""
        project = self._prepared.project
        by_name = lines_of_yaml(project.directory) if project.runtime == "yaml" else {}
        return places(state, by_name, project_file(self._prepared.source.directory).resolve())

    def stack(
        self,
        declared: tuple[Resource, ...],
        before: Before | None,
        outputs: dict[str, Any],
        exposed: tuple[Leak, ...] = (),
        listed: Callable[[], Listing] | None = None,
    ) -> Stack:
        """The result, with what came with the declared resources; ``listed`` is for :meth:`Footprint.measure`."""
        resources = with_release_objects(declared, self._cluster.api)
        footprint = Footprint(self._cluster.api, resources, before)
        footprint.measure(listed)
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
            footprint=footprint,
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


def _workspace(source: StackSource, engine: Engine, cluster: Cluster, passphrase: str) -> Workspace:
    """Where the stack's state is: a folder that who knows the passphrase shares, or one of this process alone."""
    if not passphrase:
        folder = Path(tempfile.mkdtemp(prefix="stack-", dir=cluster.workdir))
        return Workspace(prepare(source), engine, folder, cluster.probe_image)
    path = cluster.workdir / "stack"
    path.mkdir(mode=0o700, exist_ok=True)
    return Workspace(prepare(source), engine, path, cluster.probe_image, passphrase)
