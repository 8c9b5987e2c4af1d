"""What the child process that runs Pulumi tells this process: one JSON array a line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

EARLY: Final = "early"
"""The argument of a child that is started before there is anything to do."""
PROVIDERS: Final = "pulumi:providers:"
PROVIDER: Final = f"{PROVIDERS}kubernetes"
STACK: Final = "pulumi:pulumi:Stack"


@dataclass(frozen=True, slots=True)
class Job:
    """One operation for the child. Travels over its standard input, as it holds secrets."""

    operation: Literal["init", "preview", "up"]
    """``init`` makes the stack and stores its secrets, which each other one does where that was not done."""
    stack: str
    workspace: str
    """Private directory with a Pulumi.yaml of ours and the stack's config file."""
    directory: str
    """The program's working directory."""
    program: str
    """File of a Python program that is to run inline; "" where the language host runs ``directory``."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Values to be stored, encrypted, as the stack's configuration before the first operation."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What the child's environment becomes, where that was not known yet as it was started; {} leaves it as it is."""
    shared: bool = False
    """Whether another process may have made the stack in this workspace."""

    def to_json(self) -> str:
        """The job as one line."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class EngineStep:
    """The engine begins, ends or fails an operation on one resource."""

    state: Literal["started", "done", "failed"]
    op: str
    urn: str
    type: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Of a Kubernetes object: name, namespace and annotations."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """Of a Kubernetes provider, as the engine shows them: secrets masked."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """The engine, the provider or the program says something."""

    severity: str
    urn: str
    message: str
    passing: bool = False
    """A note on progress, to be replaced by the next one."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The operation succeeded."""

    outputs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Plain values, secrets too: to be wrapped on receipt."""
    state: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    """The exported state's resources, with no more than metadata and the stack's outputs; empty after a preview."""
    exposed: Sequence[Mapping[str, str]] = ()
    """Where the exported state, and a sample beside it, hold a secret of the job in plain: fields of ``leaks.Leak``."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The operation failed, and in which words Pulumi's command line said so."""

    message: str


Message = EngineStep | Diagnostic | Finished | Failed

_KINDS: dict[str, type[Message]] = {one.__name__: one for one in (EngineStep, Diagnostic, Finished, Failed)}


def encode(message: Message) -> str:
    """A message as one line."""
    return json.dumps([type(message).__name__, asdict(message)])


def decode(line: str) -> Message:
    """The message in a line that :func:`encode` made."""
    kind, values = json.loads(line)
    return _KINDS[kind](**values)
