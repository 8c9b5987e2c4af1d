"""``k8ssec diff``: what is new, resolved, unchanged, and what can't be compared, between two runs."""

from __future__ import annotations

import argparse
import json

from pytest_k8ssec.cli.say import say_text
from pytest_k8ssec.reports.compare import Became, compare_reports, comparison_lines, read_comparable

_WORSE = (Became.NEW, Became.INCOMPARABLE)


def diff(arguments: argparse.Namespace) -> int:
    """Tell what changed; 1 where something is new that nobody answers for, or nobody can say.

    Raises:
        SettingsError: one of the files is no report.
    """
    found = compare_reports(read_comparable(arguments.old), read_comparable(arguments.new))
    if arguments.json:
        say_text(json.dumps([one.to_json() for one in found], indent=2, ensure_ascii=False))
    else:
        say_text("\n".join(comparison_lines(found)))
    return int(any(one.change in _WORSE and not one.waived for one in found))
