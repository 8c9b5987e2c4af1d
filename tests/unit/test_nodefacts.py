"""What a node tells about itself, and how it is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.probes.nodefacts import Listener, listeners
from pytest_k8ssec.process import Completed

NODE = Node("control-plane", "10.0.0.1", control_plane=True, container="control-plane")
SOCKETS = b"""\
LISTEN 0 4096 127.0.0.1:10248 0.0.0.0:* users:(("kubelet",pid=7,fd=3))
LISTEN 0 4096 [::1]:2379 [::]:* users:(("etcd",pid=8,fd=3))
LISTEN 0 4096 *:10257 *:* users:(("kube-controller",pid=9,fd=3))
LISTEN 0 4096 127.0.0.11:41000 0.0.0.0:*
"""


class FakeCluster:
    """A node with some listening sockets."""

    def on_node(self, _node: Node, argv: Sequence[str]) -> Completed:
        """What ``ss`` says."""
        assert argv[0] == "ss"
        return Completed(tuple(argv), 0, SOCKETS, b"")


def heard(process: str) -> list[Listener]:
    """Where a process listens."""
    return listeners(cast("Cluster", FakeCluster()), NODE, process)


def test_a_process_is_found_by_its_name() -> None:
    """Loopback keeps its address, without brackets; what belongs to another process is left out."""
    assert heard("kubelet") == [Listener("kubelet", "127.0.0.1", 10248)]
    assert heard("etcd") == [Listener("etcd", "::1", 2379)]
    assert heard("kube") == []


def test_a_long_name_is_found_although_the_kernel_cuts_it() -> None:
    """The kernel tells fifteen characters of a process's name."""
    assert heard("kube-controller-manager") == [Listener("kube-controller-manager", "*", 10257)]
