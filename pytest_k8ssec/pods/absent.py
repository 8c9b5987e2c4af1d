"""What is recorded where a pod does not run: that one case is inconclusive, and the others are judged."""

from __future__ import annotations

from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.verdict import At, Case

_CHARACTERS = 300


def tell_absent(case: Case, error: ProbeError, *, tried: str = "start a pod of ours", at: At = ()) -> None:
    """Record that nothing could be tried in a case, as a pod that is needed for it does not run.

    Args:
        tried: what was done in vain.
        at: the combinations that the case stands for, so that they are not told once more as what nobody tried.
    """
    events = "; ".join(dict.fromkeys(error.details.splitlines()))
    why = f"{error.message}: {events}" if events else error.message
    nothing = Evidence(Source("client", "this process"), tried, Outcome.ERROR, why[:_CHARACTERS])
    case.attack("attack it", nothing, through=None, at=at)
    case.positive("the pod that is needed for it runs", nothing, succeeded=None)
