"""The child process that runs Pulumi's operations: ``python -m pytest_k8ssec.stack.child``.

With ``inline``, the only module that imports pulumi. It reads one job after the other from standard input and writes
messages to standard output. The end of its input means that the parent is gone: then the whole session ends.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from pulumi import automation as auto
from pulumi.automation import events
from pulumi.automation._stack import StackInitMode
from semver import VersionInfo

from pytest_k8ssec.machine.end_session import end_session
from pytest_k8ssec.secrecy.find import SAMPLE, Leak, leaks
from pytest_k8ssec.stack.inline import InlineProgram
from pytest_k8ssec.stack.messages import (
    EARLY,
    PROVIDER,
    STACK,
    Diagnostic,
    EngineStep,
    Failed,
    Finished,
    Job,
    Message,
    encode,
)
from pytest_k8ssec.stack.positions import first_line
from pytest_k8ssec.stack.state import NotPlain, metadata_of, plain_outputs, readable_properties

Send = Callable[[Message], None]


def do_jobs() -> None:
    """Run the jobs that come over standard input, until it ends."""
    orders, answers = _private(0, "r"), _private(1, "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # whatever the user's program prints is not a message
    jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(orders, jobs), daemon=True).start()
    ahead = threading.Thread(target=import_ahead if EARLY in sys.argv[1:] else bool, daemon=True)
    ahead.start()
    lock = threading.Lock()

    def send(message: Message) -> None:
        with lock:
            print(encode(message), file=answers, flush=True)

    stacks = _Stacks()
    while True:
        job = jobs.get()
        if job.environment:
            os.environ.clear()
            os.environ.update(job.environment)
        if job.operation != "init":  # that is up to the command line, and what is imported meanwhile is for the program
            ahead.join()
        try:
            send(_run(job, stacks, send))
        except (
            auto.CommandError,
            auto.InvalidVersionError,
            subprocess.SubprocessError,
            OSError,
            _ConfigRefused,
        ) as error:
            send(Failed(_words(error)))


def import_ahead() -> None:
    """What nearly each program declares objects with: where the program runs in here, it finds it imported."""
    for group in ("core", "apps", "batch", "networking", "rbac", "meta", "policy", "admissionregistration"):
        with suppress(ImportError):
            importlib.import_module(f"pulumi_kubernetes.{group}.v1")


def _read(orders: IO[str], jobs: queue.SimpleQueue[Job]) -> None:
    """Hand on each job; at the end, which is the parent's, take everything down."""
    for line in orders:
        jobs.put(Job(**json.loads(line)))
    end_session(os.getsid(0), but=os.getpid())
    os._exit(1)


class _ConfigRefused(Exception):
    """Pulumi's command line refused a config value."""


def _private(number: int, mode: str) -> IO[str]:
    """A standard stream, moved to where the commands that we start do not inherit it."""
    return os.fdopen(os.dup(number), mode, encoding="utf-8")


def _words(error: Exception) -> str:
    """What Pulumi's command line printed as it failed; of a failed command the Automation API gives one long text."""
    _, _, said = str(error).rpartition("\n stderr: ")
    return said.strip()


class _Stack(auto.Stack):
    """A stack that asks nothing after an update: each question starts the command line anew, and its state tells all."""

    def outputs(self) -> auto.OutputMap:
        """None: see :func:`_outputs`."""
        return {}

    def info(self, show_secrets: bool = True) -> auto.UpdateSummary:  # noqa: ARG002, FBT001, FBT002 - as it is there
        """What nobody reads."""
        return auto.UpdateSummary("update", datetime.now(UTC), "", {}, {}, "succeeded")


class _Command(auto.PulumiCommand):
    """Pulumi's command line, which says of which version it is while the first commands run."""

    def __init__(self) -> None:
        self.command = "pulumi"
        self._asked = ThreadPoolExecutor(1).submit(auto.PulumiCommand)

    @property
    def version(self) -> VersionInfo | None:  # type: ignore[override]  # there it is known from the start
        """Its version. Raises auto.InvalidVersionError, OSError."""
        return self._asked.result().version


class _Stacks:
    """The stack and the program of the jobs, made for the first of them."""

    def __init__(self) -> None:
        self._made: _Stack | None = None
        self.program = InlineProgram()

    def get(self, job: Job) -> _Stack:
        """The stack, ready to be run where the job says."""
        if self._made is None:
            pulumi = _Command()  # it asks for its version, so there is one for all
            ours = auto.LocalWorkspace(work_dir=job.workspace, secrets_provider="passphrase", pulumi_command=pulumi)
            # Another worker of the same run may have made it: then it is found as it was left.
            made = _Stack(job.stack, ours, StackInitMode.CREATE_OR_SELECT if job.shared else StackInitMode.CREATE)
            for key, value in job.secrets.items():
                _set_secret(job, key, value)
            if not job.program:
                # The state lives in the backend, so a stack made in our directory can be run in the user's.
                theirs = auto.LocalWorkspace(work_dir=job.directory, pulumi_command=pulumi)
                made = _Stack(job.stack, theirs, StackInitMode.SELECT)
            self._made = made
        return self._made


def _run(job: Job, stacks: _Stacks, send: Send) -> Finished:
    stack = stacks.get(job)
    if job.operation == "init":
        return Finished()
    options: dict[str, Any] = {"on_event": lambda event: _forward(event, send), "color": "never"}
    if job.program:
        options["program"] = lambda: stacks.program.run(job)
    else:
        options["config_file"] = str(Path(job.workspace) / f"Pulumi.{job.stack}.yaml")
    if job.operation == "preview":
        stack.preview(**options)
        return Finished()
    stack.up(show_secrets=False, **options)
    exported: Any = stack.export_stack().deployment
    resources = exported["resources"]
    return Finished(
        _outputs(stack, resources),
        [_reduced(one, job) for one in resources],
        [asdict(one) for one in _exposed(job, resources)],
    )


def _outputs(stack: auto.Stack, resources: list[dict[str, Any]]) -> dict[str, Any]:
    """The stack's outputs, in plain."""
    try:
        return plain_outputs(resources)
    except NotPlain:
        return {name: output.value for name, output in auto.Stack.outputs(stack).items()}


def _exposed(job: Job, resources: list[dict[str, Any]]) -> Iterator[Leak]:
    """Where the state holds a secret of the job readably; a sample beside it shows that it would have been found."""
    state = {
        one["urn"]: {side: readable_properties(one.get(side)) for side in ("inputs", "outputs")} for one in resources
    }
    return leaks({SAMPLE: dict(job.secrets), **state}, job.secrets)


def _reduced(resource: dict[str, Any], job: Job) -> dict[str, Any]:
    """A resource of the exported state, and where it is declared; its properties reduced to metadata, or to outputs."""
    kept: dict[str, Any] = {key: resource.get(key) for key in ("urn", "type", "id", "external", "delete", "parent")}
    kept["at"] = first_line(resource, Path(job.workspace), Path(job.directory).resolve())
    for side in ("inputs", "outputs"):
        properties = resource.get(side) or {}
        is_stack = resource["type"] == STACK
        kept[side] = properties if is_stack else {"metadata": metadata_of(resource["type"], properties)}
    return kept


def _set_secret(job: Job, key: str, value: str) -> None:
    """Store a secret, encrypted: over standard input, as the Automation API would put it into the arguments."""
    argv = ["pulumi", "config", "set", "--non-interactive", "--secret", "--stack", job.stack, key]
    done = subprocess.run(argv, input=value, cwd=job.workspace, text=True, capture_output=True, timeout=60, check=False)
    if done.returncode:
        raise _ConfigRefused(f"config value {key}: {done.stderr.strip()}")


def _forward(event: events.EngineEvent, send: Send) -> None:
    """Pass an engine event on, reduced to what the parent needs."""
    if event.diagnostic_event:
        said = event.diagnostic_event
        if said.severity != "debug":
            send(Diagnostic(said.severity, said.urn or "", said.message, bool(said.ephemeral)))
    elif event.resource_pre_event:
        send(_step("started", event.resource_pre_event.metadata))
    elif event.res_outputs_event:
        send(_step("done", event.res_outputs_event.metadata))
    elif event.res_op_failed_event:
        send(_step("failed", event.res_op_failed_event.metadata))


def _step(state: Any, step: events.StepEventMetadata) -> EngineStep:
    now = step.new or step.old
    inputs = dict(now.inputs or {}) if now else {}
    return EngineStep(
        state,
        str(step.op.value if isinstance(step.op, events.OpType) else step.op),
        step.urn,
        step.type,
        metadata_of(step.type, inputs),
        inputs if step.type == PROVIDER else {},
    )


if __name__ == "__main__":
    do_jobs()
