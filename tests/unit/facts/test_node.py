"""What a node tells about itself, and how it is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.facts.node import Listener, arguments, heard_by_others, listeners
from pytest_k8ssec.machine.process import Completed

NODE = Node("control-plane", "10.0.0.1", control_plane=True, container="control-plane")
SOCKETS = b"""\
LISTEN 0 4096 127.0.0.1:10248 0.0.0.0:* users:(("kubelet",pid=7,fd=3))
LISTEN 0 4096 [::1]:2379 [::]:* users:(("etcd",pid=8,fd=3))
LISTEN 0 4096 *:10257 *:* users:(("kube-controller",pid=9,fd=3))
LISTEN 0 4096 127.0.0.11:41000 0.0.0.0:*
"""


class FakeCluster:
    """A node with some listening sockets, and one process."""

    def __init__(self, told: bytes = b"", pgrep: tuple[int, bytes] = (0, b"7\n")) -> None:
        self.told = told
        self.pgrep = pgrep
        self.asked: list[Sequence[str]] = []
        self.sockets = SOCKETS

    def on_node(self, _node: Node, argv: Sequence[str], **_: bool) -> Completed:
        """What ``ss`` says, the process's id, and what it was told at its start."""
        self.asked.append(argv)
        code, said = {"ss": (0, self.sockets), "pgrep": self.pgrep, "cat": (0, self.told)}[argv[0]]
        return Completed(tuple(argv), code, said, b"why")


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


def test_what_others_may_reach_is_all_but_loopback() -> None:
    """Whoever listens there, and at whichever address; a socket that two processes share is told of both."""
    cluster = FakeCluster()
    cluster.sockets = SOCKETS + (
        b'LISTEN 0 4096 0.0.0.0:80 0.0.0.0:* users:(("nginx",pid=2,fd=3),("worker",pid=3,fd=3))\n'
        b"LISTEN 0 4096 10.244.0.1%cni0:2049 0.0.0.0:*\n"
        b'LISTEN 0 4096 [::ffff:127.0.0.1]:22379 *:* users:(("socat",pid=2,fd=3))\n'
    )
    assert [
        Listener("nginx", "*", 80),
        Listener("worker", "*", 80),
        Listener("", "10.244.0.1", 2049),
        Listener("kube-controller", "*", 10257),
    ] == heard_by_others(cast("Cluster", cluster), NODE)


def test_sockets_of_udp_are_asked_for_by_themselves() -> None:
    """One protocol says nothing of the other."""
    cluster = FakeCluster()
    cluster.sockets = b'UNCONN 0 0 *:5353 *:* users:(("avahi",pid=2,fd=3))\n'
    assert [Listener("avahi", "*", 5353)] == heard_by_others(cast("Cluster", cluster), NODE, "UDP")
    assert "-u" in cluster.asked[-1]
    assert "-t" not in cluster.asked[-1]


def test_a_process_tells_its_arguments() -> None:
    """Words without a value are none."""
    told = cast("Cluster", FakeCluster(b"etcd\0--client-cert-auth=true\0--name=\0--debug\0"))
    assert {"client-cert-auth": "true", "name": ""} == arguments(told, NODE, "etcd")


def test_a_process_that_is_ending_is_not_one_without_arguments() -> None:
    """A zombie's command line is empty: whoever looks for a flag that must not be there would be content."""
    with pytest.raises(ProbeError, match="process etcd has no command line"):
        arguments(cast("Cluster", FakeCluster()), NODE, "etcd")


def test_only_processes_of_the_node_itself_are_asked() -> None:
    """Not those of pods, which have network namespaces of their own; by as much of the name as the kernel keeps."""
    cluster = FakeCluster(b"kube-controller-manager\0--a=b\0")
    arguments(cast("Cluster", cluster), NODE, "kube-controller-manager")
    assert [
        ["pgrep", "--ns", "1", "--nslist", "net", "-x", "kube-controller"],
        ["cat", "/proc/7/cmdline"],
    ] == cluster.asked


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ((1, b""), "no processes etcd run, instead of one"),
        ((0, b"7\n8\n"), "2 processes etcd run, instead of one"),
        ((3, b""), "can't look for process etcd"),
        ((127, b""), "can't look for process etcd"),
    ],
    ids=["none", "two", "broken", "no-pgrep"],
)
def test_no_process_is_guessed(said: tuple[int, bytes], message: str) -> None:
    """With two of a name nobody knows which one is the cluster's."""
    with pytest.raises(ProbeError, match=message):
        arguments(cast("Cluster", FakeCluster(b"etcd\0--a=b\0", said)), NODE, "etcd")


def test_what_listens_everywhere_is_reached_at_each_address() -> None:
    """Of both families, where the node has two."""
    node = Node("node", "10.0.0.2", control_plane=True, container="node", further=("fd00::2",))
    assert Listener("etcd", "*", 2379).addresses(node) == ("127.0.0.1", "10.0.0.2", "fd00::2")
    assert Listener("etcd", "::1", 2379).addresses(node) == ("::1",)
