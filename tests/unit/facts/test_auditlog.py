"""Searching audit logs: what was found, what was not, and what could not be searched."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.controls.aud.no_secret_body import _DEEDS, _handle
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.facts.auditlog import AuditLogs
from pytest_k8ssec.machine.process import Completed

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


_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "GET": "get"}


@dataclass
class _Api:
    """Takes every request, and keeps what it was asked to do under which mark."""

    seen: list[tuple[str, str, Any]] = field(default_factory=list)

    @property
    def api(self) -> _Api:
        return self

    def path_of(self, manifest: Body, *, collection: bool = False) -> str:
        return "/api/v1/namespaces/k8ssec/secrets" + ("" if collection else f"/{manifest['metadata']['name']}")

    def call(self, method: str, path: str, *, headers: dict[str, str], body: Any = None, **_: Any) -> Body:
        assert headers["User-Agent"] == "mark"
        verb = "list" if method == "GET" and path.endswith("/secrets") else _VERBS[method]
        kinds = ("serviceaccounts/default/token", "tokenreviews", "secrets")
        self.seen.append((verb, next(kind for kind in kinds if kind in path), body))
        return {"status": {"token": "audited-token-of-nobody"}}

    def delete(self, _path: str) -> None:
        """Not marked."""


def test_every_deed_that_is_looked_for_is_done_under_the_mark() -> None:
    """A policy may log the bodies of any of these alone; a token is in the body of its review, too."""
    api = _Api()
    assert "audited-token-of-nobody" == _handle(cast("Cluster", api), "k8ssec", "mark", "canary-value")
    done = {f"{verb} {kind.replace('default/', '')}": body for verb, kind, body in api.seen}
    assert set(_DEEDS) == set(done)
    assert {"token": "audited-token-of-nobody"} == done["create tokenreviews"]["spec"]
    assert {"stringData": {"canary": "canary-value"}} == done["patch secrets"]
