"""A node's parts with other settings for a while: rewritten, started anew, and put back in every ending."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import ClusterError, NotUndone, ProbeError, SabotageError
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.sabotages import node_config

NODE = Node("plane", "172.18.0.3", True, "plane")
KUBELET, ETCD = "/var/lib/kubelet/config.yaml", "/etc/kubernetes/manifests/etcd.yaml"
CONFIG = {"authentication": {"anonymous": {"enabled": False}}, "authorization": {"mode": "Webhook"}, "port": 1}
FLAGS = ["etcd", "--client-cert-auth=true", "--name=a", "--trusted-ca-file=/ca.crt", "--listen-client-urls=https://127.0.0.1:2379"]  # fmt: skip
MANIFEST = {"spec": {"containers": [{"command": FLAGS}]}}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience ends at once: time passes only where it is slept away."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(node_config, "_SECONDS", 2)
    monkeypatch.setattr(node_config, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))


class Machine:
    """One node with files; its kubelet and etcd run with what they say, unless they are stubborn."""

    def __init__(self, *, stubborn: bool = False) -> None:
        self.files = {KUBELET: yaml.safe_dump(CONFIG), ETCD: yaml.safe_dump(MANIFEST)}
        self.runs = dict(self.files)
        self.stubborn = stubborn
        self.renewals = 0
        self.written: list[str] = []

    @property
    def api(self) -> Machine:
        """Itself."""
        return self

    def on_node(self, _node: Node, argv: Sequence[str], *, stdin: bytes = b"", **_: object) -> Completed:
        """Read and write files, restart, look at arguments."""
        said, own = "", "--ns 1 --nslist net -x"
        match list(argv):
            case ["cat", path] if path in self.files:
                said = self.files[path]
            case ["tee", path]:
                self.files[path] = stdin.decode()
                self.written.append(path)
            case ["systemctl", "restart", "kubelet"] if not self.stubborn:
                self.runs[KUBELET] = self.files[KUBELET]
            case ["sh", "-c", steps] if not self.stubborn:
                assert f"pkill -KILL {own} kube-apiserver; pkill {own} etcd; systemctl restart kubelet" == steps
                self.runs[ETCD] = self.files[ETCD]
            case ["pgrep", *_]:
                said = "7"
            case ["cat", "/proc/7/cmdline"]:
                said = "\0".join(yaml.safe_load(self.runs[ETCD])["spec"]["containers"][0]["command"])
        return Completed(tuple(argv), 0, said.encode(), b"")

    def request(self, _method: str, path: str, **_: object) -> Response:
        """Ready; a kubelet tells what it runs with."""
        body = {"kubeletconfig": yaml.safe_load(self.runs[KUBELET])} if path.endswith("/configz") else {}
        return Response(200, body, 1.0)

    def get(self, _path: str) -> dict[str, dict[str, str]]:
        """A lease that is renewed each time."""
        self.renewals += 1
        return {"spec": {"renewTime": str(self.renewals)}}

    def as_cluster(self) -> Cluster:
        """Itself, as the type checker wants it."""
        return cast("Cluster", self)


def test_a_kubelet_lets_everybody_in_for_a_while() -> None:
    """All else of its configuration stays; afterwards it is as it was."""
    machine = Machine()
    with node_config.kubelet_open(machine.as_cluster(), NODE) as proof:
        changed = yaml.safe_load(machine.runs[KUBELET])
        assert {
            "authentication": {"anonymous": {"enabled": True}},
            "authorization": {"mode": "AlwaysAllow"},
            "port": 1,
        } == changed
        assert "authentication.anonymous.enabled is True" in proof.request
    assert CONFIG == yaml.safe_load(machine.runs[KUBELET])


def test_etcd_asks_nobody_for_a_while() -> None:
    """At its node's address too; afterwards its manifest is the same to the byte."""
    machine = Machine()
    before = machine.files[ETCD]
    with node_config.etcd_open(machine.as_cluster(), NODE) as proof:
        command = yaml.safe_load(machine.runs[ETCD])["spec"]["containers"][0]["command"]
        assert ["etcd", "--name=a", "--client-cert-auth=false", "--trusted-ca-file="] == command[:4]
        assert "--listen-client-urls=https://127.0.0.1:2379,https://172.18.0.3:2379" == command[4]
        assert "--client-cert-auth=false" in proof.detail
    assert before == machine.files[ETCD] == machine.runs[ETCD]
    assert 8 == machine.renewals


@pytest.mark.parametrize("breaks", [node_config.kubelet_open, node_config.etcd_open])
def test_what_does_not_take_effect_is_put_back_and_told(breaks: object) -> None:
    """It is no sabotage then."""
    machine = Machine(stubborn=True)
    before = dict(machine.files)
    with pytest.raises(SabotageError, match=r"after 2 s"), breaks(machine.as_cluster(), NODE):  # type: ignore[operator]
        pytest.fail("was never in force")
    assert before == machine.files


def test_what_was_written_past_its_deadline_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is given up, and has done its work."""
    machine = Machine()
    real, before = machine.on_node, dict(machine.files)

    def late(node: Node, argv: Sequence[str], **more: Any) -> Completed:
        done = real(node, argv, **more)
        if argv[0] == "tee" and 1 == len(machine.written):
            raise ProbeError("docker exec: no end within 20 s")
        return done

    monkeypatch.setattr(machine, "on_node", late)
    with pytest.raises(ProbeError), node_config.rewritten(machine.as_cluster(), NODE, ETCD, str.upper):
        pytest.fail("was never in force")
    assert before == machine.files


def test_what_can_not_be_put_back_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else went wrong: the cluster proves nothing any more."""
    machine = Machine()
    real = machine.on_node

    def full(node: Node, argv: Sequence[str], **more: Any) -> Completed:
        if argv[0] == "tee" and machine.written:
            raise ProbeError("tee: no space left on device")
        return real(node, argv, **more)

    monkeypatch.setattr(machine, "on_node", full)
    with pytest.raises(NotUndone, match="are not off after"), node_config.kubelet_open(machine.as_cluster(), NODE):
        raise ProbeError("meanwhile")


def test_what_happens_meanwhile_leaves_nothing_behind() -> None:
    """Also where that is an error."""
    machine = Machine()
    with pytest.raises(ProbeError), node_config.kubelet_open(machine.as_cluster(), NODE):
        raise ProbeError("meanwhile")
    assert CONFIG == yaml.safe_load(machine.runs[KUBELET])


def test_a_change_that_changes_nothing_is_no_sabotage() -> None:
    """And nothing is written."""
    machine = Machine()
    with (
        pytest.raises(SabotageError, match="has nothing that this change would alter"),
        node_config.rewritten(machine.as_cluster(), NODE, ETCD, lambda text: text),
    ):
        pytest.fail("was never in force")
    assert [] == machine.written


def test_who_refuses_meanwhile_is_asked_again() -> None:
    """What is being started anew refuses; the last refusal is told where patience ends."""
    answers = iter([ClusterError("refused"), None, "ready"])

    def ask() -> str | None:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert "ready" == node_config.until("API server: is not there", ask)

    def refuse() -> None:
        raise ClusterError("GET /readyz: no answer")

    with pytest.raises(SabotageError, match=r"API server: is not there after 2 s: GET /readyz: no answer"):
        node_config.until("API server: is not there", refuse)
