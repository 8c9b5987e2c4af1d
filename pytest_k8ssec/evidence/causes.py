"""What may have let an attack through, and what was found to have: data alone. ``facts/culprits`` finds, and only after a breach.

A *cause* is a question that a control, or its evidence, asks: who gave this right? A *culprit* is the answer: an object of the
cluster, and the line that declares it. That none was found is an answer too; a wrong object is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True, order=True)
class ObjectName:
    """An object of the cluster, and where one is to blame a field of it."""

    kind: str
    name: str
    namespace: str = ""
    field: str = ""
    """Such as ``spec.hostPID``; "" for the object as a whole."""

    @property
    def whole(self) -> ObjectName:
        """The object without its field."""
        return ObjectName(self.kind, self.name, self.namespace)

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {where}{self.name}" + (f", {self.field}" if self.field else "")


@dataclass(frozen=True, slots=True)
class Right:
    """A right that the API server's authorizer was asked for.

    The question: who gave it?

    Found by ``facts/culprits/rights``.
    """

    user: str
    verb: str
    resource: str
    """With its subresource, as RBAC writes it."""
    group: str = ""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {self.resource}{where} as {self.user}"


@dataclass(frozen=True, slots=True)
class Flow:
    """A connection from or to a pod, which policies should have stopped.

    The question: which one lets it through? Found by ``facts/culprits/policies``.
    """

    direction: Literal["Ingress", "Egress"]
    namespace: str
    """Of the pod whose policies decide."""
    labels: tuple[tuple[str, str], ...]
    """Of that pod."""
    source: str
    """The address that it came from."""
    target: str
    """The address that it went to."""
    port: int
    protocol: str = "TCP"

    def __str__(self) -> str:
        return f"{self.direction.lower()} at port {self.port}/{self.protocol} of pods in {self.namespace}"


@dataclass(frozen=True, slots=True)
class FieldCheck:
    """What may be wrong with one field, or with several of which the first that is set decides."""

    paths: tuple[tuple[str, ...], ...]
    """Each in its parts: ``*`` is each of a list, ``{name}`` the container of that name."""
    bad: tuple[object, ...] = ()
    """Values that are wrong; () for any that is set."""
    unset: bool = False
    """Whether it is wrong that none is set."""
    lacks: str = ""
    """What a list has to hold: without it, it is wrong."""

    def blames(self, value: object) -> bool:
        """Whether a value is wrong."""
        if value is None:
            return False
        if isinstance(value, list):
            return self.lacks not in value if self.lacks else not self.bad or any(one in self.bad for one in value)
        return not self.bad or any(value is bad or (value == bad and type(value) is type(bad)) for bad in self.bad)


@dataclass(frozen=True, slots=True)
class Fields:
    """Fields of an object.

    The question: which of them is set so that it lets the attack through? Found by ``facts/culprits/fields``.
    """

    kind: str
    api_version: str
    namespace: str
    name: str
    checks: tuple[FieldCheck, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """An object that the attack itself found.

    The question: is it still there?

    Found by ``facts/culprits/fields``.
    """

    kind: str
    api_version: str
    namespace: str
    name: str
    field: str = ""
    how: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Lacking:
    """A namespace that ought to have an object of one of these kinds.

    The question: has it none?

    Found by ``facts/culprits/lacking``.
    """

    namespace: str
    collections: tuple[str, ...]
    """Plural names below the namespace's path, of the core group."""
    what: str

    def __str__(self) -> str:
        return f"{self.what} in namespace {self.namespace}"


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of the cluster's own programs, such as the API server's flag ``anonymous-auth``.

    The question: does it run so? Found by ``facts/culprits/settings``.
    """

    component: str
    """``kubelet``, whose paths are those of its configuration; else a process, whose paths are its flags."""
    check: FieldCheck


_NAMED = 3
"""So many culprits stand in a sentence."""
Cause = Right | Flow | Fields | Known | Lacking | Setting


@dataclass(frozen=True, slots=True)
class Culprit:
    """An object that let an attack through."""

    what: ObjectName
    how: str = ""
    """What it does, in words."""
    place: str = ""
    """``file:line`` where it is declared; "" where nobody knows: it is not of the stack."""

    def __str__(self) -> str:
        return str(self.what) + (f" ({self.place})" if self.place else "")

    def to_json(self) -> dict[str, Any]:
        """JSON-compatible form for the report."""
        what = self.what
        return {
            "kind": what.kind, "namespace": what.namespace, "name": what.name, "field": what.field, "how": self.how,
            "place": self.place,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Blame:
    """What was found out of one breached case."""

    case: str
    attack: str
    """What got through, in the control's words: the first of the case."""
    culprits: tuple[Culprit, ...] = ()
    why_none: str = ""
    """Why no culprit is named, where none is."""
    place: str = ""
    """``file:line`` to look at first: a culprit's, else of a user's own test that, of the cluster its configuration."""
    words: str = "{case}: {attack}"
    """How its control says what is."""

    @property
    def finding(self) -> str:
        """What is, in a sentence."""
        said = self.words.format(case=self.case, attack=self.attack)
        by = [str(each) for each in self.culprits]
        shown = [*by[:_NAMED], *([f"{len(by) - _NAMED} more"] if len(by) > _NAMED else [])]
        return f"{said}, by {' and '.join(shown)}" if by else said

    def to_json(self) -> dict[str, Any]:
        """JSON-compatible form for the report."""
        return {
            "case": self.case, "finding": self.finding, "culprits": [each.to_json() for each in self.culprits],
            "not_found": self.why_none, "place": self.place,
        }  # fmt: skip
