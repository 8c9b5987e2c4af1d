"""Says where nobody could look for what a stack has brought."""

from __future__ import annotations

from typing import Final

from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.stack.found.footprint import ANYTHING, JUDGED
from pytest_k8ssec.stack.model import Stack
from pytest_k8ssec.verdict import Judge

_HERE: Final = Source("client", "this process")


def tell_unlisted(judge: Judge, stack: Stack) -> None:
    """Keep a verdict on the stack from being held where something that it runs may be unseen; note what is not judged."""
    for what, why in (stack.footprint.unlisted if stack.footprint else {}).items():
        if what not in {*JUDGED, ANYTHING}:
            judge.note(f"whether the stack has brought any {what} is not known: {why}")
            continue
        nothing = Evidence(_HERE, f"list {what}, in the whole cluster", Outcome.ERROR, why)
        case = judge.case(f"{what} that came with the stack")
        case.positive("all of them are listed", nothing, succeeded=None)
        case.attack("attack them", nothing, through=None)
