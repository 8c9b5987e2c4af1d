"""What is right for a stack of the corpus: ``expected.yaml`` beside its program, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.verdict import Verdict

CORPUS = Path(__file__).parents[2] / "stacks" / "corpus"
FILE = "expected.yaml"
_SAYS_OF_WHAT = {Verdict.BREACHED, Verdict.INCONCLUSIVE}


@dataclass(frozen=True, slots=True)
class Expectation:
    """What one control must say of one stack."""

    control: str
    verdict: Verdict
    reason: str
    """Why that is right: by Kubernetes' documentation and what the control promises."""
    subjects: tuple[str, ...] = ()
    """Words of the cases that must be accused, or can't be told. No other case may be."""
    names: tuple[str, ...] = ()
    """Words that what got through must name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One stack of the corpus."""

    folder: Path
    planted: str
    """Its mistake, in words."""
    oddity: str
    """What is unusual in it, and right."""
    secrets: tuple[str, ...]
    """Configuration keys that are given as secrets, each a value by chance."""
    allow: Mapping[str, str]
    """``CONTROL:SUBJECT`` to the reason, as its team has it in the settings."""
    expected: tuple[Expectation, ...]

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.folder.name


def corpus(folder: Path = CORPUS) -> tuple[Entry, ...]:
    """Every stack of the corpus, by name. Raises SettingsError: see :func:`read`."""
    return tuple(read(file.parent) for file in sorted(folder.glob(f"*/{FILE}")))


def judging_stacks() -> frozenset[str]:
    """Ids of the packaged controls that judge a stack: each stack of the corpus says what is right for every one."""
    return frozenset(control.id for control in packaged_controls() if control.subject == "stack")


def read(folder: Path) -> Entry:
    """One stack's expectations.

    Raises:
        SettingsError: a field is missing, unknown or empty, a control is missing or unknown, or a verdict is none.
    """
    file = folder / FILE
    text = yaml.safe_load(file.read_text(encoding="utf-8"))
    _only(text, file, needed={"planted", "oddity", "expected"}, further={"secrets", "allow"})
    expected = tuple(_expectation(control, said, file) for control, said in text["expected"].items())
    given = {each.control for each in expected}
    known = {control.id for control in packaged_controls()}
    if wrong := sorted((judging_stacks() - given) | (given - known)):
        raise SettingsError(
            f"{folder.name}/{FILE}: {', '.join(wrong)}: missing, or no control",
            fix="say what is right for every control that judges a stack: k8ssec controls",
        )
    return Entry(
        folder, text["planted"], text["oddity"], tuple(text.get("secrets", ())), dict(text.get("allow", {})), expected
    )


def _expectation(control: str, said: Any, file: Path) -> Expectation:
    _only(said, file, control, needed={"verdict", "reason"}, further={"subjects", "names"})
    if said["verdict"] not in set(Verdict):
        raise _wrong(file, control, f"{said['verdict']} is no verdict")
    verdict = Verdict(said["verdict"])
    if (verdict in _SAYS_OF_WHAT) != bool(said.get("subjects")):
        raise _wrong(file, control, f"{verdict} {'needs' if verdict in _SAYS_OF_WHAT else 'has no'} subjects")
    return Expectation(control, verdict, said["reason"], tuple(said.get("subjects", ())), tuple(said.get("names", ())))


def _only(said: Any, file: Path, control: str = "", *, needed: set[str], further: set[str]) -> None:
    found = set(said) if isinstance(said, Mapping) else set()
    if wrong := sorted((needed - found) | (found - needed - further)):
        raise _wrong(file, control, f"missing or unknown: {', '.join(wrong)}")
    if empty := sorted(key for key in found if not said[key]):
        raise _wrong(file, control, f"empty: {', '.join(empty)}")


def _wrong(file: Path, control: str, what: str) -> SettingsError:
    where = f"{file.parent.name}/{file.name}{f', {control}' if control else ''}"
    return SettingsError(f"{where}: {what}", fix="see docs/explanation/corpus.md for what stands in it")
