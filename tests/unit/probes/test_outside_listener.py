"""The listener outside the cluster: one nonce however often it is asked for, and every port that is asked for."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from pytest_k8ssec.agent.tasks import Tcp, Udp
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.pods.manifests import CANARY
from pytest_k8ssec.probes.outside_listener import START, outside_listener

HERE = "127.0.0.1"


class Beside:
    """A place outside that tells something."""

    def __init__(self, told: bytes) -> None:
        self.told = told
        self.asked: Sequence[str] = ()

    def in_network_of(self, _node: None, argv: Sequence[str], **_: Any) -> Completed:
        """What it tells."""
        self.asked = argv
        return Completed(tuple(argv), 0, self.told, b"")


def test_each_port_that_was_asked_for_has_its_task() -> None:
    """By TCP and by UDP, and each number listens once."""
    place = Beside(b"nonce-1 172.18.0.9\n")
    found = outside_listener(cast("Cluster", place), [(53, "TCP"), (53, "UDP"), (443, "TCP"), (53, "TCP")])
    assert {
        (53, "TCP"): [Tcp("172.18.0.9", 53, expect="nonce-1")],
        (53, "UDP"): [Udp("172.18.0.9", 53)],
        (443, "TCP"): [Tcp("172.18.0.9", 443, expect="nonce-1")],
    } == found
    assert ["53", "443"] == list(place.asked[-2:])


def test_a_listener_with_two_addresses_is_reached_by_both() -> None:
    """A policy may let out by one family only."""
    found = outside_listener(cast("Cluster", Beside(b"nonce-1 172.18.0.9 fc00::9\n")), [(53, "UDP")])
    assert {(53, "UDP"): [Udp("172.18.0.9", 53), Udp("fc00::9", 53)]} == found


def test_a_listener_that_tells_nothing_is_none() -> None:
    """One of its ports could not be had: no attack at it would say anything."""
    with pytest.raises(ProbeError, match="did not tell its address"):
        outside_listener(cast("Cluster", Beside(b"")), [(53, "TCP")])


def test_ports_are_added_to_what_listens_already(tmp_path: Path) -> None:
    """Asked again it tells the same nonce, and what listened still does."""
    pids = tmp_path / "pids"
    program = CANARY.replace('greet, ""', f'greet, "{HERE}"').replace('"0.0.0.0"', f'"{HERE}"')
    program = program.replace('"::"', '"::1"')
    program = program.replace(
        "\n    asyncio.run(", f"\n    open({str(pids)!r}, 'a').write(f'{{os.getpid()}} ')\n    asyncio.run("
    )
    program = program.replace("import signal", "import os, signal")
    start = START.replace("socket.gethostname()", f"'{HERE}'")
    with socket.socket() as one, socket.socket() as two:
        for sock in (one, two):
            sock.bind((HERE, 0))
        first, second = (str(sock.getsockname()[1]) for sock in (one, two))
    try:
        for nonce, ports in (("nonce-1", [first]), ("nonce-2", [first, second])):
            argv = [sys.executable, "-c", start, program, str(tmp_path / "known"), nonce, *ports]
            told = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout
            assert f"nonce-1 {HERE}\n" == told
        for port in (first, second):
            with socket.create_connection((HERE, int(port)), 10) as sock:
                assert b"nonce-1" in sock.recv(1024)
        assert 2 == len(pids.read_text().split())
    finally:
        for pid in pids.read_text().split():
            os.kill(int(pid), signal.SIGTERM)
