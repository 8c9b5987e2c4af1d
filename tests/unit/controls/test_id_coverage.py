"""Tokens: each of them, at each API server and at each address."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.agent.vantage import ask, probe
from pytest_k8ssec.clusters.api import Body, Response
from pytest_k8ssec.clusters.bootstrap_tokens import PUBLIC_BOOTSTRAP_TOKEN as PUBLIC
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.id import bootstrap_token, token_lifetime, token_revocation
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import FakeVantage, without

if TYPE_CHECKING:
    from pytest_k8ssec.agent.tasks import Task
    from pytest_k8ssec.agent.vantage import Answer
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.evidence import Evidence
    from pytest_k8ssec.pods.pool import Pod, Pool

USER = "system:serviceaccount:ours:default"


def token_of(user: str, seconds: int, ident: str = "") -> str:
    """One that says whose it is, how long it is good for, and which of all tokens it is."""
    claims = json.dumps({"sub": user, "iat": 100, "exp": 100 + seconds, "jti": ident}).encode()
    return f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.sig"


@dataclass(eq=False)
class Api:
    """An API server."""

    world: World
    server: str

    @property
    def api(self) -> Api:
        """Itself."""
        return self

    def at(self, server: str) -> Api:
        """Another one."""
        return Api(self.world, server)

    def call(self, _method: str, path: str, *, body: Any = None, **_: object) -> Body:
        """A token; one that a kubelet asks for may be extended."""
        if not path.endswith("/token"):
            return {}
        namespace, name = path.split("/")[4], path.split("/")[6]
        seconds = body["spec"]["expirationSeconds"]
        bound = "boundObjectRef" in body["spec"]
        extended = seconds == 3607 and bound and self.world.worse_at in self.server and self.world.worse == "extended"
        user = f"system:serviceaccount:{namespace}:{name}"
        ident = "bound to a pod" if bound else "lasting" if name == "default" else "of a service account"
        return {"status": {"token": token_of(user, 31536000 if extended else seconds, ident)}}

    def get(self, _path: str, **_: object) -> Body:
        """A pod."""
        return {"metadata": {"name": "p", "uid": "1"}, "spec": {}}

    def request(
        self, method: str, _path: str, *, token: str | None = None, params: Any = None, **_: object
    ) -> Response:
        """Whose a token is; once something is gone, it is nobody's. The names of Secrets."""
        if method == "GET":
            kind = params["fieldSelector"].partition("=")[2]
            ours = [{"metadata": {"name": "typed-canary"}}] if kind.startswith("k8ssec") else []
            return Response(200, {"items": [*ours, *self.world.kept]}, 1.0)
        claims = token_lifetime.claims_of(token or "")
        lives = claims["jti"] == "lasting" or (claims["jti"] == self.world.worse and self.world.worse_at in self.server)
        if self.world.gone and not lives:
            return Response(401, {}, 1.0)
        return Response(201, {"status": {"userInfo": {"username": claims["sub"]}}}, 1.0)

    def path_of(self, *_: object, **__: object) -> str:
        """Anything."""
        return "/x"

    def delete(self, *_: object, **__: object) -> None:
        """Gone."""
        self.world.gone = True

    def wait(self, path: str, *_: object, **__: object) -> Body:
        """The Secret has its token."""
        token = base64.b64encode(token_of(USER, 1, "in a Secret").encode()).decode()
        return {"data": {"token": token}} if "secrets" in path else {}

    @contextmanager
    def applied(self, *manifests: Body) -> Iterator[tuple[Body, ...]]:
        """There."""
        yield tuple({**each, "metadata": {**each["metadata"], "uid": "1"}} for each in manifests)


@dataclass(eq=False)
class World:
    """A cluster with two API servers, the first of which has two addresses; it is its own pool and attacker."""

    worse: str = ""
    worse_at: str = ""
    """What one API server does that it should not, and at which address."""
    kept: list[Body] = field(default_factory=list)
    """Secrets with bootstrap tokens."""
    gone: bool = False
    probe_image: str = "probe:1"
    nodes: tuple[Node, ...] = (
        Node("cp0", "10.0.0.2", control_plane=True, further=("fd00::2",)),
        Node("cp1", "10.0.0.3", control_plane=True),
    )

    @property
    def api(self) -> Api:
        """The balancer."""
        return Api(self, "https://balancer:6443")

    @property
    def cluster(self) -> World:
        """Itself."""
        return self

    @property
    def vantage(self) -> Any:
        """Where its pod is."""
        return SimpleNamespace(namespace="ours", pod="p", container="c")

    def namespace(self, _purpose: str) -> str:
        """One of ours."""
        return "ours"

    def lease(self, _spec: object) -> tuple[World]:
        """A pod."""
        return (self,)

    def ask(self, *tasks: Task) -> list[Answer]:
        """Its mounted token."""
        found = {"path": "/token", "token": token_of(USER, 3607), "claims": {"sub": USER, "iat": 100, "exp": 3707}}
        if self.worse == "mount":
            found["claims"] = {"sub": USER, "iat": 100, "exp": 31536000}
        return ask(FakeVantage(lambda _: {"outcome": "done", "tokens": [found]}), tasks)

    def probe(self, *tasks: Task) -> list[Evidence]:
        """What API servers say of tokens that a pod shows them."""

        def said(task: dict[str, Any]) -> dict[str, Any]:
            public = PUBLIC in task["headers"]["Authorization"]
            refused = public and not (self.worse == "public" and task["host"] == self.worse_at)
            return {"outcome": "http", "status": 401 if refused else 201}

        return probe(FakeVantage(said), tasks)

    def judge(self, slug: str) -> Judge:
        """What one of the controls says."""
        cluster, pool = cast("Cluster", self), cast("Pool", self)
        judge = Judge(
            {"lifetime": ("token",), "revocation": ("server", "token"), "bootstrap": ("place", "token")}[slug]
        )
        if slug == "lifetime":
            token_lifetime.test_id_token_lifetime(judge, cluster, pool)
        elif slug == "revocation":
            token_revocation.test_id_token_revocation(judge, cluster, pool)
        else:
            bootstrap_token.test_id_bootstrap_token(judge, cluster, pool, lambda: cast("Pod", self), {})
        return judge


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """All is well; nothing is waited for."""
    monkeypatch.setattr(bootstrap_token, "auditor", lambda _: SimpleNamespace(token="known"))
    monkeypatch.setattr(bootstrap_token, "_REMEMBERED", -1)
    monkeypatch.setattr(token_revocation, "_SECONDS", -1)
    return World()


@pytest.mark.parametrize("slug", ["lifetime", "revocation", "bootstrap"])
def test_all_that_is_well_is_held(world: World, slug: str) -> None:
    """Everywhere."""
    assert (Verdict.HELD, "") == world.judge(slug).verdict()


@pytest.mark.parametrize("server", ["10.0.0.2", "10.0.0.3"])
def test_one_api_server_that_extends_tokens_is_enough(world: World, server: str) -> None:
    """Though the mounted token came from another one."""
    world.worse, world.worse_at = "extended", server
    judge = world.judge("lifetime")
    assert Verdict.BREACHED is judge.verdict()[0]
    node = {"10.0.0.2": "cp0", "10.0.0.3": "cp1"}[server]
    assert [f"one as kubelets ask for at the API server on {node}"] == [
        each.case for each in judge.attacks if each.got_through
    ]


def test_the_token_in_the_mount_counts_as_before(world: World) -> None:
    """Whoever gave it."""
    world.worse = "mount"
    assert ["token at /token"] == [each.case for each in world.judge("lifetime").attacks if each.got_through]


@pytest.mark.parametrize("server", ["10.0.0.2", "10.0.0.3"])
@pytest.mark.parametrize("token", token_revocation._TOKENS)
def test_one_token_that_lives_on_at_one_api_server_is_enough(world: World, server: str, token: str) -> None:
    """Each of them looks up by itself, or does not."""
    world.worse, world.worse_at = token, server
    judge = world.judge("revocation")
    assert Verdict.BREACHED is judge.verdict()[0]
    node = {"10.0.0.2": "cp0", "10.0.0.3": "cp1"}[server]
    assert [f"token {token} at the API server on {node}"] == [each.case for each in judge.attacks if each.got_through]


@pytest.mark.parametrize("address", ["10.0.0.2", "fd00::2", "10.0.0.3"])
def test_one_address_that_takes_the_public_token_is_enough(world: World, address: str) -> None:
    """Of each API server."""
    world.worse, world.worse_at = "public", address
    judge = world.judge("bootstrap")
    assert Verdict.BREACHED is judge.verdict()[0]
    assert [address] == [each.case.partition("(")[2].rstrip(")") for each in judge.attacks if each.got_through]


@pytest.mark.parametrize(
    ("slug", "hole"),
    [
        ("lifetime", "as kubelets ask for at the API server on cp1"),
        ("lifetime", "that in a mount"),
        ("revocation", "bound to a pod"),
        ("revocation", "cp1"),
        ("bootstrap", "fd00::2"),
        ("bootstrap", "kube-system"),
    ],
)
def test_what_is_not_tried_is_missed(monkeypatch: pytest.MonkeyPatch, world: World, slug: str, hole: str) -> None:
    """By its name."""
    monkeypatch.setattr(Case, "attack", without(Case.attack, hole))
    verdict, why = world.judge(slug).verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert hole in why.partition("not tried: ")[2]
