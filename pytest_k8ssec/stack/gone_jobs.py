"""Jobs of a stack that have run and are gone."""

from __future__ import annotations

from pytest_k8ssec.stack.model import Stack
from pytest_k8ssec.verdict import Judge


def tell_gone(judge: Judge, stack: Stack) -> None:
    """Note each Job that is not there any more: nothing of it can be attacked, and the rest of the stack is judged.

    Raises:
        ClusterError: the API server did not answer as it should.

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/ttlafterfinished/
    """
    for job in stack.gone_jobs():
        judge.note(f"{job} is not judged: it has ended, and is gone from the cluster")
