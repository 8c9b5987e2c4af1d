"""The child process that runs one Pulumi operation: ``python -m pytest_k8ssec.stack.child``.

The only module that imports pulumi. It reads a job from standard input and writes messages to standard output. The
parent keeps standard input open: its end means that the parent is gone, and then this session ends too.
"""

from __future__ import annotations

import copy
import json
import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import pulumi
from pulumi import automation as auto
from pulumi.automation import events

from pytest_k8ssec.stack.messages import PROVIDER, Diagnostic, Failed, Finished, Job, Message, Step, encode
from pytest_k8ssec.stack.session import end_session

_SKIP_AWAIT = "pulumi.com/skipAwait"
_WAITS_IN_VAIN = ("kubernetes:core/v1:ServiceAccount", "kubernetes:core/v1:Service")
"""The old provider waits 300 s for a token Secret that Kubernetes no longer makes, and 10 s for a Service to settle."""

Send = Callable[[Message], None]


def main() -> int:
    """Run the job on standard input; 0 if it succeeded."""
    orders, answers = _private(0, "r"), _private(1, "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # whatever the user's program prints is not a message
    job = Job(**json.loads(orders.readline()))
    threading.Thread(target=_end_with_parent, args=(orders,), daemon=True).start()
    lock = threading.Lock()

    def send(message: Message) -> None:
        with lock:
            print(encode(message), file=answers, flush=True)

    try:
        send(_run(job, send))
    except (auto.CommandError, auto.InvalidVersionError, subprocess.SubprocessError, OSError, _ConfigRefused) as error:
        send(Failed(_words(error)))
        return 1
    return 0


class _ConfigRefused(Exception):
    """Pulumi's command line refused a config value."""


def _private(number: int, mode: str) -> IO[str]:
    """A standard stream, moved to where the commands that we start do not inherit it."""
    return os.fdopen(os.dup(number), mode, encoding="utf-8")


def _end_with_parent(orders: IO[str]) -> None:
    orders.read()
    end_session(os.getsid(0), but=os.getpid())
    os._exit(1)


def _words(error: Exception) -> str:
    """What Pulumi's command line printed as it failed; of a failed command the Automation API gives one long text."""
    _, _, said = str(error).rpartition("\n stderr: ")
    return said.strip()


def _run(job: Job, send: Send) -> Finished:
    workspace = auto.LocalWorkspace(work_dir=job.workspace, secrets_provider="passphrase")
    if job.operation == "preview":
        stack = auto.Stack.create(job.stack, workspace)
        for key, value in job.secrets.items():
            _set_secret(job, key, value)
    else:
        stack = auto.Stack.select(job.stack, workspace)
    options: dict[str, Any] = {"on_event": lambda event: _forward(event, send), "color": "never"}
    if job.program:
        options["program"] = lambda: _program(job)
    else:
        # The state lives in the backend, so a stack made from our directory can be run in the user's.
        stack = auto.Stack.select(job.stack, auto.LocalWorkspace(work_dir=job.directory))
        options["config_file"] = str(Path(job.workspace) / f"Pulumi.{job.stack}.yaml")
    if job.operation == "preview":
        stack.preview(**options)
        return Finished()
    done = stack.up(show_secrets=False, **options)
    outputs = {name: output.value for name, output in done.outputs.items()}
    return Finished(outputs, stack.export_stack().deployment or {})


def _set_secret(job: Job, key: str, value: str) -> None:
    """Store a secret, encrypted: over standard input, as the Automation API would put it into the arguments."""
    argv = ["pulumi", "config", "set", "--non-interactive", "--secret", "--stack", job.stack, key]
    done = subprocess.run(argv, input=value, cwd=job.workspace, text=True, capture_output=True, timeout=60, check=False)
    if done.returncode:
        raise _ConfigRefused(f"config value {key}: {done.stderr.strip()}")


def _program(job: Job) -> None:
    """The user's program, as the language host would run it."""
    os.chdir(job.directory)
    sys.path.insert(0, job.directory)
    sys.argv = [job.program]
    if job.skip_await:
        pulumi.runtime.register_stack_transformation(_without_waiting)
    runpy.run_path(job.program, run_name="__main__")


def _without_waiting(
    args: pulumi.ResourceTransformationArgs,
) -> pulumi.ResourceTransformationResult | None:
    """Tell the old provider not to wait for what never comes."""
    if args.type_ not in _WAITS_IN_VAIN:
        return None
    return pulumi.ResourceTransformationResult({**args.props, "metadata": _annotated(args.props.get("metadata"))}, args.opts)


def _annotated(metadata: Any) -> Any:
    """The metadata, in whichever of the SDK's forms it was written, with the annotation added."""
    if isinstance(metadata, pulumi.Output):
        return metadata.apply(_annotated)
    if metadata is None or isinstance(metadata, Mapping):
        known = metadata or {}
        return {**known, "annotations": _with_skip(known.get("annotations"))}
    changed = copy.copy(metadata)  # an ObjectMetaArgs
    changed.annotations = _with_skip(metadata.annotations)
    return changed


def _with_skip(annotations: Any) -> pulumi.Output[dict[str, str]]:
    # Only the annotations wait for what is not known yet: name and namespace are to stay visible in a preview.
    return pulumi.Output.from_input(annotations or {}).apply(lambda known: {**known, _SKIP_AWAIT: "true"})


def _forward(event: events.EngineEvent, send: Send) -> None:
    """Pass an engine event on, reduced to what the parent needs."""
    if event.diagnostic_event:
        said = event.diagnostic_event
        send(Diagnostic(said.severity, said.urn or "", said.message, bool(said.ephemeral)))
    elif event.resource_pre_event:
        send(_step("started", event.resource_pre_event.metadata))
    elif event.res_outputs_event:
        send(_step("done", event.res_outputs_event.metadata))
    elif event.res_op_failed_event:
        send(_step("failed", event.res_op_failed_event.metadata))


def _step(state: Any, step: events.StepEventMetadata) -> Step:
    now = step.new or step.old
    inputs = dict(now.inputs or {}) if now else {}
    metadata = inputs.get("metadata")
    return Step(
        state,
        str(step.op.value if isinstance(step.op, events.OpType) else step.op),
        step.urn,
        step.type,
        metadata if isinstance(metadata, dict) else {},
        inputs if step.type == PROVIDER else {},
    )


if __name__ == "__main__":
    sys.exit(main())
