"""In which state of the cluster a control runs, and which verdict is expected of it there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from pytest_k8ssec.sabotages.packs import Pack
from pytest_k8ssec.verdict import Attack, Verdict

PhaseName = Literal["intact", "sabotaged", "restored"]


@dataclass(frozen=True, slots=True)
class Phase:
    """In which state of the cluster a control runs; the default is the plain run, without any sabotage."""

    name: PhaseName | None = None
    pack: Pack | None = None
    bystander: bool = False
    """Whether all of the pack's sabotages belong to other controls."""

    @property
    def active(self) -> Pack | None:
        """The sabotages that are in force."""
        return self.pack if self.name == "sabotaged" else None

    def sabotage(self, control_id: str) -> str | None:
        """Name of the sabotage that touches a control; of the whole pack where none does, or several do."""
        if self.pack is None:
            return None
        touching = self.pack.touching(control_id)
        return (touching[0] if len(touching) == 1 else self.pack).name

    def expected(self, control_id: str) -> Verdict:
        """The verdict that is expected of a control in this phase."""
        touching = self.active.touching(control_id) if self.active else ()
        if not touching:
            return Verdict.HELD
        return Verdict.BREACHED if control_id in touching[0].kills else Verdict.INCONCLUSIVE

    def missing(self, control_id: str, attacks: Iterable[Attack]) -> dict[str, list[str]]:
        """By sabotage in force: the words that a control should have named because of it, and did not."""
        said = [attack.what for attack in attacks if attack.got_through]
        found = {
            each.name: [
                words
                for words in each.shows.get(control_id, ())
                if not any(fnmatchcase(one, f"*{words}*") for one in said)
            ]
            for each in (self.active.touching(control_id) if self.active else ())
        }
        return {name: words for name, words in found.items() if words}
