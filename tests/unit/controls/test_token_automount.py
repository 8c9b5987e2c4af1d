"""Tokens in pods: where they are looked for, and what comes of a search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.agent.vantage import ask
from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.controls.id.token_automount import test_id_token_automount as token_automount
from pytest_k8ssec.stack import Workload
from pytest_k8ssec.verdict import Judge, Verdict
from tests.unit.fakes import FakeVantage

if TYPE_CHECKING:
    from pytest_k8ssec.agent.tasks import Task
    from pytest_k8ssec.agent.vantage import Answer
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.pods.manifests import PodSpec
    from pytest_k8ssec.pods.pool import Pool
    from pytest_k8ssec.stack import Stack

_TEMPLATE = {
    "spec": {
        "containers": [{"name": "main"}, {"name": "sidecar", "volumeMounts": [{"name": "t", "mountPath": "/t"}]}],
        "initContainers": [{"name": "set-up"}],
    },
}
_ONE = {"path": "/t/token", "token": "a.b.c", "claims": {"sub": "system:serviceaccount:web:web"}}
_FOUND, _NONE = {"outcome": "done", "tokens": [_ONE]}, {"outcome": "absent", "tokens": []}
_NOT_ALL = {"outcome": "error", "tokens": [_ONE]}


@dataclass
class OnePod:
    """A pod whose agent always says the same."""

    said: dict[str, Any]

    def ask(self, *tasks: Task) -> list[Answer]:
        """That."""
        return ask(FakeVantage(lambda _: self.said), tasks)


@dataclass
class World:
    """A cluster with a stack of one workload; it is its own API and its own pool."""

    sidecar: dict[str, Any]
    """What is found in the twin of the sidecar; nothing in the others."""
    status: int = 201
    """What the API server says to a token."""
    service_accounts: tuple[()] = ()
    created_namespaces: tuple[str, ...] = ("web",)

    @property
    def api(self) -> World:
        """Itself."""
        return self

    def request(self, *_: object, **__: object) -> Response:
        """A review."""
        return Response(self.status, {}, 1.0)

    def workloads(self) -> tuple[Workload, ...]:
        """One, of three containers."""
        return (Workload("Deployment", "web", "shop", {}, {}, _TEMPLATE),)

    def namespace(self, _purpose: str) -> str:
        """One of ours."""
        return "ours"

    def lease(self, *specs: PodSpec) -> list[OnePod]:
        """A pod for each."""
        return [OnePod(self._in(spec)) for spec in specs]

    def _in(self, spec: PodSpec) -> dict[str, Any]:
        if spec.automount:
            return _FOUND
        (main, *_) = spec.template["spec"]["containers"] if spec.template else ({},)
        return self.sidecar if "volumeMounts" in main else _NONE


@pytest.mark.parametrize(
    ("sidecar", "status", "expected"),
    [
        (_NONE, 201, Verdict.HELD),
        (_FOUND, 201, Verdict.BREACHED),
        (_FOUND, 401, Verdict.HELD),
        (_FOUND, 403, Verdict.INCONCLUSIVE),
        (_NOT_ALL, 201, Verdict.BREACHED),
        (_NOT_ALL, 401, Verdict.INCONCLUSIVE),
    ],
    ids=["none", "living", "dead", "odd", "living-and-more", "dead-and-more"],
)
def test_each_container_is_searched(sidecar: dict[str, Any], status: int, expected: Verdict) -> None:
    """Not the first one only; and a search that passed over something has found no absence."""
    judge, world = Judge(), World(sidecar, status)
    token_automount(judge, cast("Cluster", world), cast("Stack", world), cast("Pool", world), {})
    assert expected is judge.verdict()[0]
    assert [
        "a bare pod in web",
        *(f"Deployment web/shop, container {name}" for name in ("main", "sidecar", "set-up")),
    ] == [case.name for case in judge.cases]
