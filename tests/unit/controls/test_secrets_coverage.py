"""Secrets: each that the API has is looked at in etcd, and each place where a value may be is searched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.secrets import at_rest, canary_leak
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.probes.leakage import Search, logs_of, objects_of
from pytest_k8ssec.stack import SAMPLE, Leak, Resource, Secret, Stack
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import POD, evidence, without

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.api import KubeApi
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.pods.pool import Pool

ENCRYPTED = b"k8s:enc:secretbox:v1:run:xyz"


@dataclass
class World:
    """A cluster of two control planes with some Secrets; it is its own API and pool."""

    listed: list[list[str]]
    """What the API lists, each time."""
    in_etcd: dict[str, bytes]
    written: list[str] = field(default_factory=list)
    nodes: tuple[Node, ...] = tuple(Node(f"cp{n}", f"10.0.0.{n}", control_plane=True, container=f"cp{n}") for n in "23")

    @property
    def api(self) -> World:
        """Itself."""
        return self

    def namespace(self, _purpose: str) -> str:
        """One of ours."""
        return "ours"

    def call(self, *_: object, **__: object) -> dict[str, Any]:
        """Names."""
        names = [*(self.listed.pop(0) if len(self.listed) > 1 else self.listed[0]), *self.written]
        pairs = (name.split("/") for name in names)
        return {"items": [{"metadata": {"namespace": namespace, "name": name}} for namespace, name in pairs]}

    def judge(self, monkeypatch: pytest.MonkeyPatch) -> Judge:
        """What secrets-at-rest says."""

        def write(_cluster: object, _node: Node, namespace: str, name: str, _value: str) -> Evidence:
            self.written.append(f"{namespace}/{name}")
            return evidence(Outcome.HTTP, status=200)

        def prefixes(*_: object) -> tuple[dict[str, bytes], Evidence]:
            there = {**self.in_etcd, **dict.fromkeys(self.written, ENCRYPTED)}
            return {f"/registry/secrets/{name}": value for name, value in there.items()}, evidence(Outcome.DONE)

        monkeypatch.setattr(at_rest, "write_secret", write)
        monkeypatch.setattr(at_rest, "raw_value", lambda *_: (ENCRYPTED, evidence(Outcome.DONE)))
        monkeypatch.setattr(at_rest, "raw_prefixes", prefixes)
        judge = Judge(("server", "secret"))
        at_rest.test_secrets_at_rest(judge, cast("Cluster", self), cast("Pool", self))
        return judge


@pytest.mark.parametrize(
    ("listed", "in_etcd", "expected"),
    [
        ([["web/a", "web/b"]], {"web/a": ENCRYPTED, "web/b": ENCRYPTED}, Verdict.HELD),
        ([["web/a", "web/b"]], {"web/a": ENCRYPTED, "web/b": b"k8s\\0"}, Verdict.BREACHED),
        ([["web/a", "web/b"]], {"web/a": ENCRYPTED}, Verdict.INCONCLUSIVE),
        ([["web/a", "web/b"], ["web/a"]], {"web/a": ENCRYPTED}, Verdict.HELD),
        ([["web/a"], ["web/a", "web/b"]], {"web/a": ENCRYPTED}, Verdict.HELD),
    ],
    ids=["encrypted", "plain", "elsewhere", "gone-meanwhile", "new-meanwhile"],
)
def test_each_secret_that_the_api_has_must_be_seen_in_etcd(
    monkeypatch: pytest.MonkeyPatch, listed: list[list[str]], in_etcd: dict[str, bytes], expected: Verdict
) -> None:
    """It may be kept under another prefix, or in another etcd."""
    verdict, why = World(listed, in_etcd).judge(monkeypatch).verdict()
    assert expected is verdict
    assert ("secret web/b" in why) is (expected is Verdict.INCONCLUSIVE)


def test_an_api_server_that_nobody_wrote_through_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have no provider."""
    monkeypatch.setattr(Case, "attack", without(Case.attack, "cp3"))
    verdict, why = World([["web/a"]], {"web/a": ENCRYPTED}).judge(monkeypatch).verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert "not tried: secret a canary of ours, server cp3" in why


class Searched:
    """A cluster that is searched; it is its own API and pool."""

    def __init__(self, *, missed: str = "") -> None:
        self.missed = missed

    @property
    def api(self) -> Searched:
        """Itself."""
        return self

    def attacker(self) -> Any:
        """A pod of ours."""
        return SimpleNamespace(vantage=SimpleNamespace(namespace="ours"), nonce="nonce", source=POD)

    def list(self, path: str, **_: str) -> Sequence[dict[str, Any]]:
        """A pod that has run, in one of the namespaces."""
        status = {"containerStatuses": [{"name": "x", "state": {"running": {"startedAt": "2030"}}}]}
        return [{"metadata": {"name": "x"}, "status": status}] if "/web/" in path else []

    @contextmanager
    def applied(self, *manifests: dict[str, Any]) -> Iterator[tuple[dict[str, Any], ...]]:
        """A marker."""
        yield manifests

    def found(self, *places: str) -> Search:
        """That it is at home, and what was searched."""
        home = ("Secret web/key", Leak("a:key", "data.x", ""))
        nonce = ("log of ours/x", Leak("the nonce of our own pod", "text", ""))
        return Search("all", (home, nonce), places=frozenset(places) - {self.missed})


PLACES = (objects_of(""), objects_of("web"), objects_of("shop"), objects_of("ours")), (logs_of("web"), logs_of("ours"))


@pytest.mark.parametrize("missed", ["", *PLACES[0], *PLACES[1], "the exported state"])
def test_a_place_that_is_not_searched_is_missed(monkeypatch: pytest.MonkeyPatch, missed: str) -> None:
    """By its name; in a namespace where nothing has run there is no log."""
    world = Searched(missed=missed)
    monkeypatch.setattr(canary_leak, "in_objects", lambda *_: world.found(*PLACES[0]))
    monkeypatch.setattr(
        canary_leak,
        "in_logs",
        lambda *_: Search("logs", world.found(*PLACES[1]).finds[1:], places=world.found(*PLACES[1]).places),
    )
    monkeypatch.setattr(canary_leak, "found_all", lambda _: True)
    if missed == "the exported state":
        monkeypatch.setattr(Case, "attack", without(Case.attack, missed))
    namespace = "kubernetes:core/v1:Namespace"
    resources = (
        Resource("urn:a", namespace, "web"), Resource("urn:b", namespace, "shop"),
        Resource("urn:c", "kubernetes:core/v1:Secret", "key", "web"),
    )  # fmt: skip
    secrets = {"a:key": Secret("a-long-secret-value")}
    sample = Leak("a:key", f"{SAMPLE}.x", "")
    stack = Stack("dev", "shop", {}, resources, True, 1.0, cast("KubeApi", None), secrets, exposed=(sample,))
    judge = Judge(("value", "place"))
    canary_leak.test_secrets_canary_leak(judge, cast("Cluster", world), stack, cast("Pool", world), {})
    verdict, why = judge.verdict()
    assert (Verdict.INCONCLUSIVE if missed else Verdict.HELD) is verdict, why
    assert not missed or f"place {missed}, value a:key" in why.partition("not tried: ")[2]
