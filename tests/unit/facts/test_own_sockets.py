"""Listeners of ours on a node: known by their program, so that none of them is taken for a port of the cluster's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import cast

import pytest

from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.facts.own_sockets import own_sockets
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.pods.manifests import CANARY

NODE = Node("node", "127.0.0.1", control_plane=False, container="node")


class Here:
    """A node that is this machine, whose ss(8) tells what it is given."""

    def __init__(self, told: str) -> None:
        self.told = told

    def on_node(self, _node: Node, argv: Sequence[str]) -> Completed:
        """Run here."""
        shell, option, script, *rest = argv
        quoted = self.told.replace("'", "")
        function = f"ss() {{ printf '%s' '{quoted}'; }}\n"
        done = subprocess.run([shell, option, function + script, *rest], capture_output=True, check=True)
        return Completed(tuple(argv), done.returncode, done.stdout, done.stderr)


@pytest.mark.skipif(not shutil.which("paste"), reason="nodes have coreutils, this machine has not")
def test_a_listener_of_ours_is_known_by_its_program() -> None:
    """And nobody else's process is, at whichever port, be its id a part of ours."""
    ours = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", CANARY])
    try:
        lines = [
            f'LISTEN 0 9 *:20123 *:* users:(("python3",pid={ours.pid},fd=6))',
            f'LISTEN 0 9 0.0.0.0:20124 0.0.0.0:* users:(("python3",pid={ours.pid},fd=7))',
            f'LISTEN 0 9 *:22379 *:* users:(("socat",pid={ours.pid}1,fd=6))',
            "LISTEN 0 9 *:2049 *:*",
        ]
        assert {20123, 20124} == own_sockets(cast("Cluster", Here("\n".join(lines) + "\n")), NODE)
    finally:
        ours.kill()
        ours.wait()


def test_without_one_nothing_is_ours() -> None:
    """Nobody who listens is excused."""
    line = 'LISTEN 0 9 *:22379 *:* users:(("socat",pid=1,fd=6))\n'
    assert set() == own_sockets(cast("Cluster", Here(line)), NODE)
