"""Requests and limits of a pod of ours, shaped so that its namespace's LimitRanges and ResourceQuotas let it in.

Sources: https://kubernetes.io/docs/concepts/policy/limit-range/,
https://kubernetes.io/docs/concepts/policy/resource-quotas/,
https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import ceil

from pytest_k8ssec.clusters.api import Body

_SUFFIXES = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1),
    **{letter: Fraction(1000) ** power for power, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Fraction(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
}  # fmt: skip
_SHARE = 4
"""Of what a quota leaves, a pod of ours takes no more than one part in so many, if it can do with that."""
_LEAST = {"cpu": Fraction(1, 10), "memory": Fraction(64 * 1024**2)}
"""With less, an agent takes long to start, or is killed."""
_OTHER_PODS = {"BestEffort", "Terminating"}
"""Scopes of quotas that our pods are never in: they ask for something, and have no deadline."""

Resources = Mapping[str, Mapping[str, str]]
"""``requests`` and ``limits``, by resource."""


def quantity(text: str) -> Fraction:
    """A Kubernetes quantity (``500m``, ``96Mi``, ``1e3``) as a number. Raises ValueError where it is none."""
    body = str(text)
    number = body.rstrip("numkKMGTPEi")
    suffix = body[len(number) :]
    if suffix not in _SUFFIXES:
        raise ValueError(f"quantity {body!r}: has no known suffix")
    return Fraction(number) * _SUFFIXES[suffix]


def shaped(wanted: Resources, ranges: Iterable[Body], quotas: Iterable[Body] = ()) -> dict[str, dict[str, str]]:
    """The resources that come nearest to those that are wanted, and that a namespace lets in as far as any can be.

    Args:
        wanted: equal ones come back where nothing speaks against them; what they do not limit stays without a limit.
        ranges: the namespace's LimitRanges.
        quotas: its ResourceQuotas, with their status.

    Raises:
        ValueError: a quantity is none.
    """
    requests, limits = dict(wanted.get("requests", {})), dict(wanted.get("limits", {}))
    items = [
        item for each in ranges for item in each["spec"].get("limits") or () if item["type"] in ("Container", "Pod")
    ]
    left = _left(quotas)
    # A LimitRange for pods gives no defaults: what it bounds must be said.
    bounded = {
        name for item in items if item["type"] == "Pod" for key in ("min", "max") for name in item.get(key) or ()
    }
    for name in sorted(requests.keys() | limits.keys() | bounded):
        low = max((quantity(each["min"][name]) for each in items if name in (each.get("min") or {})), default=None)
        high = min((quantity(each["max"][name]) for each in items if name in (each.get("max") or {})), default=None)
        ratio = min(
            (quantity(each["maxLimitRequestRatio"][name]) for each in items if name in (each.get("maxLimitRequestRatio") or {})),
            default=None,
        )  # fmt: skip
        if name not in requests and name not in limits:
            only = low if low is not None else high
            assert only is not None
            requests[name] = limits[name] = _text(name, only)
            continue
        request = quantity(requests.get(name, "0"))
        limit = quantity(limits[name]) if name in limits else None
        if limit is not None:
            limit = _least(limit, high, _part(name, left.get(f"limits.{name}")))
            limit = max(limit, low or limit)
        request = max(request, low or request)
        if ratio is not None and limit is not None:
            request = max(request, limit / ratio)
        most = left.get(f"requests.{name}", left.get(name))
        if most is not None and request > most > 0:  # the limit has to follow
            request = most
            limit = _least(limit, request * ratio) if ratio is not None and limit is not None else limit
        request = _least(request, high, limit)
        if name in requests or request > 0:
            requests[name] = _same(requests.get(name), name, request)
        if limit is not None:
            limits[name] = _same(limits[name], name, limit)
    return {key: found for key, found in (("requests", requests), ("limits", limits)) if found or key in wanted}


def _left(quotas: Iterable[Body]) -> dict[str, Fraction]:
    """What is left, by the name of what is counted."""
    found: dict[str, Fraction] = {}
    for quota in quotas:
        if _OTHER_PODS & set(quota["spec"].get("scopes") or ()):
            continue
        used = quota.get("status", {}).get("used") or {}
        for name, hard in (quota["spec"].get("hard") or {}).items():
            rest = quantity(hard) - quantity(used.get(name, "0"))
            found[name] = min(rest, found.get(name, rest))
    return found


def _part(name: str, rest: Fraction | None) -> Fraction | None:
    if rest is None:
        return None
    return min(rest, max(_LEAST.get(name, Fraction(0)), rest / _SHARE)) if rest > 0 else None


def _least(first: Fraction, *others: Fraction | None) -> Fraction:
    return min((first, *(each for each in others if each is not None)))


def _same(before: str | None, name: str, value: Fraction) -> str:
    """The text as it was, where it still says that."""
    return before if before is not None and quantity(before) == value else _text(name, value)


def _text(name: str, value: Fraction) -> str:
    return f"{ceil(value * 1000)}m" if name == "cpu" else str(ceil(value))
