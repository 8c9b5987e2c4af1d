"""``k8ssec reach``: who can really talk to whom."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from pytest_k8ssec.cli.say import say, say_text
from pytest_k8ssec.cli.setup import passing_testbed, settings_of, stderr_teller
from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.plain import lines_of
from pytest_k8ssec.reach.difference import differences
from pytest_k8ssec.reach.intent import Intent, load
from pytest_k8ssec.reach.matrix import Reachability
from pytest_k8ssec.reach.measure import MANNER
from pytest_k8ssec.reports import reach as pictures
from pytest_k8ssec.reports.reach_map import reach_page
from pytest_k8ssec.secrecy.redact import redact, redacted
from pytest_k8ssec.settings import Settings

DEFAULT_INTENT = "intent.yaml"


def reach(arguments: argparse.Namespace) -> int:
    """Measure, compare, show. Returns 1 if there are differences or unknown cells.

    Raises:
        SettingsError: the stack, the intent file or a setting is wrong.
        K8ssecError: the measurement failed; nothing is left behind then.
    """
    settings = settings_of(arguments)
    if settings.stack is None:
        raise SettingsError(
            "stack: none was named, so there is nobody to measure from", fix="name its directory: --stack DIR"
        )
    intent = _intent(arguments.intent, settings)
    found = _measured(arguments, settings)
    differing = differences(found, intent)
    told = json.dumps(
        lines_of(redacted(pictures.reach_document(found, intent, differing))), indent=1, ensure_ascii=False
    )
    if arguments.json == "-":
        say_text(told)
    else:
        say(*pictures.terminal(found, intent, differing))
    for path, text in (
        (Path(arguments.json) if arguments.json not in (None, "-") else None, f"{told}\n"),
        (arguments.html, reach_page(found, intent, differing) if arguments.html else ""),
    ):
        if path is not None:
            pictures.write_picture(path, redact(text))
    if arguments.json != "-":
        against = (
            f"the NetworkPolicies and {intent.source}" if intent else "the NetworkPolicies; no intent file was named"
        )
        say("", f"{pictures.counted(differing)}; compared with {against}")
    return 1 if differing else 0


def _intent(named: Path | None, settings: Settings) -> Intent | None:
    """What is declared, read before a cluster is made for it."""
    beside = settings.stack / DEFAULT_INTENT if settings.stack else None
    path = named or (beside if beside and beside.is_file() else None)
    return load(path) if path else None


def _measured(arguments: argparse.Namespace, settings: Settings) -> Reachability:
    from pytest_k8ssec.reach.propagation import propagation
    from pytest_k8ssec.reach.survey import survey

    tell = stderr_teller()
    with passing_testbed(settings, tell) as testbed:
        cluster, stack = testbed.cluster, testbed.stack
        tell("measuring who reaches whom")
        found = survey(
            cluster,
            stack,
            testbed.pool,
            manner=replace(MANNER, timeout=arguments.timeout),
            heard=lambda origin, row: tell(f"from {origin.name}: {len(row.codes)} connections{_but(row.broken)}"),
            limit=settings.reach_limit,
            seed=settings.reach_seed,
        )
        if arguments.propagation:
            tell("measuring how long a policy takes")
            found = replace(found, propagation=propagation(testbed.pool, arguments.propagation))
        return found


def _but(broken: str) -> str:
    return f", but {broken}" if broken else ""
