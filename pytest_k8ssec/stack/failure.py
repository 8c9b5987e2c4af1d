"""What happened during one operation, and, where it failed, why: in the program, in a setting, or in the cluster."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from pytest_k8ssec.errors import K8ssecError, StackError
from pytest_k8ssec.stack.messages import Diagnostic, EngineStep, Message
from pytest_k8ssec.stack.source import StackSource, missing_config
from pytest_k8ssec.stack.types import is_progress

_MISSING = (
    re.compile(r"Missing required configuration variable '([^']+)'"),
    re.compile(r"missing configuration values? (.+)"),
)
_QUOTED = re.compile(r"'([^']+)'")
_FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)')
_TRACEBACK = "Traceback (most recent call last):"
_INTERNAL = re.compile(
    r"/(site|dist)-packages/|/lib/python3\.\d+/|^<frozen |/pytest_k8ssec/stack/|pulumi-language-python"
)
_CARETS = re.compile(r"^\s*[\^~]+\s*$")
_SUMMARY = ("update failed", "preview failed")
_SHOWN = 4
"""Resources that are named before the rest is only counted."""


@dataclass(slots=True)
class Course:
    """What the engine has said so far during one operation."""

    steps: dict[str, EngineStep] = field(default_factory=dict)
    """The last step of each resource, by URN."""
    errors: list[Diagnostic] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    """The last passing remark about each resource that is under way."""

    def take(self, message: Message) -> None:
        """Take one message into account."""
        if isinstance(message, EngineStep):
            before = self.steps.get(message.urn)
            if not (before and before.state == "failed"):
                self.steps[message.urn] = message
        elif isinstance(message, Diagnostic):
            text = message.message.strip()
            if message.severity == "error" and text and text not in _SUMMARY:
                if all(text != known.message.strip() for known in self.errors):
                    self.errors.append(message)
            elif message.urn and text and not text.startswith("Retry #"):
                self.notes[message.urn] = text

    @property
    def failing(self) -> bool:
        """Whether something failed, so that the operation as a whole can't succeed any more."""
        return bool(self.errors) or any(step.state == "failed" for step in self.steps.values())

    def objects(self, state: str) -> list[EngineStep]:
        """The Kubernetes objects and Helm Releases in a state, in the order in which they began; no components."""
        return [one for one in self.steps.values() if one.state == state and is_progress(one.type)]

    @property
    def finished(self) -> int:
        """How many objects are done."""
        return len(self.objects("done"))


def explain_failure(
    source: StackSource, course: Course, said: str, *, after: float | None, trouble: Callable[[list[str]], str]
) -> K8ssecError:
    """The error that tells a user why an operation failed.

    Args:
        said: what Pulumi's command line printed, used if nothing better is known.
        after: the seconds that passed, if the deadline ended the operation.
        trouble: gives the pods' states and warning events of some namespaces.
    """
    texts = [one.message.strip() for one in course.errors]
    everything = "\n".join(texts) or said
    if key := _missing_key(everything):
        return missing_config(source, key)
    for text in (*texts, said):
        if _TRACEBACK in text:
            return _raised(source, text)
    return _failed(source, course, texts or [said.strip()], after, trouble)


def _missing_key(text: str) -> str:
    for pattern in _MISSING:
        if found := pattern.search(text):
            quoted = _QUOTED.search(found.group(1))
            return quoted.group(1) if quoted else found.group(1)
    return ""


def _raised(source: StackSource, text: str) -> StackError:
    """The user's part of a Python traceback: where in the program, and what was raised."""
    frames: list[list[str]] = []
    raised: list[str] = []
    for line in text.rpartition(_TRACEBACK)[2].splitlines():
        if _FRAME.match(line):
            frames.append([line])
        elif frames and line.startswith("    "):
            frames[-1].append(line)
        elif line.strip():
            raised.append(line)
    theirs = [frame for frame in frames if not _INTERNAL.search(_file(frame[0]))]
    theirs = [frame for number, frame in enumerate(theirs) if frame not in theirs[:number]]
    shown = [line for frame in theirs for line in frame if line.strip() and not _CARETS.match(line)]
    where = ""
    if theirs and (at := _FRAME.match(theirs[-1][0])):
        where = f" in {at['file']}, line {at['line']}"
    return StackError(
        f'stack "{source.name}": its program raised {raised[0] if raised else "an error"}{where}',
        fix="correct the program",
        details="\n".join([*shown, *raised]),
    )


def _file(line: str) -> str:
    found = _FRAME.match(line)
    return found["file"] if found else ""


def _failed(
    source: StackSource, course: Course, texts: list[str], after: float | None, trouble: Callable[[list[str]], str]
) -> StackError:
    """A resource failed, or was not ready in time: Pulumi's words, and the cluster's beside them."""
    failed = course.objects("failed")
    waiting = course.objects("started")
    if after is not None and not course.failing:
        names = _names(waiting) or "Pulumi"
        message = f'stack "{source.name}": not ready within {after:g} s: waiting for {names}'
        fix = "see below what its pods report" if waiting else ""
        texts = []
    elif failed:
        message, fix = (
            f'stack "{source.name}": {_names(failed)} failed',
            "see below what Pulumi and the cluster report",
        )
    else:
        message, fix = f'stack "{source.name}": Pulumi failed', "see below what it reports"
    notes = [f"{_name(one)}: {course.notes[one.urn]}" for one in waiting if one.urn in course.notes]
    namespaces = [str(one.metadata.get("namespace", "")) for one in (*failed, *waiting)]
    concerned = [namespace for namespace in dict.fromkeys(namespaces) if namespace]
    details = [*texts, *notes, trouble(concerned) if concerned else ""]
    return StackError(message, fix=fix, details="\n".join(text for text in details if text))


def _names(steps: list[EngineStep]) -> str:
    rest = f" and {len(steps) - _SHOWN} more" if len(steps) > _SHOWN else ""
    return ", ".join(_name(one) for one in steps[:_SHOWN]) + rest


def _name(step: EngineStep) -> str:
    name = step.metadata.get("name") or step.urn.rsplit("::", 1)[-1]
    namespace = step.metadata.get("namespace")
    return f"{step.type.rsplit(':', 1)[-1]} {f'{namespace}/' if namespace else ''}{name}"
