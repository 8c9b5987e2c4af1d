"""What is done to a cluster after its creation."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from pytest_k8ssec.clusters.after import guard_etcd
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.machine.process import Completed

_RECORDED = """#!/bin/sh
echo "$0 $*" >>"$RECORD"
case "$*" in *--check*) exit 1 ;; esac
"""


class Shells:
    """Nodes whose commands run here, with filters that only write down what they are told."""

    def __init__(self, folder: Path, *nodes: Node) -> None:
        self.nodes, self.record = nodes, folder / "record"
        self.record.touch()
        self.told: list[str] = []
        for tool in ("iptables", "ip6tables"):
            (folder / tool).write_text(_RECORDED)
            (folder / tool).chmod(0o755)
        self.environ = {"PATH": f"{folder}:{os.environ['PATH']}", "RECORD": str(self.record)}

    def on_node(self, node: Node, argv: Sequence[str]) -> Completed:
        """What it does."""
        subprocess.run([*argv], env=self.environ, check=True, timeout=10)
        self.told += [f"{node.name}: {line.rpartition('/')[2]}" for line in self.record.read_text().splitlines()]
        self.record.write_text("")
        return Completed(tuple(argv), 0, b"", b"")


def test_etcd_is_guarded_on_each_control_plane_and_by_each_family(tmp_path: Path) -> None:
    """Control planes get through, everybody else does not: the order of the rules is what they mean."""
    planes = [Node(f"cp{at}", f"10.0.0.{at}", control_plane=True, further=(f"fd00::{at}",)) for at in (1, 2)]
    cluster = Shells(tmp_path, *planes, Node("worker", "10.0.0.9", control_plane=False))
    guard_etcd(cast("Cluster", cluster))
    rules = [line.replace("--wait 5 --table raw ", "") for line in cluster.told if "--append" in line]
    for node in ("cp1", "cp2"):
        for tool, network in (("iptables", "10.0.0."), ("ip6tables", "fd00::")):
            assert [
                "--in-interface lo --jump RETURN",
                f"--source {network}1 --jump RETURN",
                f"--source {network}2 --jump RETURN",
                f"--destination {network}1 --jump DROP",
                f"--destination {network}2 --jump DROP",
            ] == [line.partition("K8SSEC-ETCD ")[2] for line in rules if line.startswith(f"{node}: {tool} ")]
    first = [line for line in cluster.told if "--insert PREROUTING" in line]
    assert 4 == len(first)
    assert all("--protocol tcp" in line and "2379,2380" in line for line in first)
    assert not [line for line in cluster.told if line.startswith("worker")]
