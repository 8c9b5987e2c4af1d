"""The metadata service is tried by each family that pods have; its stand-in is one for all of this process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.probes.cloud_metadata import METADATA, METADATA_V6, metadata, served

NODE = Node("worker", "172.18.0.9", control_plane=False, container="1234")


@dataclass
class Nodes:
    """A cluster of ours, and what was done on its nodes."""

    workdir: Path
    refuses: bool = False
    ours: bool = True
    done: list[str] = field(default_factory=list)

    def on_node(self, node: Node, argv: Sequence[str]) -> Completed:
        """Note what was done."""
        if self.refuses:
            raise ProbeError(f"{node.name}: refused")
        self.done.append("start" if "TCP-LISTEN" in argv[2] else "stop")
        return Completed(("sh",), 0, b"", b"")


def uses(cluster: Nodes) -> ExitStack:
    """One that uses it, until it is closed."""
    use = ExitStack()
    use.enter_context(served(cast("Cluster", cluster), NODE, cast("Pod", SimpleNamespace(addresses=("10.0.0.1",)))))
    return use


def test_the_first_starts_it_and_the_last_stops_it(tmp_path: Path) -> None:
    """In whatever order they end: a control beside another, or below a sabotage, would lose it in the middle."""
    cluster = Nodes(tmp_path)
    first, second = uses(cluster), uses(cluster)
    first.close()
    assert cluster.done == ["start"]
    third = uses(cluster)
    second.close()
    third.close()
    assert cluster.done == ["start", "stop"]
    uses(cluster).close()
    assert cluster.done == ["start", "stop"] * 2


def test_threads_share_it(tmp_path: Path) -> None:
    """None of many that come and go at the same time finds it gone."""
    cluster, gone = Nodes(tmp_path), []

    def come_and_go() -> None:
        for _ in range(20):
            with uses(cluster):
                if cluster.done[-1] == "stop":
                    gone.append(True)

    threads = [threading.Thread(target=come_and_go) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(timeout=60)
    assert not gone
    assert cluster.done == ["start", "stop"] * (len(cluster.done) // 2)


def test_who_could_not_start_it_is_no_user(tmp_path: Path) -> None:
    """Else it would never be stopped again, and another worker would wait for it."""
    cluster = Nodes(tmp_path, refuses=True)
    with pytest.raises(ProbeError):
        uses(cluster)
    cluster.refuses = False
    uses(cluster).close()
    assert cluster.done == ["start", "stop"]


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (("10.0.0.1",), (METADATA,)),
        (("fd00::1",), (METADATA_V6,)),
        (("fd00::1", "10.0.0.1"), (METADATA, METADATA_V6)),
    ],
    ids=["ipv4", "ipv6", "both"],
)
def test_each_family_has_its_address(addresses: tuple[str, ...], expected: tuple[object, ...]) -> None:
    """A pod without IPv4 can't reach the usual one, so that silence there would say nothing."""
    assert expected == metadata(addresses)
