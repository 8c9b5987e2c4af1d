"""What a run tells of its waivers: those that are stale, those of no control, and the new form of what ``allow`` declares."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from pytest_k8ssec.catalogue.annotated import control_of
from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.plugin import session
from pytest_k8ssec.plugin.session import SETTINGS
from pytest_k8ssec.settings.waivers import Waiver, today

TODAY = pytest.StashKey[dt.date]()
"""One day for the whole run: whoever begins before midnight ends by the same waivers."""
WAIVED = pytest.StashKey[dict[str, frozenset[str]]]()
"""What was waived of each control on the intact cluster, by lasting names."""
UNKNOWN = pytest.StashKey[str]()
"""What a worker of xdist found wrong."""
_STAYS = ("Release ", "Job ", "preloaded-images")
"""What ``allow`` says of how things are: no breach, so nothing that could be waived."""
_SHOWN = 8
_DAYS = 90


def note_waived(config: pytest.Config, earlier: Iterable[Mapping[str, Any]]) -> None:
    """Note by which day the run's waivers hold, and what was waived in an interrupted run that is resumed."""
    config.stash[TODAY] = today()
    config.stash[WAIVED] = {
        entry["control"]: frozenset(str(each["lasting"]) for each in entry.get("waived", ()))
        for entry in earlier
        if entry["phase"] == "intact"
    }


def names_of(item: pytest.Item) -> tuple[str, ...]:
    """By what a waiver may name a test: a control by its id, one of your own by its function's name, or its file and that."""
    function = getattr(item, "function", None)
    if (control := control_of(function)) is not None:
        return (control.id,)
    name = getattr(function, "__name__", item.name)
    return (name, f"{item.parent.nodeid if item.parent is not None else ''}::{name}")


def waivers_of(config: pytest.Config, names: Sequence[str]) -> tuple[Waiver, ...]:
    """The waivers of the test that has these names."""
    return tuple(each for each in session.waivers(config) if each.control in names)


def insist_on_known(waivers: Iterable[Waiver], known: Iterable[Sequence[str]]) -> None:
    """See to it that each waiver is of one control, so that none waives what its author never looked at.

    Args:
        waivers: those of the run.
        known: the names of each control and of each test of the user's.

    Raises:
        SettingsError: there is none of that name, with the one that was probably meant; or there are several.
    """
    from difflib import get_close_matches  # only on the way to an error

    there = sorted(set(map(tuple, known)))
    for each in waivers:
        meant = [names for names in there if each.control in names]
        if not meant:
            close = get_close_matches(each.control, sorted({name for names in there for name in names}), n=1)
            fix = f"did you mean {close[0]!r}?" if close else "`k8ssec controls` lists them"
            raise SettingsError(f"{each.place}: there is no control {each.control!r}", fix=fix)
        if len(meant) > 1:
            fix = f"write which: {' or '.join(names[-1] for names in meant)}"
            raise SettingsError(f"{each.place}: {each.control!r} is the name of {len(meant)} tests", fix=fix)


def stale(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line for each waiver that has expired, is about to, waives nothing, or is about nothing.

    Args:
        entries: results as in report.json; of those under a sabotage nothing is told.
    """
    found: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for entry in entries:
        if entry["phase"] in (None, "intact"):
            for each in entry.get("waivers", ()):
                found.setdefault((each["place"], each["control"], each["subject"]), []).append(each)
    return [f"waiver {words}" for told in found.values() for words in _words(_of_all(told))]


def _of_all(told: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """What became of one waiver in a test that ran with several parameters: what is used once is not stale."""
    rank = ("expired", "used", "unclear", "unused", "nothing")
    first = min(told, key=lambda each: rank.index(each["state"]))
    return {**first, "breaches": sum(each["breaches"] for each in told)}


def _words(each: Mapping[str, Any]) -> Iterator[str]:
    whose = f"{each['control']} {each['subject']} ({each['place']}, {each['owner']})"
    count = each["breaches"]
    if each["state"] == "expired":
        again = (
            f"; {count} attacks that got through are breaches again" if count else "; nothing is breached: remove it"
        )
        yield f"EXPIRED on {each['expires']}: {whose}{again}"
    elif each["state"] == "nothing":
        near = f"; did you mean {each['near']!r}?" if each["near"] else ""
        yield f"matches nothing: {whose}{near}"
    elif each["state"] == "unused":
        yield f"unused: {whose}: nothing that it is about is breached: remove it"
    if each["ends_soon"]:
        yield f"ends on {each['expires']}: {whose}"


def waived_line(entries: Sequence[Mapping[str, Any]]) -> str:
    """One line about controls that did not fail because what they found is waived, "" where there is none."""
    plain = [entry for entry in entries if entry["phase"] in (None, "intact")]
    names = [entry["control"] for entry in plain if entry["verdict"] == "waived"]
    count = sum(len(entry.get("waived", ())) for entry in plain)
    if not count:
        return ""
    whose = f"; not failed, as all that is breached in them is waived: {', '.join(sorted(names))}" if names else ""
    return f"{count} attacks got through and are waived{whose}"


def new_form(allow: Mapping[str, Mapping[str, str]], day: dt.date) -> list[str]:
    """What to paste instead of ``allow``, in lines; none where nothing is declared that can be waived."""
    old = [
        (control, subject, reason)
        for control, subjects in allow.items()
        for subject, reason in subjects.items()
        if not subject.startswith(_STAYS)
    ]
    if not old:
        return []
    lines = [f"`allow` is superseded by waivers, which are owned, expire, and are shown ({len(old)} to paste):"]
    for control, subject, reason in old[:_SHOWN]:
        lines += [
            "  [[tool.k8ssec.waiver]]",
            *(
                f"  {key} = {_toml(value)}"
                for key, value in (("control", control), ("subject", subject), ("reason", reason))
            ),
            '  owner = "who answers for it"',
            f"  expires = {day + dt.timedelta(days=_DAYS)}",
        ]
    return [*lines, *([f"  ... and {len(old) - _SHOWN} more"] if len(old) > _SHOWN else [])]


def _toml(text: str) -> str:
    """A basic string; JSON escapes as TOML does."""
    import json

    return json.dumps(text, ensure_ascii=False)


def summary_lines(config: pytest.Config, entries: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """All that is told of waivers at the end: (line, colour) each."""
    settings = config.stash[SETTINGS]
    colour = "red" if settings.waivers == "strict" else "yellow"
    lines = [(line, "yellow") for line in filter(None, [waived_line(entries)])]
    lines += [(line, colour) for line in stale(entries)]
    return lines + [(line, "yellow") for line in (new_form(settings.allow, config.stash[TODAY]) if entries else ())]
