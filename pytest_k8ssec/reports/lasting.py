"""By what a breach is known again: in the next run, on another cluster, after a rollout."""

from __future__ import annotations

import re
from collections.abc import Iterable

_VOLATILE = (
    re.compile(r"\d+\.\d+\.\d+\.\d+"),
    re.compile(r"\[?[0-9a-f]*(?::[0-9a-f]*){2,}\]?"),
    re.compile(r"(?<=-)[bcdfghjklmnpqrstvwxz2456789]{6,10}-[bcdfghjklmnpqrstvwxz2456789]{5}\b"),
    re.compile(r"(?<=-)[bcdfghjklmnpqrstvwxz2456789]{5}\b"),
    re.compile(r"(?<=-)[456789bcdf]{6,10}\b"),
    re.compile(r"\b(?=[a-f]*\d)[0-9a-f]{6,}\b"),
    re.compile(r"(?<=\bbootstrap-token-)[a-z0-9]{6}\b"),
    re.compile(r"\b3[0-2]\d{3}\b"),
)
"""Addresses, what Kubernetes adds to the names of pods, ids of runs and of tokens, node ports: drawn anew for each cluster, or pod."""


def lasting_name(case: str, attack: str, used: Iterable[Iterable[str]] = (), cluster: str = "") -> str:
    """The same for the same breach on another cluster, or after a rollout; what is alike but for that is one.

    Args:
        case: its name.
        attack: what was tried.
        used: each thing that the attack used, by its names: with another one it is another breach.
        cluster: the name of the cluster, with which its nodes' names begin, "" for none.
    """
    things = sorted({" ".join(names) for names in used})
    return _lasting(" | ".join([case, attack, *things]), cluster)


def _lasting(text: str, cluster: str) -> str:
    if cluster:
        text = re.sub(rf"(?<![a-z0-9./]){re.escape(cluster)}(?=-(?:control-plane|worker)\d*\b)", "@", text)
    for pattern in _VOLATILE:
        text = pattern.sub("@", text)
    return text
