"""``k8ssec doctor``."""

from __future__ import annotations

import argparse
import json

from pytest_k8ssec.cli.say import say, say_text
from pytest_k8ssec.doctor import Diagnosis, Level, examine
from pytest_k8ssec.plain import lines_of

_WIDTH = 34


def doctor(arguments: argparse.Namespace) -> int:
    """Print each finding as it comes. Returns 1 if one is an error."""
    found = []
    for finding in examine():
        found.append(finding)
        if not arguments.json:
            _show(finding)
    fit = all(finding.level is not Level.ERROR for finding in found)
    if arguments.json:
        told = lines_of({"schema": 1, "fit": fit, "findings": [finding.to_json() for finding in found]})
        say_text(json.dumps(told, indent=2))
    else:
        counts = {level: sum(finding.level is level for finding in found) for level in Level}
        told = f"{counts[Level.ERROR]} errors, {counts[Level.WARNING]} warnings"
        say("", f"{told}: {'tests can run here' if fit else 'no test that needs a cluster can run here'}")
    return 0 if fit else 1


def _show(finding: Diagnosis) -> None:
    say(f"{finding.level:<8} {finding.subject:<{_WIDTH}} {finding.told}")
    if finding.fix:
        say(f"{'':<8} {'':<{_WIDTH}} fix: {finding.fix}")
