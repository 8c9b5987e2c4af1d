"""Sabotages that are in force together, so that one run of the controls shows what each of them did.

One sabotage at a time is clearest: whatever changes, this one caused it. But each one costs a run of all controls, and
many cost a cluster as well. So sabotages whose effects can be told apart are put in force together: no control is
affected by two of them, unless the control must name different words for each, or both need the same in order to take
effect; and no two change the same place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_k8ssec.catalogue.control import Sabotage

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.kindconfig import KindConfig


@dataclass(frozen=True, slots=True)
class Pack:
    """One sabotage, or several that are put in force together; all are live, or all need a cluster of their own."""

    name: str
    members: tuple[Sabotage, ...]

    @property
    def needs_cluster(self) -> bool:
        """Whether it needs a cluster of its own."""
        return self.members[0].needs_cluster

    def touching(self, control_id: str) -> tuple[Sabotage, ...]:
        """The sabotages that are expected to breach this control, or the one expected to make it inconclusive."""
        return tuple(each for each in self.members if control_id in each.kills | each.blinds)

    def made_for(self, control_id: str) -> tuple[Sabotage, ...]:
        """The sabotages that are made for this control."""
        return tuple(each for each in self.members if each.owner == control_id)

    @classmethod
    def alone(cls, sabotage: Sabotage) -> Pack:
        """A sabotage by itself."""
        return cls(sabotage.name, (sabotage,))


def packed(sabotages: Iterable[Sabotage], base: KindConfig) -> tuple[Pack, ...]:
    """Few packs, chosen greedily: each sabotage joins the first pack that it does not conflict with.

    Args:
        base: the configuration that sabotages with clusters of their own change.
    """
    live: list[list[Sabotage]] = []
    configured: list[list[Sabotage]] = []
    places: dict[str, frozenset[str]] = {}
    for each in sabotages:
        places[each.name] = frozenset(_places(each, base))
        packs = configured if each.needs_cluster else live
        for pack in packs:
            if not any(_quarrel(each, other, places) for other in pack):
                pack.append(each)
                break
        else:
            packs.append([each])
    return (*_named("live", live), *_named("cluster", configured))


def _named(kind: str, packs: Sequence[Sequence[Sabotage]]) -> Iterator[Pack]:
    for number, members in enumerate(packs, 1):
        yield Pack.alone(members[0]) if len(members) == 1 else Pack(f"{kind}-pack-{number}", tuple(members))


def _quarrel(one: Sabotage, other: Sabotage, places: Mapping[str, frozenset[str]]) -> bool:
    """Whether it could not be told which of them did what, or one would undo or hinder the other."""
    if one.alone or other.alone or places[one.name] & places[other.name]:
        return True
    if other.name in one.hidden_by or one.name in other.hidden_by:
        return True
    touched = (one.kills | one.blinds) & (other.kills | other.blinds) - (one.means & other.means)
    return not all(_told_apart(one.shows.get(each, ()), other.shows.get(each, ())) for each in touched)


def _told_apart(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether both say what the control must name, and nothing that names one of them names the other."""
    return bool(one and other) and not any(a in b or b in a for a in one for b in other)


def _places(sabotage: Sabotage, base: KindConfig) -> Iterator[str]:
    """What it changes in a kind configuration: nothing where it is live, as live ones undo what they did."""
    if sabotage.mutate is None:
        return
    import yaml  # each pytest run would pay for it

    changed = base.copy()
    sabotage.mutate(changed)
    before = base.document["kubeadmConfigPatches"]
    for patch in changed.document["kubeadmConfigPatches"][len(before) :]:
        for document in yaml.safe_load_all(patch):
            yield from _leaves(document["kind"], document)
    yield from (f"file {name}" for name, text in changed.replaced.items() if base.replaced.get(name) != text)
    if changed.after != base.after:
        yield "after"
    rest = {key: value for key, value in changed.document.items() if key != "kubeadmConfigPatches"}
    yield from (f"document {key}" for key, value in rest.items() if base.document.get(key) != value)
    if changed.document["kubeadmConfigPatches"][: len(before)] != before:
        yield "document kubeadmConfigPatches"


def _leaves(path: str, value: Any) -> Iterator[str]:
    """Paths of all values that are no mappings."""
    if not isinstance(value, dict):
        yield path
        return
    for key, inner in value.items():
        if key != "kind":
            yield from _leaves(f"{path}.{key}", inner)
