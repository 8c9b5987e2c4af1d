"""Which pages are asked for: the start page of each place by both protocols, and each route where an ingress may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.ext import unauth_ui
from pytest_k8ssec.controls.ext.unauth_ui import test_ext_unauth_ui as asks_for_a_login
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.probes.web_pages import WebRoute
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import FakeVantage, evidence, judge_of, without

if TYPE_CHECKING:
    from pytest_k8ssec.agent.vantage import NetworkVantage
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.pods.pool import Pool

NODE = Node("node", "10.0.0.2", control_plane=True, container="node", further=("fd00::2",))
PUBLIC = WebRoute("web/public", "public.example.com", "/")
SHOP = WebRoute("web/shop", "shop.example.com", "/")
REFUSED: dict[str, Any] = {"outcome": "http", "status": 401}
PAGE: dict[str, Any] = {"outcome": "http", "status": 200, "body": "<p>all orders</p>" * 30}


@dataclass
class World:
    """A cluster of one node with an ingress at 30080; its own API and pool."""

    open_at: str = ""
    """The only address at which the ingress shows the shop's page to everybody."""
    ingress: bool = True
    nodes = (NODE,)

    @property
    def api(self) -> World:
        """Itself."""
        return self

    cluster = api

    def list(self, path: str) -> list[Any]:
        """One Service, and no pods."""
        port = {"port": 80, "nodePort": 30080, "protocol": "TCP"}
        meta = {"namespace": "ingress", "name": "nginx"}
        return [{"metadata": meta, "spec": {"ports": [port]}}] if path.endswith("services") else []

    def remember(self, _what: str, find_out: Any) -> Any:
        """Found out each time."""
        return find_out()

    def said(self, task: dict[str, Any]) -> dict[str, Any]:
        """What is answered from beside the nodes."""
        if task["op"] == "tcp":
            return {"outcome": "open"}
        host = (task.get("headers") or {}).get("Host", "")
        if task["port"] != 30080:
            return REFUSED
        if not self.ingress:
            return {"outcome": "closed"}
        if host == SHOP.host:
            return PAGE if task["host"] == self.open_at else REFUSED
        return {"outcome": "http", "status": 404, "body": "default backend - 404"}

    def judge(self, monkeypatch: pytest.MonkeyPatch) -> Judge:
        """What comes of it."""
        proofs = [evidence(Outcome.HTTP, status=200), evidence(Outcome.HTTP, status=400)]
        monkeypatch.setattr(unauth_ui, "_proofs", lambda *_: proofs)
        monkeypatch.setattr(unauth_ui, "ingress_routes", lambda _: [SHOP, PUBLIC])
        judge, outside = judge_of(asks_for_a_login), cast("NetworkVantage", FakeVantage(self.said))
        public = {"Ingress web/public": "everybody's"}
        asks_for_a_login(judge, cast("Cluster", self), None, cast("Pool", self), outside, public)
        return judge


def test_all_of_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three places at two addresses by two protocols; and the one route that is not public, where the ingress is."""
    judge = World().judge(monkeypatch)
    assert (Verdict.HELD, "") == judge.verdict()
    assert "16 of 16 combinations" in judge.coverage.words(judge.tried)


@pytest.mark.parametrize("host", ["10.0.0.2", "fd00::2"])
def test_what_is_shown_at_one_address_is_shown(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """By whichever family."""
    judge = World(open_at=host).judge(monkeypatch)
    shown = f"[{host}]" if ":" in host else host
    assert all(shown in each.evidence.request for each in judge.attacks if each.got_through)
    assert Verdict.BREACHED is judge.verdict()[0]


def test_a_route_that_leads_nowhere_here_is_no_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing speaks HTTP there are no pages of Ingresses."""
    judge = World(ingress=False).judge(monkeypatch)
    assert (Verdict.HELD, "") == judge.verdict()
    assert judge.coverage.words(judge.tried).endswith("4 absent")


@pytest.mark.parametrize(
    ("port", "protocol", "page"),
    [(6443, "HTTPS", "/"), (10250, "HTTP", "/"), (30080, "HTTP", "/"), (30080, "HTTPS", str(SHOP))],
)
def test_a_page_that_nobody_asked_for_is_named(
    monkeypatch: pytest.MonkeyPatch, port: int, protocol: str, page: str
) -> None:
    """At one address, by one protocol."""
    route = repr(SHOP) if page != "/" else "'/'"
    words = f"'address': 'fd00::2', 'port': {port}, 'protocol': '{protocol}', 'page': {route}"
    monkeypatch.setattr(Case, "attack", without(Case.attack, words))
    verdict, reason = World().judge(monkeypatch).verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert f"not tried: address fd00::2, page {page}, port {port}, protocol {protocol} (no attack tried it)" == reason
