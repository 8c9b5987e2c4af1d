"""Searching audit logs: what was found, what was not, and what could not be searched."""

from __future__ import annotations

from typing import cast

import pytest

from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.probes.auditlog import AuditLogs
from pytest_k8ssec.process import Completed

NODE = Node("control-plane", "10.0.0.1", control_plane=True, container="control-plane")


class FakeCluster:
    """A node on which each search ends in one way."""

    def __init__(self, code: int, out: bytes = b"") -> None:
        self.ended = Completed((), code, out, b"grep: trouble")
        self.asked = b""

    def on_node(self, _node: Node, _argv: list[str], *, stdin: bytes, check: bool) -> Completed:
        """Note what was looked for, and end."""
        assert not check
        self.asked = stdin
        return self.ended


def logs(cluster: FakeCluster, path: str = "/var/log/audit.log") -> AuditLogs:
    """The log of that cluster's one API server."""
    return AuditLogs(cast("Cluster", cluster), [(NODE, path)])


def test_what_is_looked_for_is_sent_on_standard_input() -> None:
    """A value that is looked for stands in no argument, where a process list would show it."""
    cluster = FakeCluster(0, b'{"a": 1}\n')
    assert logs(cluster).lines("one", "two") == ['{"a": 1}']
    assert cluster.asked == b"one\ntwo\n"


@pytest.mark.parametrize("code", [1, 3])
def test_a_log_without_it_or_without_a_file_holds_nothing(code: int) -> None:
    """Both were searched."""
    assert logs(FakeCluster(code)).lines("one") == []


@pytest.mark.parametrize("code", [2, 4, 126, 137])
def test_a_search_that_broke_is_no_search(code: int) -> None:
    """Whatever else a search ends with proves nothing."""
    with pytest.raises(ProbeError):
        logs(FakeCluster(code)).lines("one")


def test_no_log_holds_nothing_and_says_so() -> None:
    """Where an API server writes none, nobody is asked."""
    absent = logs(FakeCluster(137), path="")
    assert absent.lines("one") == []
    assert absent.evidence("it", "").outcome is Outcome.ABSENT
    assert "writes no log" in absent.evidence("it", "").request


def test_events_are_awaited_until_complete_or_out_of_patience() -> None:
    """What is there at the end is returned, complete or not."""
    found = logs(FakeCluster(0, b'{"verb": "get"}\n'))
    assert found.events("m", bool, deadline=0) == [{"verb": "get"}]
    assert found.events("m", lambda _: False, deadline=0) == [{"verb": "get"}]
