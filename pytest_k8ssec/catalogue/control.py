"""``@control`` and ``@sabotage``: they annotate a test function and return it.

A control is a test function in ``controls/<family>/<slug>.py``; its id, family, title and text come from where it
stands and from its module's docstring, so that nothing is written twice. The docstring is a title line, then paragraphs;
those that begin with ``Remediation:`` and ``Sources:`` are kept apart, and so are fenced blocks: what can be pasted.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeVar, cast, overload

from pytest_k8ssec.catalogue.annotated import ANNOTATION, control_of
from pytest_k8ssec.catalogue.families import FAMILIES, Family
from pytest_k8ssec.catalogue.frameworks import reference
from pytest_k8ssec.catalogue.severity import Severity

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.clusters.kindconfig import KindConfig
    from pytest_k8ssec.evidence import Evidence

__all__ = ["Control", "Sabotage", "Severity", "Snippet", "control", "sabotage"]

_FENCED = re.compile(r"^```(\w+)\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
TestFunction = TypeVar("TestFunction", bound=Callable[..., None])
_NO_MEANS: Mapping[str, Sequence[str]] = MappingProxyType({})
_Function = TypeVar("_Function", bound=Callable[..., object])
_Live = TypeVar("_Live", bound="Callable[..., Iterator[Evidence]]")
_Mutation = TypeVar("_Mutation", bound="Callable[[KindConfig], None]")


@dataclass(frozen=True, slots=True)
class Sabotage:
    """A way to break a control, and what it is expected to break.

    ``live`` changes a running cluster and undoes it; ``mutate`` changes the configuration that a cluster of its own is
    made from, and ``proof`` shows on that cluster that it took effect. Exactly one of ``live`` and ``mutate`` is set.
    """

    name: str
    title: str
    kills: frozenset[str]
    """Ids of all controls that it is expected to breach, its own among them."""
    blinds: frozenset[str]
    """Ids of controls that are inconclusive while it is in force."""
    live: Callable[..., Iterator[Evidence]] | None = None
    mutate: Callable[[KindConfig], None] | None = None
    proof: Callable[[Cluster], Evidence] | None = None
    alone: bool = False
    """Whether no other may be in force beside it."""
    owner: str = ""
    """Id of the control that it is made for."""
    shows: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    """By id of a control that it breaches: the words that it must name, each in an attack that got through."""
    means: frozenset[str] = frozenset()
    """Ids of those of ``kills`` that are breached by what it needs in order to take effect, and not by what it shows."""
    hidden_by: frozenset[str] = frozenset()
    """Names of sabotages beside which what it shows would not be seen."""

    @property
    def needs_cluster(self) -> bool:
        """Whether it needs a cluster of its own."""
        return self.mutate is not None


@dataclass(frozen=True, slots=True)
class Snippet:
    """What a team can paste to fix a breach."""

    language: str
    """``yaml``, ``python`` (a Pulumi program's) or ``sh``."""
    text: str


@dataclass(slots=True)
class Control:
    """What is known of a control besides its code."""

    id: str
    family: Family
    severity: Severity
    subject: Literal["cluster", "stack"]
    mappings: Mapping[str, tuple[str, ...]]
    slow: bool
    function: Callable[..., None]
    sabotages: list[Sabotage] = field(default_factory=list)
    apart: bool = False
    """Whether it may run beside other controls."""
    dimensions: tuple[str, ...] = ()
    """What each of its attacks is one value of: it says which combinations exist, and *held* needs all of them tried."""
    blames: tuple[type, ...] = ()
    """The kinds of ``evidence.causes`` that it asks for where it is breached: none of another kind is believed."""
    finding: str = "{case}: {attack}"
    """What is once it is breached, in a sentence; its title is what ought to be."""

    @property
    def title(self) -> str:
        """The first line of its module's docstring."""
        return self._text[0].rstrip(".")

    @property
    def why(self) -> str:
        """Why it matters: the docstring's paragraphs that have no heading."""
        return "\n\n".join(part for part in self._paragraphs if not part.startswith(("Remediation:", "Sources:")))

    @property
    def remediation(self) -> str:
        """What to do when it is breached."""
        return self._section("Remediation:")

    @property
    def snippets(self) -> tuple[Snippet, ...]:
        """The same, to paste: the docstring's fenced blocks."""
        return tuple(Snippet(language, text) for language, text in _FENCED.findall("\n".join(self._text)))

    @property
    def sources(self) -> str:
        """Where its rules come from."""
        return self._section("Sources:")

    @property
    def _text(self) -> list[str]:
        module = sys.modules[self.function.__module__]
        return (inspect.getdoc(module) or self.id).splitlines()

    @property
    def _paragraphs(self) -> list[str]:
        prose = _FENCED.sub("", "\n".join(self._text[1:]))
        return [part.strip() for part in prose.split("\n\n") if part.strip()]

    def _section(self, heading: str) -> str:
        return "\n\n".join(part.removeprefix(heading).strip() for part in self._paragraphs if part.startswith(heading))


def control(
    *,
    severity: Severity,
    subject: Literal["cluster", "stack"],
    cis: Sequence[str] = (),
    mitre: Sequence[str] = (),
    nsa: Sequence[str] = (),
    owasp: Sequence[str] = (),
    others: Sequence[str] = (),
    slow: bool = False,
    apart: bool = False,
    dimensions: Sequence[str] = (),
    blames: Sequence[type] = (),
    finding: str = "{case}: {attack}",
) -> Callable[[TestFunction], TestFunction]:
    """Make a test function a control, and return the same function.

    Args:
        severity: how bad a breach is.
        subject: whether it judges the cluster or what the stack put into it.
        cis: recommendation numbers of the CIS Kubernetes Benchmark (edition: see frameworks.py).
        mitre, nsa, owasp: references besides those of its family.
        others: ids of other tools' checks for the same thing.
        slow: whether it takes more than ten seconds.
        apart: whether it may run beside other controls: it sees nothing of what they do, and they nothing of what it does. It
            makes and changes objects of ours alone. What it puts on a node has a name of its own there, and nobody lists it.
        dimensions: names of what its attacks vary in, such as ``node`` and ``port``: ``judge.coverage`` is told which
            combinations exist, and each attack which it tries.
        blames: the kinds of causes (``evidence.causes``) by which culprits are found once it is breached; what each attack's
            cause is, ``case.attack``, ``judge.case`` or the evidence says.
        finding: a sentence that says what is once it is breached, such as ``{case} can {attack}``.

    Raises:
        UnknownReference: an id that frameworks.py does not know.
        ValueError: the function's name is not ``test_<family>_<slug>``, or the finding names something else.
    """
    try:
        finding.format(case="", attack="")
    except (LookupError, ValueError) as error:
        raise ValueError(f"finding {finding!r}: it may name {{case}} and {{attack}} only: {error!r}") from error

    def annotate(function: TestFunction) -> TestFunction:
        identity = function.__name__.removeprefix("test_").replace("_", "-")
        family = FAMILIES.get(identity.partition("-")[0])
        if family is None or not function.__name__.startswith("test_"):
            raise ValueError(
                f"{function.__name__}: a control is named test_<family>_<slug>, family one of {list(FAMILIES)}"
            )
        mappings = {
            "cis": tuple(cis),
            "nsa": _together(family.nsa, nsa),
            "mitre": _together(family.mitre, mitre),
            "owasp": _together(family.owasp, owasp),
            "others": tuple(others),
        }
        for framework, ids in mappings.items():
            for each in ids:
                reference(framework, each)
        made = Control(
            identity, family, severity, subject, mappings, slow, function,
            apart=apart, dimensions=tuple(dimensions), blames=tuple(blames), finding=finding,
        )  # fmt: skip
        setattr(function, ANNOTATION, made)
        return function

    return annotate


@overload
def sabotage(
    of: Callable[..., None],
    *,
    shows: Sequence[str] = (),
    kills: Sequence[str] | Mapping[str, Sequence[str]] = (),
    means: Mapping[str, Sequence[str]] = _NO_MEANS,
    blinds: Sequence[str] = (),
    proof: None = None,
    alone: bool = False,
    hidden_by: Sequence[str] = (),
) -> Callable[[_Live], _Live]: ...


@overload
def sabotage(
    of: Callable[..., None],
    *,
    shows: Sequence[str] = (),
    kills: Sequence[str] | Mapping[str, Sequence[str]] = (),
    means: Mapping[str, Sequence[str]] = _NO_MEANS,
    blinds: Sequence[str] = (),
    proof: Callable[[Cluster], Evidence],
    alone: bool = False,
    hidden_by: Sequence[str] = (),
) -> Callable[[_Mutation], _Mutation]: ...


def sabotage(
    of: Callable[..., None],
    *,
    shows: Sequence[str] = (),
    kills: Sequence[str] | Mapping[str, Sequence[str]] = (),
    means: Mapping[str, Sequence[str]] = _NO_MEANS,
    blinds: Sequence[str] = (),
    proof: Callable[[Cluster], Evidence] | None = None,
    alone: bool = False,
    hidden_by: Sequence[str] = (),
) -> Callable[[_Function], _Function]:
    """Declare a way to break a control, and return the same function.

    Without ``proof`` the function is a generator that takes fixtures by name, breaks a live object, *yields the evidence
    that it took effect*, and undoes it. With ``proof`` it takes a KindConfig and changes it: a cluster of its own is
    made from that, and ``proof`` must return the evidence.

    Args:
        of: the control that must notice.
        shows: words that the control must name, each in an attack that got through; ``*`` stands for anything. A breach
            alone does not say which sabotage caused it. With words that nothing else brings about, several sabotages of
            one control may be in force together and still be told apart.
        kills: ids of further controls that are expected to be breached; a mapping gives their words too.
        means: further ids with their words: of controls that are breached by what this one needs in order to take effect, such
            as a namespace that lets in what it shows. Of several sabotages that need the same, none needs to be told from the
            others by that control, which has sabotages of its own.
        blinds: ids of controls that are expected to be inconclusive meanwhile.
        alone: whether no other sabotage may be in force beside it, as it breaks what they are applied or proven by.
        hidden_by: names of sabotages beside which it would breach its control in another way, as they take away what is
            left in its way.

    Raises:
        ValueError: ``of`` is not a control or its own means, or words are missing.
    """
    owner = control_of(of)
    if owner is None:
        raise ValueError(f"{of.__name__}: is not a control")

    def annotate(function: _Function) -> _Function:
        name = function.__name__.replace("_", "-")
        title = (inspect.getdoc(function) or name).splitlines()[0].rstrip(".")
        named = {owner.id: shows, **(kills if isinstance(kills, Mapping) else {}), **means}
        if owner.id in means:
            raise ValueError(f"{name}: {owner.id} is the control that must notice it, and not a means")
        if any(isinstance(words, str) or not all(words) for words in named.values()):
            raise ValueError(f"{name}: the words to be named must be a sequence of texts that are not empty")
        owner.sabotages.append(
            Sabotage(
                name,
                title,
                frozenset({owner.id, *kills, *means}),
                frozenset(blinds),
                live=cast("Callable[..., Iterator[Evidence]]", function) if proof is None else None,
                mutate=cast("Callable[[KindConfig], None]", function) if proof is not None else None,
                proof=proof,
                alone=alone,
                owner=owner.id,
                shows={control_id: tuple(words) for control_id, words in named.items() if words},
                means=frozenset(means),
                hidden_by=frozenset(hidden_by),
            )
        )
        return function

    return annotate


def _together(shared: Sequence[str], own: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*shared, *own)))
