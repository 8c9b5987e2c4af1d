"""Many pods are asked at the same time, each its own question: one that breaks takes no other's answer away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pytest_k8ssec.agent.tasks import Task
from pytest_k8ssec.agent.vantage import Answer
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.pods.pool import Pod

_Key = TypeVar("_Key")
_TOGETHER = 8
"""Pods that are asked at the same time: each runs a program meanwhile, and a machine has few processors."""


def ask_each(
    pods: Mapping[_Key, Pod | ProbeError], tasks: Mapping[_Key, Sequence[Task]]
) -> dict[_Key, list[Answer] | ProbeError]:
    """Ask each pod its tasks, all in one exec.

    Args:
        pods: by what their answers are to be found by; in the place of one that did not start, how it did not.
        tasks: those of each.

    Returns:
        by the same, the answers in the order of the tasks; where a pod did not start, or the exec broke, how.
    """

    def one(name: _Key) -> list[Answer] | ProbeError:
        pod = pods[name]
        if isinstance(pod, ProbeError):
            return pod
        try:
            return pod.ask(*tasks[name])
        except ProbeError as error:
            return error

    with ThreadPoolExecutor(_TOGETHER, thread_name_prefix="k8ssec-asked") as threads:
        return dict(zip(pods, threads.map(one, pods), strict=True))
