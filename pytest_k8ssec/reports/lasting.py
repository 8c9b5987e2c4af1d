"""By what a breach is known again: in the next run, on another cluster, after a rollout.

What is taken out is what is drawn anew each time, by its own shape; in doubt it stays, and the breach is another one: that is loud,
and taking two breaches for one is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SUFFIX = "[bcdfghjklmnpqrstvwxz2456789]{5}"
_VOLATILE = (
    # Addresses, of which the family counts. That of a cloud's metadata is the same everywhere.
    (re.compile(r"\b(?!169\.254\.)\d+\.\d+\.\d+\.\d+\b"), "@4"),
    (re.compile(r"(?!fd00:ec2::254)(?<![0-9a-z:])\[?[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}\]?(?![0-9a-z:])"), "@6"),
    # What Kubernetes adds to names: a ReplicaSet's hash, and its pods' ends; those of a DaemonSet's pods and of a Job of a CronJob.
    (re.compile(rf"(?<=-)[456789bcdf]{{6,10}}-{_SUFFIX}\b"), "@"),
    (re.compile(r"(?<=-)(?=[bcdf]*\d)[456789bcdf]{6,10}\b"), "@"),
    (re.compile(rf"(?<=-)\d{{8}}(-{_SUFFIX})?\b"), "@"),
    (re.compile(rf"(?<=-)(?=[a-z]*\d){_SUFFIX}\b"), "@"),
    # Ours: runs, and what they plant. A bootstrap token's name. A number in hexadecimal.
    (re.compile(r"(?<=\bk8ssec-)[0-9a-f]{6,}\b"), "@"),
    (re.compile(r"(?<=\bbootstrap-token-)[a-z0-9]{6}\b"), "@"),
    (re.compile(r"\b(?=\d*[a-f])(?=[a-f]*\d)[0-9a-f]{6,}\b"), "@"),
    # A node port of a Service, which mostly draws it; another port of the same Service has another number of its own.
    (re.compile(r"\b3[0-2]\d{3}(?=(?:/[A-Z]+)? of Service )"), "@"),
    (re.compile(r"(\bService \S+ at @[46]:)3[0-2]\d{3}\b"), r"\1@"),
)
_FROZEN = "k8ssec-frozen-[0-9a-f]+-[0-9a-f]+"
"""With what the names of nodes begin that were thawed, whatever their cluster's name is."""
_OF_SERVICE = "Service "


def lasting_name(case: str, attack: str, used: Iterable[Iterable[str]] = (), cluster: str = "") -> str:
    """The same for the same breach on another cluster, or after a rollout; what is alike but for that is one.

    Args:
        case: its name.
        attack: what was tried.
        used: each thing that the attack used, by its names: with another one it is another breach.
        cluster: the name of the cluster, with which its nodes' names begin, "" for none.
    """
    things = sorted({" ".join(_of_thing([*names])) for names in used})
    return _lasting(" | ".join([case, attack, *things]), cluster)


def _of_thing(names: list[str]) -> list[str]:
    """A Service's node port is no name that lasts; its own ports are."""
    if not any(name.startswith(_OF_SERVICE) for name in names):
        return names
    return [name for name in names if not name.partition("/")[0].isdecimal()]


def _lasting(text: str, cluster: str) -> str:
    begins = f"{_FROZEN}|{re.escape(cluster)}" if cluster else _FROZEN
    text = re.sub(rf"(?<![a-z0-9./])(?:{begins})(?=-(?:control-plane|worker)\d*\b)", "@", text)
    for pattern, instead in _VOLATILE:
        text = pattern.sub(instead, text)
    return text
