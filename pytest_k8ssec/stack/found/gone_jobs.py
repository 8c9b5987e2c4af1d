"""Jobs of a stack that have run and are gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.stack.model import Stack
from pytest_k8ssec.stack.resource import ObjectOrigin
from pytest_k8ssec.verdict import Judge

_HERE: Final = Source("client", "this process")


def tell_gone(judge: Judge, stack: Stack, allowed: Mapping[str, str]) -> None:
    """Note each Job that is not there any more: nothing of it can be attacked, and the rest of the stack is judged.

    That it was ever there is known where this run deployed it, as Pulumi waits for its end, and where Helm wrote it down.
    Elsewhere the stack may not be deployed as it is declared, so nothing is held.

    Args:
        allowed: ``Job NAMESPACE/NAME`` to the reason why it need not be there.

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/ttlafterfinished/
    """
    try:
        gone = stack.gone_jobs()
    except ClusterError as error:
        _keep_open(judge, "each Job of the stack", "look whether it is there", error.message)
        return
    for job in gone:
        if str(job) in allowed:
            judge.note(f"{job} is not judged: it is not on the cluster: {allowed[str(job)]}")
        elif stack.deployed or job.origin is not ObjectOrigin.DECLARED:
            judge.note(f"{job} is not judged: it has ended, and is gone from the cluster")
        else:
            why = "it is not on the cluster, and nobody knows whether it was: deploy the stack, or declare the Job with a reason"
            _keep_open(judge, str(job), "look for it", why)


def _keep_open(judge: Judge, name: str, request: str, why: str) -> None:
    nothing = Evidence(_HERE, request, Outcome.ERROR, why)
    case = judge.case(name)
    case.positive("it is there", nothing, succeeded=None)
    case.attack("attack it", nothing, through=None)
