"""The exceptions that are declared for a control, as fine as what they are for.

A thing goes by several names: ``web/shop`` and ``Deployment web/shop`` stand for a workload with all that it has,
``web/shop/init`` and ``Deployment web/shop/init`` for one container of it. Whichever is declared counts. One that is asked for
by nobody is told, so that a mistyped or forgotten one does not stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from pytest_k8ssec.verdict import Judge

_ELSEWHERE = "Release "
"""What a Helm Release made is looked up before a control begins."""


class Declared:
    """The exceptions of one run of a control.

    Args:
        judge: is told of each that counts, with its reason.
        allowed: subject to reason, as the settings have them.
        what: what is declared of a subject, for the report: ``public``.
    """

    def __init__(self, judge: Judge, allowed: Mapping[str, str], what: str = "") -> None:
        self._judge = judge
        self._allowed = allowed
        self._what = f" {what}" if what else ""
        self._asked: set[str] = set()
        self._used: set[str] = set()

    def covers(self, *names: str) -> bool:
        """Whether something is declared by one of the names that it has."""
        self._asked.update(names)
        found = [name for name in names if name in self._allowed]
        for name in found:
            if name not in self._used:
                self._used.add(name)
                self._judge.note(f"{name} is declared{self._what}: {self._allowed[name]}")
        return bool(found)

    def tell_unused(self) -> None:
        """Note the exceptions that nothing has asked for, and what they may have been meant for."""
        for subject in self._allowed:
            if subject not in self._used and not subject.startswith(_ELSEWHERE):
                close = get_close_matches(subject, sorted(self._asked), n=1)
                meant = f"; did you mean {close[0]!r}?" if close else ""
                self._judge.note(f"{subject} is declared, and there is nothing of that name to be judged here{meant}")


def object_names(kind: str, namespace: str, name: str, parts: Iterable[str] = ()) -> tuple[str, ...]:
    """The names of an object, and of parts of it, by which an exception may be declared."""
    whole = (f"{namespace}/{name}", f"{kind} {namespace}/{name}")
    return (*whole, *(f"{each}{part}" for part in parts for each in whole))
