"""What is made anew in each copy, and how its containers are started."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_k8ssec.clusters.bootstrap_tokens import PUBLIC_BOOTSTRAP_TOKEN, TOKEN_SECRETS
from pytest_k8ssec.clusters.frozen import freeze, thaw
from pytest_k8ssec.clusters.frozen.shelf import Token
from pytest_k8ssec.clusters.frozen.variant import CannotThaw, Variant
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.clusters.kind import KindCluster
from pytest_k8ssec.clusters.kindconfig import PACKAGED, KindConfig
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.machine.ledger import Run, read_run
from pytest_k8ssec.machine.tools import Image
from pytest_k8ssec.secrecy.redact import redact
from tests.unit.clusters.frozen import put_entry
from tests.unit.machine.dockers import FakeDocker

GROUPS = {"auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token"}


class Api:
    """An API server with one Secret and one node; writes down what is deleted and patched."""

    def __init__(self, token: str) -> None:
        ident, _, secret = token.partition(".")
        said = {"token-id": ident, "token-secret": secret, "expiration": "soon", **GROUPS}
        self.secret = {
            "metadata": {"name": f"bootstrap-token-{ident}"},
            "data": {name: base64.b64encode(value.encode()).decode() for name, value in said.items()},
        }
        self.done: list[tuple[str, Any]] = []

    def list(self, _path: str, **_: str) -> list[dict[str, Any]]:
        """The Secret."""
        return [self.secret]

    def get(self, _path: str) -> dict[str, Any]:
        """The node."""
        return {"spec": {"taints": [{"key": "own", "effect": "NoSchedule"}]}}

    def delete(self, path: str) -> None:
        """Remove something."""
        self.done.append((path, None))

    def call(self, _method: str, path: str, *, body: Any, **_: object) -> None:
        """Change something."""
        self.done.append((path, body))


def cluster(api: Api) -> KindCluster:
    """One with that API server."""
    return cast("KindCluster", SimpleNamespace(api=api))


def test_a_token_gets_another_id_and_secret() -> None:
    """Of what was frozen nothing is left but what it was for; the new one is hidden in all that leaves."""
    api = Api("0a0a0a.0123456789abcdef")
    (token,) = freeze._forget_tokens(cluster(api))
    assert [(f"{TOKEN_SECRETS}/bootstrap-token-0a0a0a", None)] == api.done
    assert Token(public=False, fields=GROUPS) == token
    one, two = thaw._secret(token)["stringData"], thaw._secret(token)["stringData"]
    for field in ("token-id", "token-secret"):
        assert len({one[field], two[field], base64.b64decode(api.secret["data"][field]).decode()}) == 3
    assert one["token-secret"] not in redact(f"x {one['token-secret']}")
    assert GROUPS.items() < one.items()
    assert one["expiration"] != "soon"


def test_the_token_that_everybody_knows_stays_as_kind_makes_it() -> None:
    """A copy without it would look safer than the cluster is."""
    (token,) = freeze._forget_tokens(cluster(Api(PUBLIC_BOOTSTRAP_TOKEN)))
    made = thaw._secret(token)
    assert PUBLIC_BOOTSTRAP_TOKEN == f"{made['stringData']['token-id']}.{made['stringData']['token-secret']}"
    assert ("bootstrap-token-abcdef", "kube-system") == (made["metadata"]["name"], made["metadata"]["namespace"])


def test_a_node_that_is_frozen_keeps_its_taints() -> None:
    """A patch replaces their list."""
    api = Api("0a0a0a.0123456789abcdef")
    freeze._mark_unready(cluster(api), Node("worker", "10.0.0.3", control_plane=False))
    status, spec = (body for _, body in api.done)
    assert [("Ready", "False")] == [(each["type"], each["status"]) for each in status["status"]["conditions"]]
    assert ["own", "node.kubernetes.io/not-ready"] == [each["key"] for each in spec["spec"]["taints"]]


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        (("127.0.0.1", "6443", "6443/tcp"), "127.0.0.1:6443:6443/tcp"),
        (("::1", "80", "30080/tcp"), "[::1]:80:30080/tcp"),
    ],
)
def test_a_port_that_the_configuration_names_is_that_port(port: tuple[str, str, str], expected: str) -> None:
    """As docker takes it."""
    assert expected == thaw._published(*port)


def test_any_other_port_is_a_free_one() -> None:
    """And a fixed one: docker would choose another at each start."""
    address, port, target = thaw._published("127.0.0.1", "", "6443/tcp").split(":")
    assert ("127.0.0.1", "6443/tcp") == (address, target)
    assert int(port) > 0


def test_only_ports_that_are_named_are_kept() -> None:
    """Those that kind chose belong to the cluster that was frozen."""
    config = KindConfig.load(PACKAGED)
    config.document["nodes"][0]["extraPortMappings"] = [{"containerPort": 30080, "hostPort": 8080}]
    told = {
        "6443/tcp": [{"HostIp": "127.0.0.1", "HostPort": "34001"}],
        "30080/tcp": [{"HostIp": "", "HostPort": "8080"}],
    }
    ports = freeze._ports({"HostConfig": {"PortBindings": told}}, freeze._fixed_ports(config))
    assert [("127.0.0.1", "", "6443/tcp"), ("", "8080", "30080/tcp")] == list(ports)


def test_what_is_mounted_comes_from_the_run_that_thaws() -> None:
    """Its copy of the configuration's files, and its mark; what is the machine's stays."""
    places = {freeze.WORKDIR_PLACE: "/new/cluster", freeze.MARK_PLACE: "/new/mark"}
    binds = ["@workdir/mounts/a:/a:ro", "@mark:/kind/k8ssec-run:ro", "/lib/modules:/lib/modules:ro"]
    assert ["/new/cluster/mounts/a:/a:ro", "/new/mark:/kind/k8ssec-run:ro", "/lib/modules:/lib/modules:ro"] == [
        thaw._placed(bind, places) for bind in binds
    ]


def test_what_can_not_be_changed_is_known_before_anything_is_made(fake_docker: FakeDocker, tmp_path: Path) -> None:
    """No container is there to be removed, and nothing is in the run's ledger."""
    entry, run = put_entry(fake_docker, "aa"), Run.begin()
    changes = Variant(({"kind": "KubeletConfiguration", "readOnlyPort": 1},))
    broken = replace(entry, nodes=(replace(entry.nodes[0], kubelet="kind: ["),))
    image = Image("image", "v1", "PATH")
    with pytest.raises(CannotThaw):
        thaw.thaw_cluster(
            broken, KindConfig.load(PACKAGED), run, name="dev", workdir=tmp_path, probe_image=image,
            origin="packaged", changes=changes,
        )  # fmt: skip
    assert () == read_run(run.directory).announced
    run.end()


@pytest.mark.parametrize(
    ("ready", "running", "probe", "gated", "expected"),
    [
        (True, 2, "readinessProbe", False, True),
        (True, 2, "", False, True),
        (True, 2, "", True, True),
        (False, 2, "", False, True),
        (False, 2, "readinessProbe", False, False),
        (False, 2, "startupProbe", False, False),
        (False, 2, "", True, False),
        (False, 1, "", False, False),
        (False, 0, "", False, False),
    ],
)
def test_what_nothing_is_asked_of_is_ready_once_it_runs(
    ready: bool, running: int, probe: str, gated: bool, expected: bool
) -> None:
    """All of its containers do; whatever has a probe is ready once its kubelet says so."""
    containers = [{"name": "a"}, {"name": "b", **({probe: {}} if probe else {})}]
    states: list[dict[str, Any]] = [{"running": {}}] * running + [{"waiting": {}}] * (2 - running)
    status = {
        "conditions": [{"type": "Ready", "status": str(ready)}],
        "containerStatuses": [{"state": state} for state in states],
    }
    spec = {"containers": containers, "readinessGates": [{}] if gated else []}
    assert expected == thaw._serves({"spec": spec, "status": status})


class Late:
    """An API server with two nodes, of which one gets ready once the pod that waits was changed."""

    def __init__(self) -> None:
        self.changed: list[Any] = []
        self.asked: list[dict[str, str]] = []
        self.refuses = 0

    def watch(self, _path: str, *, deadline: float) -> Any:
        """One is ready, the other is not, unless."""
        assert deadline < 120
        for name, ready in (("plane", True), ("worker", bool(self.changed))):
            status = {"nodeInfo": {"machineID": "new"}, "conditions": [{"type": "Ready", "status": str(ready)}]}
            yield "ADDED", {"metadata": {"name": name}, "status": status}

    def list(self, _path: str, **chosen: str) -> list[dict[str, Any]]:
        """What has a node, and did not start there."""
        self.asked.append(chosen)
        return [{"metadata": {"namespace": "kube-system", "name": "kube-proxy-x"}}]

    def request(self, _method: str, _path: str, *, body: Any, **_: object) -> SimpleNamespace:
        """Change it, unless."""
        if self.refuses:
            self.refuses -= 1
            if self.refuses % 2:
                raise ClusterError("no answer")
            return SimpleNamespace(ok=False, status=500)
        self.changed.append(body["metadata"]["annotations"])
        return SimpleNamespace(ok=True, status=200)


def test_what_did_not_start_is_tried_again_and_left_as_it_was() -> None:
    """Its kubelet would wait; nothing of the change stays."""
    api = Late()
    nodes = tuple(SimpleNamespace(name=name, machine_id="frozen") for name in ("plane", "worker"))
    copy = cast("KindCluster", SimpleNamespace(api=api, name="dev", nodes=nodes))
    thaw._await_nodes(copy, cast("Any", nodes))
    assert [{"k8ssec/start": "now"}, {"k8ssec/start": None}] == api.changed
    assert [{"fieldSelector": "status.phase=Pending,spec.nodeName!="}] == api.asked


def test_nodes_that_never_get_ready_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """By their names, once the time is over."""
    api = Late()
    monkeypatch.setattr(thaw, "_SECONDS", -1)
    nodes = tuple(SimpleNamespace(name=name, machine_id="frozen") for name in ("plane", "worker"))
    copy = cast("KindCluster", SimpleNamespace(api=api, name="dev", nodes=nodes))
    with pytest.raises(ClusterError, match=r"cluster dev: nodes not ready within -1 s: worker$"):
        thaw._await_nodes(copy, cast("Any", nodes))


def test_what_hurries_may_fail_and_is_taken_away_in_any_case() -> None:
    """A server that is busy refuses one and the other."""
    api = Late()
    copy = cast("KindCluster", SimpleNamespace(api=api))
    api.refuses = 1
    thaw._annotate(copy, "/x", "now")
    assert [] == api.changed
    api.refuses = 3
    thaw._annotate(copy, "/x", None)
    assert [{"k8ssec/start": None}] == api.changed
