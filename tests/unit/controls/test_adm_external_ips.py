"""Addresses that a Service claims: in each namespace, of each family, from the beginning or later, at each API server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.adm.external_ips import test_adm_external_ips as external_ips
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import without

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.pods.pool import Pool

FOUR, SIX = "203.0.113.7", "2001:db8::7"
DENIED = {"kind": "Status", "message": "services is forbidden: Use of external IPs is denied by admission control."}


@dataclass
class World:
    """A cluster with two API servers; it is its own pool, and each of its API servers."""

    spared: tuple[str, str, str, str] | None = None
    """Server, namespace, method and address that is let in."""
    server: str = ""
    gone: str = ""
    """The namespace that goes once it was listed."""
    nodes: tuple[Node, ...] = (Node("cp0", "10.0.0.2", control_plane=True), Node("cp1", "10.0.0.3", control_plane=True))

    @property
    def api(self) -> World:
        """Itself."""
        return self

    def at(self, server: str) -> World:
        """One of its API servers."""
        return World(self.spared, server, self.gone)

    def call(self, *_: object, **__: object) -> None:
        """It lives."""

    def namespace(self, _purpose: str) -> str:
        """One of ours."""
        return "ours"

    def list(self, path: str, **asked: str) -> list[dict[str, Any]]:
        """The namespaces that are not ours."""
        assert ("/api/v1/namespaces", {"labelSelector": "!k8ssec.dev/run"}) == (path, asked)
        return [
            {"metadata": {"name": "web"}, "status": {"phase": "Active"}},
            {"metadata": {"name": "old"}, "status": {"phase": "Terminating"}},
        ]

    def path_of(self, manifest: dict[str, Any]) -> str:
        """Of a Service."""
        return f"/api/v1/namespaces/{manifest['metadata']['namespace']}/services/{manifest['metadata']['name']}"

    @contextmanager
    def applied(self, manifest: dict[str, Any]) -> Iterator[tuple[dict[str, Any], ...]]:
        """It is there."""
        yield (manifest,)

    def request(self, method: str, path: str, *, body: dict[str, Any], params: dict[str, str], **_: Any) -> Response:
        """What the plugin makes of it."""
        assert {"dryRun": "All"} == params
        if path.split("/")[4] == self.gone:
            return Response(404, {"kind": "Status", "message": "namespaces not found"}, 1.0)
        fine = Response(201 if method == "POST" else 200, body, 1.0)
        claimed = body["spec"].get("externalIPs", [""])[0]
        spared = (self.server.split("/")[2].split(":")[0], path.split("/")[4], method, claimed) == self.spared
        return fine if spared or not claimed else Response(403, DENIED, 1.0)

    def judge(self) -> Judge:
        """What comes of it."""
        judge = Judge(("server", "namespace", "verb", "family"))
        external_ips(judge, cast("Cluster", self), None, cast("Pool", self))
        return judge


def test_all_that_is_refused_is_held() -> None:
    """Two servers, two families, in two namespaces; one Service is there."""
    judge = World().judge()
    assert (Verdict.HELD, "") == judge.verdict()
    assert 2 * 2 * 3 == len(judge.tried)


@pytest.mark.parametrize("server", ["10.0.0.2", "10.0.0.3"])
@pytest.mark.parametrize("address", [FOUR, SIX])
@pytest.mark.parametrize(("namespace", "method"), [("ours", "POST"), ("web", "POST"), ("ours", "PATCH")])
def test_one_that_is_spared_is_enough(server: str, namespace: str, method: str, address: str) -> None:
    """By a policy for some namespaces, or by an API server without the plugin."""
    judge = World((server, namespace, method, address)).judge()
    assert Verdict.BREACHED is judge.verdict()[0]
    assert 1 == len([each for each in judge.attacks if each.got_through])


def test_a_namespace_that_goes_meanwhile_is_no_target() -> None:
    """Others come and go; that ours is not there proves nothing."""
    judge = World(gone="web").judge()
    assert Verdict.HELD is judge.verdict()[0]
    assert judge.coverage.words(judge.tried).endswith(
        "8 of 8 combinations of server, namespace, verb, family tried, 4 absent"
    )
    assert Verdict.INCONCLUSIVE is World(gone="ours").judge().verdict()[0]


@pytest.mark.parametrize("hole", ["IPv6", "web", "update", "cp1"])
def test_what_is_not_offered_is_missed(monkeypatch: pytest.MonkeyPatch, hole: str) -> None:
    """By its name."""
    monkeypatch.setattr(Case, "attack", without(Case.attack, hole))
    verdict, why = World().judge().verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert hole in why.partition("not tried: ")[2]
