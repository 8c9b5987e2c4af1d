"""The packs of a sabotage run: those of the packaged controls' sabotages, and one for each sabotage of somebody else's.

The packaged ones are known from the start. Those of a team's own controls come to be known as the files that they stand in are
imported, one after the other: so each of them is a pack by itself, whatever else is put in force together. What it breaks
besides is known by its own word only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_k8ssec.catalogue.control import Control, Sabotage
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.sabotages.packs import Pack, packed


class KnownPacks:
    """All packs that are known so far; those that are known stay as they are.

    Args:
        packaged: the controls of this package.
        together: whether their sabotages are put in force together, as many as can be told apart.
    """

    def __init__(self, packaged: Iterable[Control], *, together: bool) -> None:
        self._controls = {control.id: control for control in packaged}
        self._packaged = frozenset(self._controls)
        ours = [each for control in self._controls.values() for each in control.sabotages if _of_file(control, each)]
        self._ours = frozenset(each.name for each in ours)
        self._sabotages = {each.name: each for each in ours}
        self._packs = {pack.name: pack for pack in _packed(ours, together=together)}
        for control in self._controls.values():
            self.meet(control)

    def __iter__(self) -> Iterator[Pack]:
        return iter(self._packs.values())

    def packaged(self, control: Control, pack: Pack | None) -> bool:
        """Whether a control, and each sabotage of a pack, is this package's own."""
        return control.id in self._packaged and (pack is None or {each.name for each in pack.members} <= self._ours)

    def meet(self, control: Control) -> None:
        """Take in a control, and those of its sabotages that are not known yet.

        Raises:
            SabotageError: another control has that id, or another sabotage or pack that name: nothing that is said of one
                of them could be told from what is said of the other.
        """
        known = self._controls.setdefault(control.id, control)
        if known is not control:
            raise SabotageError(
                f"control {control.id}: {_place(control)} and {_place(known)} both define it",
                fix="give one of the two functions another name",
            )
        for each in control.sabotages:
            named = self._sabotages.get(each.name)
            if named is each:
                continue
            if named is not None or each.name in self._packs:
                raise SabotageError(
                    f"sabotage {each.name!r} of {control.id}: {f'{named.owner} has' if named else 'there is'} one of that name",
                    fix="give its function another name",
                )
            self._sabotages[each.name] = each
            self._packs[each.name] = Pack.alone(each)


def _packed(sabotages: Iterable[Sabotage], *, together: bool) -> Iterable[Pack]:
    if not together:
        return map(Pack.alone, sabotages)
    from pytest_k8ssec.clusters.kindconfig import PACKAGED, KindConfig

    return packed(sabotages, KindConfig.load(PACKAGED))


def _of_file(control: Control, sabotage: Sabotage) -> bool:
    """Whether a sabotage stands beside its control: a team may add one of its own to a packaged control."""
    function = sabotage.live or sabotage.mutate
    return getattr(function, "__module__", "") == control.function.__module__


def _place(control: Control) -> str:
    code = getattr(control.function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else control.function.__module__
