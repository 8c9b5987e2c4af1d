"""Puts waivers to what a control found: which breach is waived by whom, and which waiver is stale."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from pytest_k8ssec.plugin.waiving.names import attack_names, case_names
from pytest_k8ssec.reports.lasting import lasting_name
from pytest_k8ssec.settings.waivers import SOON
from pytest_k8ssec.verdict import Verdict, Waived

if TYPE_CHECKING:
    import datetime as dt

    from pytest_k8ssec.settings.waivers import Waiver
    from pytest_k8ssec.verdict import Attack, Case, Judge


def waive(
    judge: Judge, waivers: Iterable[Waiver], day: dt.date, known: Collection[str] | None = None, cluster: str = ""
) -> None:
    """Have the judge know which breaches are waived.

    Args:
        waivers: of this control.
        day: today, in UTC. A waiver that has expired by then waives nothing.
        known: the lasting names of what was waived on the intact cluster, where this is another state of it: only that is
            waived again, so that what a sabotage breaches is a breach, whatever glob it happens to match. None on the intact
            cluster.
        cluster: the name of the cluster under test.
    """
    valid = [each for each in waivers if each.days_left(day) >= 0]
    for case in judge.cases:
        case.waived = {
            number: found
            for number, attack in enumerate(case.attacks)
            if attack.got_through
            and (known is None or lasting_name(case.name, attack.what, attack.used, cluster) in known)
            and (found := tuple(_waived(case, attack, each, cluster) for each in _covering(valid, case, attack)))
        }


def _covering(waivers: Sequence[Waiver], case: Case, attack: Attack) -> list[Waiver]:
    """Those that waive an attack together: one for all of it, or one for each thing that it used; none where one lacks."""
    whole = _first(waivers, attack_names(case, attack))
    if whole is not None:
        return [whole]
    each = [_first(waivers, names) for names in attack.used]
    found = [one for one in each if one is not None]
    return list(dict.fromkeys(found)) if len(found) == len(each) else []


def _first(waivers: Iterable[Waiver], names: Iterable[str]) -> Waiver | None:
    known = tuple(names)
    return next((one for one in waivers if matches_any(one, known)), None)


def matches_any(waiver: Waiver, names: Iterable[str]) -> bool:
    """Whether one of the names is the waiver's subject; a name may have brackets of its own."""
    return any(name == waiver.subject or fnmatchcase(name, waiver.subject) for name in names)


def _waived(case: Case, attack: Attack, by: Waiver, cluster: str) -> Waived:
    told = by.to_json()
    del told["control"]
    return Waived(case.name, attack.what, **told, lasting=lasting_name(case.name, attack.what, attack.used, cluster))


def states(judge: Judge, waivers: Iterable[Waiver], day: dt.date, *, whole: bool) -> list[dict[str, Any]]:
    """What became of each waiver of a control, as report.json has it.

    Args:
        whole: whether the control came to its end, so that what it did not record is not there.
    """
    return [_state(judge, each, day, whole=whole) for each in waivers]


def _state(judge: Judge, waiver: Waiver, day: dt.date, *, whole: bool) -> dict[str, Any]:
    matching = [(case, attack) for case, attack in _all(judge) if matches_any(waiver, _names(case, attack))]
    breached = [attack for _, attack in matching if attack is not None and attack.got_through]
    left = waiver.days_left(day)
    cases = {id(case): case for case, _ in matching}.values()
    if left < 0:
        state = "expired"
    elif any(each.place == waiver.place for each in judge.waived) or breached:
        state = "used"
    elif not whole or not judge.cases or any(case.verdict()[0] is Verdict.INCONCLUSIVE for case in cases):
        state = "unclear"
    else:
        state = "unused" if matching else "nothing"
    near = ""
    if state == "nothing":
        names = {name for case, _ in _all(judge) for name in case_names(case)}
        near = next(iter(get_close_matches(waiver.subject, sorted(names), n=1)), "")
    return {
        **waiver.to_json(), "state": state, "ends_soon": 0 <= left <= SOON, "breaches": len(breached), "near": near
    }  # fmt: skip


def _all(judge: Judge) -> Iterator[tuple[Case, Attack | None]]:
    for case in judge.cases:
        yield case, None
        yield from ((case, attack) for attack in case.attacks)


def _names(case: Case, attack: Attack | None) -> Iterator[str]:
    yield from case_names(case) if attack is None else attack_names(case, attack)
    for names in attack.used if attack is not None else ():
        yield from names
