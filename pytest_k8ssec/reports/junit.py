"""JUnit properties of a result: what a CI's test view can show and filter by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_k8ssec.reports.breach import culprit_words
from pytest_k8ssec.reports.terminal import waiver_words


def properties(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value of each property of one result, as in report.json."""
    named = [
        (f"k8ssec.{name}", str(entry[name] or "")) for name in ("control", "verdict", "severity", "phase", "sabotage")
    ]
    named += [(f"k8ssec.{framework}", " ".join(ids)) for framework, ids in entry["mappings"].items() if ids]
    named.append(("k8ssec.summary", str(entry["summary"])))
    culprits = dict.fromkeys(culprit_words(one) for each in entry.get("blamed", ()) for one in each["culprits"])
    named += [("k8ssec.culprit", words) for words in culprits]
    named += [("k8ssec.waived", waiver_words(one)) for one in entry.get("waived", ())]
    return [(name, value) for name, value in named if value]
