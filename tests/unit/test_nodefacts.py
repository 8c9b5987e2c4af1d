"""What a node tells about itself, and how it is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.probes.nodefacts import Listener, arguments, listeners
from pytest_k8ssec.process import Completed

NODE = Node("control-plane", "10.0.0.1", control_plane=True, container="control-plane")
SOCKETS = b"""\
LISTEN 0 4096 127.0.0.1:10248 0.0.0.0:* users:(("kubelet",pid=7,fd=3))
LISTEN 0 4096 [::1]:2379 [::]:* users:(("etcd",pid=8,fd=3))
LISTEN 0 4096 *:10257 *:* users:(("kube-controller",pid=9,fd=3))
LISTEN 0 4096 127.0.0.11:41000 0.0.0.0:*
"""


class FakeCluster:
    """A node with some listening sockets, and one process."""

    def __init__(self, told: bytes = b"") -> None:
        self.told = told

    def on_node(self, _node: Node, argv: Sequence[str], **_: bool) -> Completed:
        """What ``ss`` says, the process's id, and what it was told at its start."""
        said = {"ss": SOCKETS, "pidof": b"7\n", "cat": self.told}[argv[0]]
        return Completed(tuple(argv), 0, said, b"")


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


def test_a_process_tells_its_arguments() -> None:
    """Words without a value are none."""
    told = cast("Cluster", FakeCluster(b"etcd\0--client-cert-auth=true\0--name=\0--debug\0"))
    assert {"client-cert-auth": "true", "name": ""} == arguments(told, NODE, "etcd")


def test_a_process_that_is_ending_is_not_one_without_arguments() -> None:
    """A zombie's command line is empty: whoever looks for a flag that must not be there would be content."""
    with pytest.raises(ProbeError, match="process etcd has no command line"):
        arguments(cast("Cluster", FakeCluster()), NODE, "etcd")
