"""A process of a workload that is named like one of the control plane's: it is never the one that is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pytest_k8ssec.clusters.kind import KindCluster
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.facts.node import arguments, control_planes

_SCRIPT = """
setsid "$@" sh -c 'printf etcd >/proc/self/comm; sleep 60 & wait' >/dev/null 2>&1 &
until grep -qsx etcd /proc/$!/comm; do sleep 0.1; done
echo $!
"""


def test_a_process_with_a_network_of_its_own_is_not_asked(cluster: KindCluster) -> None:
    """As every pod's has that does not ask for the node's."""
    (node, *_) = control_planes(cluster)
    before = arguments(cluster, node, "etcd")
    with _lookalike(cluster, "unshare", "--net"):
        assert arguments(cluster, node, "etcd") == before
    assert before["data-dir"]


def test_where_nothing_tells_them_apart_nobody_is_asked(cluster: KindCluster) -> None:
    """One in the node's own network might be the cluster's own."""
    (node, *_) = control_planes(cluster)
    with _lookalike(cluster), pytest.raises(ProbeError, match="2 processes etcd run"):
        arguments(cluster, node, "etcd")
    assert arguments(cluster, node, "etcd")


@contextmanager
def _lookalike(cluster: KindCluster, *where: str) -> Iterator[None]:
    """A process named etcd on a control-plane node, started in this way."""
    (node, *_) = control_planes(cluster)
    leader = cluster.on_node(node, ["sh", "-c", _SCRIPT, "start", *where]).text.strip()
    try:
        yield
    finally:
        cluster.on_node(node, ["kill", "-KILL", "--", f"-{leader}"])
