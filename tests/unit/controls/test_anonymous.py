"""What anybody without credentials is given by the API server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.api.anon_data import test_api_anon_data as anon_data
from pytest_k8ssec.pods.manifests import OBJECT_LABEL
from pytest_k8ssec.verdict import Judge, Verdict
from tests.unit.fakes import FakeVantage

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_k8ssec.agent.vantage import NetworkVantage
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.pods.pool import Pod, Pool


@dataclass
class World:
    """A cluster of one node and two namespaces; it is its own API, its own pool and its own attacker."""

    status: int
    """What a request without credentials is answered."""
    but: dict[str, int]
    """By path."""
    nodes: tuple[Node, ...] = (Node("node", "10.0.0.2", control_plane=True),)
    run_id: str = "1"

    @property
    def api(self) -> World:
        """Itself."""
        return self

    cluster = api

    def list(self, path: str) -> list[dict[str, Any]]:
        """The namespaces."""
        assert "/api/v1/namespaces" == path
        ours = {"metadata": {"name": "ours", "labels": {OBJECT_LABEL: "1"}}}
        return [*({"metadata": {"name": name}} for name in ("web", "kube-system")), ours]

    def call(self, *_: object, **__: object) -> dict[str, Any]:
        """A token."""
        return {"status": {"token": "e30.e30.e30"}}

    def namespace(self, _purpose: str) -> str:
        """One of ours."""
        return "ours"

    def remember(self, _what: str, _find_out: Callable[[], str]) -> str:
        """What was granted before."""
        return "auditor"

    @property
    def vantage(self) -> FakeVantage:
        """Where all is asked from."""
        return FakeVantage(self.said)

    def said(self, task: dict[str, Any]) -> dict[str, Any]:
        """Who shows a token is given what it asks for."""
        known = task["headers"] or task["path"] == "/livez"
        return {"outcome": "http", "status": 200 if known else self.but.get(task["path"], self.status)}

    def verdict(self) -> Verdict:
        """What the control says of it."""
        judge = Judge()
        anon_data(
            judge, cast("Cluster", self), None, cast("Pool", self), lambda: cast("Pod", self),
            cast("NetworkVantage", self.vantage),
        )  # fmt: skip
        return judge.verdict()[0]


@pytest.mark.parametrize("kind", ["secrets", "configmaps", "pods"])
@pytest.mark.parametrize("status", [401, 403])
def test_a_namespace_that_is_open_is_seen(kind: str, status: int) -> None:
    """A role bound in it gives nothing in the cluster as a whole."""
    path = f"/api/v1/namespaces/web/{kind}?limit=1"
    assert Verdict.HELD is World(status, {}).verdict()
    assert Verdict.BREACHED is World(status, {path: 200}).verdict()
    assert Verdict.INCONCLUSIVE is World(status, {path: 429}).verdict()


def test_namespaces_of_ours_are_no_attack() -> None:
    """Which of them are there depends on what else runs: a report must not."""
    assert Verdict.HELD is World(401, {"/api/v1/namespaces/ours/pods?limit=1": 200}).verdict()
