"""What a run tells of its waivers: those that are stale, those of no control, and the new form of what ``allow`` declares."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.plugin import session
from pytest_k8ssec.plugin.session import SETTINGS
from pytest_k8ssec.settings.waivers import Waiver, today

TODAY = pytest.StashKey[dt.date]()
"""One day for the whole run: whoever begins before midnight ends by the same waivers."""
WAIVED = pytest.StashKey[dict[str, frozenset[tuple[str, str]]]]()
"""What was waived of each control on the intact cluster, by lasting names."""
UNKNOWN = pytest.StashKey[str]()
"""What a worker of xdist found wrong."""
_STAYS = ("Release ", "Job ", "preloaded-images")
"""What ``allow`` says of how things are: no breach, so nothing that could be waived."""
_SHOWN = 8
_DAYS = 90


def note_waived(config: pytest.Config, earlier: Iterable[Mapping[str, Any]]) -> None:
    """Note by which day the run's waivers hold, and what was waived in an interrupted run that is resumed."""
    from pytest_k8ssec.plugin.waiving.names import lasting_name

    config.stash[TODAY] = today()
    config.stash[WAIVED] = {
        entry["control"]: frozenset(lasting_name(each["case"], each["attack"]) for each in entry.get("waived", ()))
        for entry in earlier
        if entry["phase"] == "intact"
    }


def of_control(config: pytest.Config, control: str) -> tuple[Waiver, ...]:
    """The waivers of one control."""
    return tuple(each for each in session.waivers(config) if each.control == control)


def insist_on_known(waivers: Iterable[Waiver], known: Iterable[str]) -> None:
    """Raises SettingsError for a waiver of a control that there is not, with the one that was probably meant."""
    from difflib import get_close_matches  # only on the way to an error

    there = sorted(set(known))
    for each in waivers:
        if each.control not in there:
            close = get_close_matches(each.control, there, n=1)
            fix = f"did you mean {close[0]!r}?" if close else "`k8ssec controls` lists them"
            raise SettingsError(f"{each.place}: there is no control {each.control!r}", fix=fix)


def stale(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line for each waiver that has expired, is about to, waives nothing, or is about nothing.

    Args:
        entries: results as in report.json; of those under a sabotage nothing is told.
    """
    found = [
        each for entry in entries if entry["phase"] in (None, "intact") for each in entry.get("waivers", ())
    ]  # fmt: skip
    return [f"waiver {words}" for each in found for words in _words(each)]


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
