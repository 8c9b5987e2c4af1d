"""Ways out of the stack's namespaces that a sabotage opens for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pytest_k8ssec.agent.tasks import Task
from pytest_k8ssec.clusters.api import Body, KubeApi
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence, blocked
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.probes.policy_enforcement import await_task
from pytest_k8ssec.sabotages.proofs import changing, object_of
from pytest_k8ssec.stack import Stack, Workload


@contextmanager
def let_out(
    api: KubeApi,
    stack: Stack,
    twin: Callable[[Workload], Pod],
    policy: Callable[[str], Body],
    task: Callable[[], Task],
) -> Iterator[Evidence]:
    """Add a policy to each of the stack's namespaces that has workloads, and take it away again.

    Args:
        task: makes what the policy lets through, tried until it is in force and until it no longer is; made anew each
            time, as pods of ours don't outlive a change of the cluster.

    Yields:
        the evidence that it is in force.

    Raises:
        SabotageError: the policy is not in force, or it still is after it was removed.
    """
    workloads = {workload.namespace: workload for workload in stack.workloads()}

    def in_force(*, reachable: bool) -> Evidence:
        for proof in [await_task(twin(each), task(), reachable=reachable) for each in workloads.values()]:
            if blocked(proof) in (reachable, None):
                raise SabotageError(
                    f"egress policy: {'not in force' if reachable else 'removed, and still in force'}: {proof}"
                )
        return proof

    policies = [policy(name) for name in workloads]
    with api.applied(*policies):
        yield changing(in_force(reachable=True), *map(object_of, policies))
    in_force(reachable=False)
