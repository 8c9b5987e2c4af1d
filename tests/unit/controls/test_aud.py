"""What API servers write down: of each deed, by each kind of account, in each namespace, at each of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.api import Body, Response
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.aud import events, no_secret_body
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import POD, without

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.pods.pool import Pool

ACCOUNT = "system:serviceaccount:web:shop"
POLICY = f"rules: [{{level: Metadata, users: ['{ACCOUNT}', kubernetes-admin]}}]"
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get"}
Judged = Callable[[str, Body], bool]
"""Of an API server, by its address, and an event."""


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

    def call(self, method: str, path: str, **options: Any) -> Body:
        """A request that succeeds."""
        return self.request(method, path, **options).body

    def request(
        self, method: str, path: str, *, body: Any = None, headers: dict[str, str] | None = None,
        token: str | None = None, **_: Any,
    ) -> Response:  # fmt: skip
        """An answer, and an event."""
        parts = path.removeprefix("/api/v1/").split("/")
        namespaced = parts[0] == "namespaces"
        namespace, rest = (parts[1], parts[2:]) if namespaced and len(parts) > 2 else ("", parts[-1:])
        if "rolebindings" in path:
            namespace, rest = path.split("/")[5], ["rolebindings"]
        name, below = (rest[1] if len(rest) > 1 else ""), (rest[2] if len(rest) > 2 else "")
        user = "admin" if token is None else token.replace(".", ":")
        about = {"resource": rest[0], "subresource": below, "namespace": namespace, "name": name}
        verb = "list" if method == "GET" and not name else VERBS[method]
        self.log(verb, about, user, (headers or {}).get("User-Agent", ""), body)
        return Response(_status(method, rest[0], name, below, user), self._said(path, namespace, name), 1.0)

    def _said(self, path: str, namespace: str, name: str) -> Body:
        if path.endswith("/token"):
            return {"status": {"token": f"system.serviceaccount.{namespace}.{name}"}}
        return {"status": {"userInfo": {"username": "admin"}}}

    def log(self, verb: str, about: Body, user: str, marker: str, body: Any = None) -> None:
        """Write it down, unless a policy says no."""
        event = {
            "level": "Metadata",
            "stage": "ResponseComplete",
            "verb": verb,
            "objectRef": about,
            "userAgent": marker,
        }
        event["user"] = {"username": user} if user else {}
        if self.world.bodies(self.server, event):
            event["requestObject"] = body
        if not self.world.drops(self.server, event):
            self.world.logs.setdefault(self.server, []).append(json.dumps(event))

    def exec(self, namespace: str, pod: str, argv: Sequence[str], **_: object) -> Completed:
        """A command."""
        self.log(
            "get", {"resource": "pods", "subresource": "exec", "namespace": namespace, "name": pod}, "admin", argv[1]
        )
        return Completed(tuple(argv), 0, b"", b"")

    def list(self, path: str, labelSelector: str = "") -> list[Body]:  # noqa: N803 - as the API has it
        """Namespaces and service accounts."""
        if path == "/api/v1/namespaces":
            assert "!k8ssec.dev/run" == labelSelector
            return [{"metadata": {"name": name}} for name in ("web", "shop")]
        assert "/api/v1/serviceaccounts" == path
        listed = (("web", "default"), ("web", "shop"), ("web", "other"), ("shop", "cart"), ("ours", "default"))
        return [{"metadata": {"namespace": namespace, "name": name}} for namespace, name in listed]

    def path_of(self, manifest: Body, *, collection: bool = False) -> str:
        """Of a Secret or a RoleBinding."""
        group, kind = ("apis/rbac/v1", "rolebindings") if "roleRef" in manifest else ("api/v1", "secrets")
        meta = manifest["metadata"]
        path = f"/{group}/namespaces/{meta['namespace']}/{kind}"
        return path if collection else f"{path}/{meta['name']}"

    def delete(self, _path: str) -> None:
        """Gone."""

    @contextmanager
    def applied(self, *manifests: Body) -> Iterator[tuple[Body, ...]]:
        """There."""
        yield manifests


def _status(method: str, resource: str, name: str, below: str, user: str) -> int:
    if not user:
        return 401
    if below in ("attach", "portforward"):
        return 400
    if user != "admin" and resource == "secrets":
        return 403
    if name == "k8ssec-no-such":
        return 404
    return 201 if method == "POST" else 200


@dataclass(eq=False)
class World:
    """A cluster with two API servers, each with a log; it is its own pool."""

    drops: Judged = lambda _server, _event: False
    bodies: Judged = lambda _server, _event: False
    logs: dict[str, list[str]] = field(default_factory=dict)
    nodes: tuple[Node, ...] = (
        Node("cp0", "10.0.0.2", control_plane=True, container="cp0"),
        Node("cp1", "10.0.0.3", control_plane=True, container="cp1"),
    )

    @property
    def api(self) -> Api:
        """The balancer."""
        return Api(self, "https://balancer:6443")

    def namespace(self, _purpose: str) -> str:
        """One of ours."""
        return "ours"

    def on_node(self, node: Node, argv: Sequence[str], *, stdin: bytes = b"", **_: object) -> Completed:
        """What a process runs with, its policy, and a search of its log."""
        if argv[0] == "sh":
            wanted = stdin.decode().split()
            lines = self.logs.get(f"https://{node.address}:6443", [])
            out = "".join(f"{line}\n" for line in lines if any(each in line for each in wanted))
        elif argv[0] == "pgrep":
            out = "7\n"
        else:
            flags = "kube-apiserver\0--audit-log-path=/a.log\0--audit-policy-file=/p.yaml\0"
            out = flags if argv[1].endswith("cmdline") else POLICY
        return Completed(tuple(argv), 0, out.encode(), b"")

    def of_events(self) -> Judge:
        """What aud-events says."""
        judge = Judge(("server", "deed", "account", "namespace"))
        pod = SimpleNamespace(vantage=SimpleNamespace(namespace="ours", pod="p", container="c"), source=POD)
        events.test_aud_events(judge, cast("Cluster", self), None, cast("Pool", self), lambda: cast("Any", pod))
        return judge

    def of_bodies(self) -> Judge:
        """What aud-no-secret-body says."""
        judge = Judge(("server", "namespace", "deed"))
        no_secret_body.test_aud_no_secret_body(judge, cast("Cluster", self), None, cast("Pool", self))
        return judge


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not in the log at once will not come."""
    for module in (events, no_secret_body):
        monkeypatch.setattr(module, "_SECONDS", -1)


def through(judge: Judge) -> set[str]:
    """The cases that are breached."""
    return {each.case for each in judge.attacks if each.got_through}


def test_all_that_is_written_down_is_held() -> None:
    """By one account of each namespace, and each that the policy names."""
    judge = World().of_events()
    assert (Verdict.HELD, "") == judge.verdict()
    assert {
        "our administrator", "nobody", "an account of ours", "system:serviceaccount:web:default",
        "system:serviceaccount:shop:cart", ACCOUNT,
    } == {dict(each)["account"] for each in judge.tried}  # fmt: skip


@pytest.mark.parametrize(
    ("drops", "cases"),
    [
        (lambda e: e["verb"] == "update", ["replace a Secret"]),
        (lambda e: e["verb"] == "patch", ["change a Secret"]),
        (lambda e: e["objectRef"]["subresource"] == "attach", ["attach to a pod"]),
        (lambda e: e["objectRef"]["subresource"] == "portforward", ["open a port of a pod"]),
        (lambda e: e["objectRef"]["subresource"] == "token", ["ask for an account's token"]),
        (
            lambda e: e["user"].get("username") == ACCOUNT,
            [f"{deed} of namespace web as {ACCOUNT}" for deed in ("ask for Secrets with a token", "look for one's rights with a token")],
        ),
        (
            lambda e: e["objectRef"]["namespace"] == "shop" and e["user"].get("username") == "admin",
            ["read a Secret of namespace shop"],
        ),
        (
            lambda e: e["objectRef"]["namespace"] == "shop" and not e["user"],
            ["be refused without credentials of namespace shop"],
        ),
        (lambda e: not e["user"] and e["objectRef"]["namespace"] == "ours", ["be refused without credentials"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("server", ["10.0.0.2", "10.0.0.3"])
def test_one_deed_without_a_trace_is_enough(server: str, drops: Callable[[Body], bool], cases: list[str]) -> None:
    """A policy leaves out a verb, a resource, a namespace or a user; and each API server has one of its own."""
    judge = World(lambda at, event: server in at and drops(event)).of_events()
    assert Verdict.BREACHED is judge.verdict()[0]
    node = {"10.0.0.2": "cp0", "10.0.0.3": "cp1"}[server]
    assert {f"{case} at the API server on {node}" for case in cases} == through(judge)


@pytest.mark.parametrize("hole", ["open a port of a pod", ACCOUNT, "'namespace': 'shop'", "cp1"])
def test_a_deed_that_is_not_looked_for_is_missed(monkeypatch: pytest.MonkeyPatch, hole: str) -> None:
    """By its name."""
    monkeypatch.setattr(Case, "attack", without(Case.attack, hole))
    verdict, why = World().of_events().verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert hole.split("'")[-2 if "'" in hole else 0] in why.partition("not tried: ")[2]


def test_no_body_of_a_secret_is_held() -> None:
    """In no namespace, at no API server."""
    judge = World().of_bodies()
    assert (Verdict.HELD, "") == judge.verdict()
    assert {"ours", "web", "shop"} == {dict(each)["namespace"] for each in judge.tried}


@pytest.mark.parametrize("server", ["10.0.0.2", "10.0.0.3"])
@pytest.mark.parametrize(("namespace", "verb"), [("shop", "create"), ("ours", "patch"), ("", "create")])
def test_one_body_is_enough(server: str, namespace: str, verb: str) -> None:
    """Of a Secret in one namespace, or of a token's review."""

    def bodies(at: str, event: Body) -> bool:
        return server in at and (event["objectRef"]["namespace"], event["verb"]) == (namespace, verb)

    judge = World(bodies=bodies).of_bodies()
    assert Verdict.BREACHED is judge.verdict()[0]
    what = "a Secret's value" if namespace else "a service account's token"
    assert {f"read {what}"} == {each.what for each in judge.attacks if each.got_through}


@pytest.mark.parametrize("hole", [("shop", "create"), ("ours", "list")])
def test_a_deed_that_is_not_in_the_log_was_not_tried(hole: tuple[str, str]) -> None:
    """Nobody knows what the log would hold of it."""
    judge = World(lambda _, event: (event["objectRef"]["namespace"], event["verb"]) == hole).of_bodies()
    verdict, why = judge.verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert f"namespace {hole[0]}" in why.partition("not tried: ")[2]
