"""Tokens in pods: where they are looked for, and what comes of a search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.agent.tasks import Tokens
from pytest_k8ssec.agent.vantage import ask
from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.controls import id as family
from pytest_k8ssec.controls.id import token_automount as module
from pytest_k8ssec.controls.id.token_automount import test_id_token_automount as token_automount
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence.causes import Fields
from pytest_k8ssec.stack import ServiceAccount, Workload
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import POD, FakeVantage, without

if TYPE_CHECKING:
    from pytest_k8ssec.agent.tasks import Task
    from pytest_k8ssec.agent.vantage import Answer
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.evidence import Source
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
    asked: list[Task] = field(default_factory=list)
    source: Source = POD

    def ask(self, *tasks: Task) -> list[Answer]:
        """That."""
        self.asked += tasks
        return ask(FakeVantage(lambda _: self.said), tasks)


@dataclass
class World:
    """A cluster with a stack of one workload; it is its own API and its own pool."""

    sidecar: dict[str, Any]
    """What is found in the twin of the sidecar; nothing in the others."""
    status: int = 201
    """What the API server says to a token."""
    service_accounts: tuple[ServiceAccount, ...] = ()
    created_namespaces: tuple[str, ...] = ("web",)
    fails: ProbeError | None = None
    """Why the twin of the sidecar does not start."""

    @property
    def api(self) -> World:
        """Itself."""
        return self

    def request(self, *_: object, **__: object) -> Response:
        """A review."""
        return Response(self.status, {}, 1.0)

    def workloads(self) -> tuple[Workload, ...]:
        """One, of three containers."""
        return (Workload("Deployment", "web", "shop", {}, {"matchLabels": {"app": "shop"}}, _TEMPLATE),)

    def namespace(self, _purpose: str) -> str:
        """One of ours."""
        return "ours"

    def list(self, _path: str, **_: str) -> list[dict[str, Any]]:
        """No live pods."""
        return []

    def lease(self, *specs: PodSpec) -> Sequence[OnePod]:
        """A pod for each."""
        return [OnePod(self._in(spec)) for spec in specs]

    @contextmanager
    def lease_lots(self, *specs: PodSpec) -> Iterator[Iterator[dict[int, OnePod | ProbeError]]]:
        """One for all."""
        yield iter([dict(enumerate(self.lease_each(*specs)))])

    def lease_each(self, *specs: PodSpec) -> Sequence[OnePod | ProbeError]:
        """The same, but for what does not start."""
        return [
            self.fails if self.fails and "volumeMounts" in _main(spec) else OnePod(self._in(spec)) for spec in specs
        ]

    def _in(self, spec: PodSpec) -> dict[str, Any]:
        if spec.automount:
            return _FOUND
        return self.sidecar if "volumeMounts" in _main(spec) else _NONE


def _main(spec: PodSpec) -> dict[str, Any]:
    (main, *_) = spec.template["spec"]["containers"] if spec.template else ({},)
    return dict(main)


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


def test_where_the_workload_says_nothing_its_account_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where its live pods have the token as a volume, and a twin of one says that it wants no other."""
    live = {"spec": {**_TEMPLATE["spec"], "serviceAccountName": "shop", "automountServiceAccountToken": False}}
    monkeypatch.setattr(module, "container_templates", lambda *_: {"sidecar": live})
    judge, world = Judge(), World(_FOUND)
    monkeypatch.setattr(World, "_in", lambda *_: _FOUND)
    token_automount(judge, cast("Cluster", world), cast("Stack", world), cast("Pool", world), {})
    blamed = {
        (each.kind, each.name)
        for attack in judge.cases[-1].attacks
        for each in attack.causes
        if isinstance(each, Fields)
    }
    assert blamed == {("Deployment", "shop"), ("ServiceAccount", "shop")}


@pytest.mark.parametrize("hole", ["a bare pod in web", "set-up"])
def test_one_that_nobody_looks_from_is_missed(monkeypatch: pytest.MonkeyPatch, hole: str) -> None:
    """By its name; all of them are tried as they are."""
    judge, world = Judge(("pod", "container")), World(_NONE)
    token_automount(judge, cast("Cluster", world), cast("Stack", world), cast("Pool", world), {})
    assert (Verdict.HELD, "") == judge.verdict()
    assert 4 == len(judge.tried)
    judge = Judge(("pod", "container"))
    monkeypatch.setattr(Case, "attack", without(Case.attack, hole))
    token_automount(judge, cast("Cluster", world), cast("Stack", world), cast("Pool", world), {})
    verdict, why = judge.verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert hole in why.partition("not tried: ")[2]


@pytest.mark.parametrize("elsewhere", [Verdict.INCONCLUSIVE, Verdict.BREACHED])
def test_a_twin_that_does_not_start_is_one_case(monkeypatch: pytest.MonkeyPatch, elsewhere: Verdict) -> None:
    """The other containers are searched all the same; what is found there is a breach."""
    judge, world = Judge(), World(_NONE, fails=ProbeError("pod web/t: is not running", details="FailedMount: no claim"))
    world.created_namespaces = () if elsewhere is Verdict.INCONCLUSIVE else ("web",)
    if elsewhere is Verdict.BREACHED:
        monkeypatch.setattr(World, "_in", lambda *_: _FOUND)
    token_automount(judge, cast("Cluster", world), cast("Stack", world), cast("Pool", world), {})
    verdict, why = judge.verdict()
    assert elsewhere is verdict
    absent = next(case for case in judge.cases if case.name.endswith("container sidecar"))
    assert "FailedMount: no claim" in absent.verdict()[1]
    held = [case.name for case in judge.cases if case.verdict()[0] is Verdict.HELD]
    assert ["main", "set-up"] == [name.rpartition(" ")[2] for name in held] or elsewhere is Verdict.BREACHED
    assert "sidecar" in why or elsewhere is Verdict.BREACHED


def test_a_live_pod_of_another_account_is_no_declared_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """The template's account has a reason to reach the API; that of the pods that still run may have none."""
    template = {"spec": {**_TEMPLATE["spec"], "serviceAccountName": "client"}}
    live = {
        "metadata": {"name": "old-1"},
        "status": {"phase": "Running"},
        "spec": {**_TEMPLATE["spec"], "serviceAccountName": "old"},
    }
    monkeypatch.setattr(
        World, "workloads", lambda _: (Workload("DaemonSet", "web", "x", {}, {"matchLabels": {"app": "x"}}, template),)
    )
    monkeypatch.setattr(World, "list", lambda *_, **__: [live])
    world = World(_FOUND)
    world.service_accounts = (ServiceAccount("web", "client", api_client="asks"),)
    judge = Judge()
    token_automount(judge, cast("Cluster", world), cast("Stack", world), cast("Pool", world), {})
    assert Verdict.BREACHED is judge.verdict()[0]
    names = [case.name for case in judge.cases]
    assert "DaemonSet web/x, container sidecar of pod old-1" in names
    assert "DaemonSet web/x, container sidecar" not in names


@pytest.mark.parametrize(
    ("free", "expected"), [(_FOUND, Verdict.HELD), (_NONE, Verdict.INCONCLUSIVE)], ids=["shown", "not-shown"]
)
def test_a_whole_node_is_searched_where_tokens_are(
    monkeypatch: pytest.MonkeyPatch, free: dict[str, Any], expected: Verdict
) -> None:
    """A pod that may read them must find some there; what was not read is told."""
    volumes = [
        {"name": name, "hostPath": {"path": path}}
        for name, path in (
            ("root", "/"),
            ("var", "/var/"),
            ("etc", "/etc"),
            ("keys", "/etc/kubernetes"),
            ("data", "/srv"),
        )
    ]
    mounts = [{"name": each["name"], "mountPath": f"/host/{each['name']}"} for each in volumes]
    template = {"spec": {"containers": [{"name": "agent", "volumeMounts": mounts}], "volumes": volumes}}
    agent = Workload("DaemonSet", "web", "x", {}, {"matchLabels": {"app": "x"}}, template)
    monkeypatch.setattr(World, "workloads", lambda _: (agent,))
    seen, root = OnePod({**_NONE, "partly": ["/host/root"]}), OnePod(free)
    monkeypatch.setattr(World, "lease_each", lambda *_: [seen])
    monkeypatch.setattr(family, "unrestricted_pods", lambda *_: {POD.node: root})
    judge, world = Judge(), World(_NONE, created_namespaces=())
    token_automount(judge, cast("Cluster", world), cast("Stack", world), cast("Pool", world), {})
    assert expected is judge.verdict()[0]
    (asked,), (shown,) = seen.asked, root.asked
    assert isinstance(asked, Tokens)
    assert isinstance(shown, Tokens)
    assert {"/host/root", "/host/var"} == asked.node.keys(), "a small folder is read as a whole"
    assert "/host/var/lib/kubelet/pki" in asked.node["/host/var"]
    pods = "/var/lib/kubelet/pods/*/volumes/kubernetes.io~projected"
    assert f"/host/root{pods}" in asked.node["/host/root"]
    assert f"/node{pods}" in shown.node["/node"]
    assert any("of the node's files in /host/root not all were read" in note for note in judge.notes)
