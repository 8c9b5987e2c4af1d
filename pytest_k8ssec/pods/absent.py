"""What is recorded where no pod of ours may stand: that one case is inconclusive, and the others are judged."""

from __future__ import annotations

from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.verdict import Case

_CHARACTERS = 300


def tell_absent(case: Case, error: ProbeError) -> None:
    """Record that nothing could be tried in a case, as the pod that was to try it did not come to run."""
    events = "; ".join(dict.fromkeys(error.details.splitlines()))
    why = f"{error.message}: {events}" if events else error.message
    nothing = Evidence(Source("client", "this process"), "start a pod of ours", Outcome.ERROR, why[:_CHARACTERS])
    case.attack("attack from a pod that stands in for it", nothing, through=None)
    case.positive("a pod that stands in for it runs", nothing, succeeded=None)
