"""What a container finds: an answer counts as a refusal only where a canary of ours got through at the same time."""

from __future__ import annotations

import base64
import json
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from pytest_k8ssec.agent.remote import agent
from pytest_k8ssec.agent.tasks import HostFile, Task, Writable
from pytest_k8ssec.agent.vantage import Answer
from pytest_k8ssec.attack.container import Container, Look, StackListener
from pytest_k8ssec.attack.graph import Edge, Kind, Status, Vertex
from pytest_k8ssec.attack.inside import look, look_as_canary, of_look
from pytest_k8ssec.attack.meter import Bounds, Meter
from pytest_k8ssec.attack.rights import ANYBODY
from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.probes.certificates import certificate_authority
from pytest_k8ssec.probes.identities import Identity
from pytest_k8ssec.probes.planted_files import Planted
from tests.unit.attack.graphs import ACCOUNT, INFERRED, KEY, NODE, PROVEN, REFUTED, UNKNOWN, FakeApi, FakeCluster

SPACES = {"ipc": "ipc:[1]", "mnt": "mnt:[1]", "net": "net:[1]", "pid": "pid:[1]"}
OWN = {kind: name.replace("1", "2") for kind, name in SPACES.items()}
TRACES = Planted(("/.k8ssec-a", "/var/lib/kubelet/.k8ssec-a"), "nonce", SPACES, {})
TEMPLATE: dict[str, Any] = {
    "spec": {
        "serviceAccountName": "shop",
        "volumes": [{"name": "key", "secret": {"secretName": "key"}}],
        "containers": [
            {
                "name": "shop",
                "volumeMounts": [{"name": "key", "mountPath": "/key"}],
                "env": [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "password", "key": "p"}}}],
            }
        ],
    }
}
CLOSED: dict[str, Any] = {"outcome": "no-answer"}
"""What a container without any weakness is told, where nothing else is said."""
SAFE: dict[str, dict[str, Any]] = {
    "tokens": {"outcome": "absent"},
    "privileges": {"outcome": "done", "facts": {"uid": 65532, "effective": 0, "no_new_privileges": True, "seccomp": 2}},
    "which-file": {"outcome": "done", "facts": {"file": "1:1"}},
    "readable": {"outcome": "done"},
    "host-file": {"outcome": "absent"},
    "host-socket": {"outcome": "absent"},
    "namespaces": {"outcome": "done", "facts": OWN},
    "writable": {"outcome": "absent"},
}
FREE: dict[str, dict[str, Any]] = {
    "tcp": {"outcome": "open"},
    "http": {"outcome": "http", "status": 401},
    "host-file": {"outcome": "done", "facts": {"writable": True}},
    "host-socket": {"outcome": "done"},
    "namespaces": {"outcome": "done", "facts": SPACES},
    "writable": {"outcome": "done"},
}
NO_ONE = Source("pod", "web/twin", "10.244.0.9", "k8ssec-1-worker")


class FakePod:
    """A pod that answers each operation in one way, but where a task's own words are given."""

    vantage = type("Vantage", (), {"namespace": "web"})

    def __init__(self, answers: dict[str, dict[str, Any]], node: str = NO_ONE.node) -> None:
        self.answers = answers
        self.source = replace(NO_ONE, node=node)

    def ask(self, *tasks: Task) -> list[Answer]:
        """Its answers."""
        return [self._answer(task) for task in tasks]

    def _answer(self, task: Task) -> Answer:
        raw = self.answers.get(str(task)) or self.answers.get(task.specification()["op"], CLOSED)
        evidence = Evidence(
            NO_ONE, str(task), Outcome(raw["outcome"]), raw.get("detail", ""), status=raw.get("status"),
            facts=raw.get("facts", {}),
        )  # fmt: skip
        return Answer(evidence, raw)


API = StackListener(Vertex(Kind.ENDPOINT, "pay/api:8080"), "10.244.0.5", 8080)
ROOT = {"outcome": "done", "facts": {**SAFE["privileges"]["facts"], "uid": 0}}


def walked(
    found: dict[str, dict[str, Any]] | None = None,
    shown: dict[str, dict[str, Any]] | None = None,
    template: dict[str, Any] = TEMPLATE,
    node: str = "k8ssec-1-worker",
    traces: Planted = TRACES,
    listening: StackListener = API,
) -> dict[str, list[Edge]]:
    """The edges by kind, of a container that is safe but for what is said."""
    cluster = FakeCluster(FakeApi())
    scene = cluster.scene()
    pod = cast("Pod", FakePod({**SAFE, **(found or {})}, node))
    canary = look_as_canary(cast("Pod", FakePod({**FREE, **(shown or {})}, node)), scene, traces)
    container = Container("web/shop/shop", template, pod, traces, scene, [listening])
    looked: Look = look(container, canary)
    edges: dict[str, list[Edge]] = {}
    identities: dict[str, Identity] = {}
    for edge in of_look(looked, Meter(Bounds(per_second=1e6)), identities):
        edges.setdefault(edge.kind.name, []).append(edge)
    return edges


def statuses(edges: list[Edge]) -> set[Status]:
    """How these edges are known."""
    return {edge.status for edge in edges}


def test_a_container_without_weaknesses_reaches_nothing() -> None:
    """All is refuted but what it mounts and has in its environment."""
    found = walked()
    opened = {edge.kind.name for edges in found.values() for edge in edges if edge.open}
    assert {"volume-discover", "secret-volume", "secret-variable"} == opened
    assert not [edge for edges in found.values() for edge in edges if edge.status is UNKNOWN]
    assert [KEY] == [edge.target for edge in found["secret-volume"]]


@pytest.mark.parametrize(
    ("operation", "answer", "kind", "expected"),
    [
        ("tcp", {"outcome": "open"}, "endpoint", PROVEN),
        ("http", {"outcome": "http", "status": 404}, "kubelet-anonymous", PROVEN),
        ("http", {"outcome": "http", "status": 200}, "etcd-read", PROVEN),
        ("http", {"outcome": "http", "status": 201}, "bootstrap-token", PROVEN),
        ("http", {"outcome": "http", "status": 403}, "kubelet-anonymous", REFUTED),
        ("http", {"outcome": "http", "status": 500}, "kubelet-anonymous", UNKNOWN),
        ("http", {"outcome": "tls-alert"}, "etcd-read", REFUTED),
        ("host-file", {"outcome": "done", "facts": {"writable": True}}, "host-read", PROVEN),
        ("host-file", {"outcome": "done", "facts": {"writable": True}}, "host-write", INFERRED),
        ("host-file", {"outcome": "done", "facts": {"writable": False}}, "host-write", REFUTED),
        ("host-file", {"outcome": "done", "facts": {"writable": True}}, "token-paths", REFUTED),
        ("host-socket", {"outcome": "done"}, "cri-socket", PROVEN),
        ("host-socket", {"outcome": "denied"}, "cri-socket", INFERRED),
        ("writable", {"outcome": "done"}, "core-pattern", INFERRED),
    ],
)
def test_each_weakness_is_an_edge(operation: str, answer: dict[str, Any], kind: str, expected: Status) -> None:
    """One thing that is open, and how it is known."""
    assert {expected} == statuses(walked({operation: answer})[kind])


def test_capabilities_are_inferred_to_lead_to_the_node() -> None:
    """To try them would change the node; in its process namespace they lead into its processes."""
    every = {**SAFE["privileges"]["facts"], "uid": 0, "effective": (1 << 41) - 1}
    free = {"privileges": {"outcome": "done", "facts": every}}
    found = walked(free)
    assert {INFERRED} == statuses(found["privileged-mount"]) == statuses(found["module-load"])
    assert {REFUTED} == statuses(found["nsenter"]) == statuses(found["ptrace"])
    found = walked({**free, "namespaces": {"outcome": "done", "facts": SPACES}})
    assert {INFERRED} == statuses(found["nsenter"]) == statuses(found["ptrace"])
    assert {PROVEN} == statuses(found["host-namespace"])
    root = walked({**free, "host-file": {"outcome": "done", "facts": {"writable": False}}})
    assert PROVEN in statuses(root["token-paths"])
    assert {REFUTED} == statuses(root["host-write"])
    root = walked({**free, "host-file": {"outcome": "done", "facts": {"writable": True}}})
    assert {PROVEN} == statuses(root["host-write"])


def test_who_may_open_files_by_their_handles_reads_the_keys_of_the_node() -> None:
    """DAC_READ_SEARCH reaches past the mount namespace: it needs no mount, and no root."""
    for effective, expected in ((1 << 2, {NODE}), (0b11111011, set())):
        facts = {**SAFE["privileges"]["facts"], "effective": effective}
        found = walked({"privileges": {"outcome": "done", "facts": facts}})
        assert expected == {edge.target for edge in found["token-paths"] if edge.status is INFERRED}


def mounting(path: str) -> dict[str, Any]:
    """The template of a container that has a part of its node at /host."""
    volumes, mounts = [{"name": "host", "hostPath": {"path": path}}], [{"name": "host", "mountPath": "/host"}]
    return {"spec": {"volumes": volumes, "containers": [{"name": "shop", "volumeMounts": mounts}]}}


@pytest.mark.parametrize("folder", ["/etc/kubernetes", "/etc/kubernetes/pki", "/var/lib/etcd"])
def test_root_beside_the_keys_of_a_control_plane_has_it(folder: str) -> None:
    """Also where it may only read; on a worker there are none, and who is not root reads none."""
    traces = Planted(("/.k8ssec-a", f"{folder}/.k8ssec-a"), "nonce", SPACES, {})
    task = str(HostFile((f"{folder}/.k8ssec-a",), "nonce"))
    seen = {task: {"outcome": "done", "facts": {"writable": False}}}
    master = "k8ssec-1-control-plane"
    found = walked({**seen, "privileges": ROOT}, node=master, traces=traces)
    assert [(Vertex(Kind.NODE, "control-plane"), PROVEN)] == [
        (edge.target, edge.status) for edge in found["token-paths"] if edge.open
    ]
    assert {REFUTED} == statuses(walked(seen, node=master, traces=traces)["token-paths"])
    assert PROVEN not in statuses(walked({**seen, "privileges": ROOT}, traces=traces)["token-paths"])


def test_root_with_a_single_file_among_the_keys_has_them() -> None:
    """Nothing can be planted beside it, so it is known by its inode."""
    path = "/etc/kubernetes/admin.conf"
    traces = Planted(TRACES.paths, "nonce", SPACES, {path: "1:1"})
    found = walked({"privileges": ROOT}, template=mounting(path), node="k8ssec-1-control-plane", traces=traces)
    assert PROVEN in statuses(found["token-paths"])


@pytest.mark.parametrize(
    ("path", "where"),
    [("/proc", "/host"), ("/", "/host/proc"), ("/proc/sys/kernel/core_pattern", None)],
)
def test_the_core_pattern_is_looked_for_through_mounts(path: str, where: str | None) -> None:
    """The node's own is writable there, though the container's is not."""
    pattern = f"{where}/sys/kernel/core_pattern" if where else "/host"
    writable = {str(Writable(pattern)): {"outcome": "done"}}
    assert INFERRED in statuses(walked(writable, template=mounting(path))["core-pattern"])
    assert {REFUTED} == statuses(walked(template=mounting(path))["core-pattern"])
    assert {REFUTED} == statuses(walked(writable, template=mounting("/var/log"))["core-pattern"])


@pytest.mark.parametrize("operation", [*SAFE, "tcp"])
def test_a_probe_that_broke_refutes_nothing(operation: str) -> None:
    """What it was to tell is unknown, and nothing else becomes open by it."""
    found = [edge for edges in walked({operation: {"outcome": "error"}}).values() for edge in edges]
    assert any(edge.status is UNKNOWN for edge in found)
    assert not any(edge.evidence.broken and edge.status in (REFUTED, PROVEN, INFERRED) for edge in found)


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("host-file", "host-read"),
        ("host-socket", "cri-socket"),
        ("namespaces", "host-namespace"),
        ("writable", "core-pattern"),
    ],
)
def test_what_the_canary_does_not_get_either_is_unknown(operation: str, kind: str) -> None:
    """That an attack would have been seen to succeed is shown, or nothing is said."""
    found = walked(shown={operation: {"outcome": "absent"}})
    assert {UNKNOWN} == statuses(found[kind])


def test_a_door_that_nobody_gets_through_is_none() -> None:
    """Nothing listens there: no edge, neither refuted nor open; what listens by its socket is refuted."""
    found = walked(shown={"tcp": {"outcome": "refused"}})
    assert ["pay/api:8080"] == [edge.target.name for edge in found["endpoint"]]
    assert {REFUTED} == statuses(found["endpoint"])


@pytest.mark.parametrize("kind", ["kubelet-anonymous", "etcd-read", "bootstrap-token"])
@pytest.mark.parametrize("outcome", ["no-answer", "refused", "unreachable"])
def test_a_question_without_an_answer_is_unknown_where_the_door_is_open(kind: str, outcome: str) -> None:
    """What let itself be connected to and then said nothing may say something to the next one."""
    assert {UNKNOWN} == statuses(walked({"tcp": {"outcome": "open"}, "http": {"outcome": outcome}})[kind])
    assert kind not in walked({"http": {"outcome": outcome}})


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        ({"outcome": "http", "status": 200}, PROVEN),
        ({"outcome": "http", "status": 400}, UNKNOWN),
        ({"outcome": "no-answer"}, UNKNOWN),
    ],
)
def test_that_etcd_does_not_speak_tls_refuses_nothing(plain: dict[str, Any], expected: Status) -> None:
    """It is asked in plain text as well, and only an answer counts."""
    error = ssl.SSLError()
    error.reason = "WRONG_VERSION_NUMBER"
    spoken = agent.failed(error)
    assert "closed" == spoken["outcome"]
    question = "10.0.0.2:2379/v3/kv/range without a certificate"
    answers = {f"POST https://{question}": spoken, f"POST http://{question}": plain}
    assert {expected} == statuses(walked({"tcp": {"outcome": "open"}, **answers})["etcd-read"])


@pytest.mark.parametrize(("status", "expected"), [(201, PROVEN), (401, REFUTED), (500, UNKNOWN)])
def test_a_token_counts_if_the_api_server_takes_it(status: int, expected: Status) -> None:
    """A token that was found is shown to it; what the token says of itself is not enough."""
    cluster = FakeCluster(FakeApi(statuses={"POST /apis/authentication.k8s.io/v1/selfsubjectreviews": status}))
    value = "x.y.z" * 9
    token = {"path": "/t", "token": value, "claims": {"sub": ACCOUNT.name}}
    pod = cast("Pod", FakePod({**SAFE, "tokens": {"outcome": "done", "tokens": [token]}}))
    container = Container("web/shop/shop", TEMPLATE, pod, TRACES, cluster.scene(), [])
    canary = look_as_canary(cast("Pod", FakePod(FREE)), container.scene, TRACES)
    identities: dict[str, Identity] = {}
    edges = list(of_look(look(container, canary), Meter(Bounds()), identities))
    (stolen,) = (edge for edge in edges if edge.kind.name == "token-steal")
    assert expected is stolen.status
    assert (expected is PROVEN) is bool(identities)
    assert value not in repr(stolen)


def jwt(account: str) -> str:
    """A token of a service account."""
    payload = base64.urlsafe_b64encode(json.dumps({"sub": f"system:serviceaccount:{account}"}).encode())
    return f"eyJhbGciOiJSUzI1NiJ9.{payload.decode().rstrip('=')}.c2ln"


def with_variable(value: str = "", **source: Any) -> dict[str, Any]:
    """The template, with one variable more."""
    container = TEMPLATE["spec"]["containers"][0]
    variable = {"name": "HELD", "valueFrom": source} if source else {"name": "HELD", "value": value}
    return {"spec": {**TEMPLATE["spec"], "containers": [{**container, "env": [variable]}]}}


@pytest.mark.parametrize(
    ("status", "expected"), [(201, [PROVEN]), (401, []), (500, [UNKNOWN])], ids=["taken", "refused", "odd"]
)
@pytest.mark.parametrize("where", ["variable", "packed", "args", "command"])
def test_what_it_holds_counts_if_the_api_server_takes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int, expected: list[Status], where: str
) -> None:
    """In a variable, or in base64 in a file: what is refused is no edge, as it may be an innocent text."""
    monkeypatch.setattr(FakeApi, "ca_file", tmp_path / "ca", raising=False)
    (tmp_path / "ca").write_text("PEM")

    def request(self: FakeApi, _method: str, path: str, **_: Any) -> Response:
        body = {"status": {"userInfo": {"username": "kubernetes-admin"}}}
        return Response(status, body, 1.0) if path.endswith("selfsubjectreviews") else Response(404, {}, 1.0)

    monkeypatch.setattr(FakeApi, "request", request)
    packed = agent.pieces(base64.b64encode(jwt("web:other").encode()), "/key/x")
    found = {"tokens": {"outcome": "absent", "pieces": packed}} if where == "packed" else {}
    template = with_variable(jwt("web:other") if where == "variable" else "x")
    if where in ("args", "command"):
        template["spec"]["containers"][0][where] = ["run", f"--token={jwt('web:other')}"]
    edges = walked(found, template=template)
    held = edges.get("credential-use", [])
    assert expected == [each.status for each in held]
    assert all((each.target.name == "kubernetes-admin") is (each.status is PROVEN) for each in held)


@pytest.mark.parametrize(("read", "expected"), [(True, PROVEN), (False, UNKNOWN)])
def test_who_has_the_key_of_the_ca_is_anybody(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    read: bool,
    expected: Status,
) -> None:
    """What it signs is shown; where nobody could read by which keys the API server knows its clients, that is unknown."""
    authority = certificate_authority("kubernetes")
    monkeypatch.setattr(FakeApi, "ca_file", tmp_path / "ca", raising=False)
    (tmp_path / "ca").write_text(authority.certificate if read else "PEM")

    def request(self: FakeApi, _method: str, path: str, **_: Any) -> Response:
        if path.endswith("selfsubjectreviews"):
            return Response(201, {"status": {"userInfo": {"username": "k8ssec-nobody"}}}, 1.0)
        return Response(404 if read else 403, {}, 1.0)

    monkeypatch.setattr(FakeApi, "request", request)
    monkeypatch.setattr(FakeApi, "as_holder_of", lambda self, _pem: self, raising=False)
    (edge,) = walked(template=with_variable(authority.key))["credential-use"]
    assert (ANYBODY, expected) == (edge.target, edge.status)


def test_a_variable_that_nobody_may_read_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hold anything."""
    monkeypatch.setattr(FakeApi, "request", lambda *_, **__: Response(403, {}, 1.0))
    edges = walked(template=with_variable(secretKeyRef={"name": "password", "key": "p"}))
    assert [UNKNOWN] == [each.status for each in edges["credential-use"]]


@pytest.mark.parametrize(
    ("outcome", "expected"), [("open", [PROVEN]), ("no-answer", []), ("refused", []), ("error", [UNKNOWN])]
)
def test_a_listener_of_udp_is_reached_where_it_answers(outcome: str, expected: list[Status]) -> None:
    """What ignores a datagram may ignore it from everybody: nothing is said of it."""
    dns = StackListener(Vertex(Kind.ENDPOINT, "pay/dns:53/UDP"), "10.244.0.6", 53, "UDP")
    found = walked({"udp": {"outcome": outcome}}, listening=dns).get("endpoint", [])
    assert expected == [edge.status for edge in found if edge.target == dns.vertex]
