"""Nodes by themselves: each file, each thing that a node may not do, and what its kubelet gives to pods."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.node.cred_files import test_node_cred_files as cred_files
from pytest_k8ssec.controls.node.restriction import test_node_restriction as restriction
from pytest_k8ssec.controls.node.seccomp import test_node_seccomp as seccomp
from pytest_k8ssec.evidence import Source
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import FakeVantage, judge_of, without

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.pods.manifests import PodSpec
    from pytest_k8ssec.pods.pool import Pool

PLANE = Node("plane", "10.0.0.2", control_plane=True, container="plane")
WORKER = Node("worker", "10.0.0.3", control_plane=False, container="worker")
ELSEWHERE = "/opt/keys/signing.key"
KUBELET = "/var/lib/kubelet/other.conf"


@dataclass
class Files:
    """Two nodes; a signing key of the API server's and a kubelet's kubeconfig lie where they seldom do."""

    open_to_nobody: str = ""
    nodes = (PLANE, WORKER)

    def on_node(self, node: Node, argv: Sequence[str], **_: object) -> Completed:
        """What there is, who reads it, and what processes were started with."""
        return Completed(tuple(argv), 0, self._said(node, argv).encode(), b"")

    def _said(self, node: Node, argv: Sequence[str]) -> str:
        if argv[0] == "pgrep":
            process = argv[-1]
            assert node.control_plane or process == "kubelet"
            return f"{('kubelet', 'kube-apiserver', process).index(process)}\n"
        if argv[0] == "cat":
            named = {"0": f"--kubeconfig={KUBELET}", "1": f"--service-account-signing-key-file={ELSEWHERE}"}
            return f"process\0{named.get(argv[1].split('/')[2], '--x=y')}\0"
        if "list" in argv:
            there = (KUBELET, "/etc/kubernetes/pki/a.key", *((ELSEWHERE,) if node.control_plane else ()))
            found = argv[argv.index("list") + 1 :]
            return "".join(f"{each}\n" for each in there if each in found or each.startswith("/etc"))
        paths = argv[argv.index("read") + 1 :]
        denied = argv[0] == "setpriv"
        free = (self.open_to_nobody, "/etc/passwd")
        return "".join(f"{path}|{'Permission denied' if denied and path not in free else ''}\n" for path in paths)

    def judge(self) -> Judge:
        """What comes of it."""
        judge = judge_of(cred_files)
        file = type("File", (), {"mode": 0o644, "user": "root", "group": "root"})
        host = type("Host", (), {"file": lambda *_: file})()
        cred_files(judge, cast("Cluster", self), cast("Any", {"plane": host, "worker": host}))
        return judge


@pytest.mark.parametrize("path", [ELSEWHERE, KUBELET, "/etc/kubernetes/pki/a.key"])
def test_a_file_that_an_argument_names_is_read_wherever_it_lies(path: str) -> None:
    """On each node that has it."""
    judge = Files(path).judge()
    assert {f"read {path}"} == {each.what for each in judge.attacks if each.got_through}
    assert (1 if path == ELSEWHERE else 2) == sum(each.got_through for each in judge.attacks)


@pytest.mark.parametrize(("node", "path"), [("plane", ELSEWHERE), ("worker", KUBELET)])
def test_a_file_that_nobody_tried_is_named(monkeypatch: pytest.MonkeyPatch, node: str, path: str) -> None:
    """On one node."""
    assert (Verdict.HELD, "") == Files().judge().verdict()
    monkeypatch.setattr(Case, "attack", without(Case.attack, f"{{'node': '{node}', 'path': '{path}'}}"))
    assert (
        Verdict.INCONCLUSIVE,
        f"not tried: node {node}, path {path} (no attack tried it)",
    ) == Files().judge().verdict()


@dataclass
class Restricted:
    """Nodes, of which each may do what it should; its own API and pool."""

    count: int = 2
    may: str = ""
    """What some node may besides: its name, method and the end of the path, or a label."""
    planes: int = 1
    at_server: str = ""
    """The only API server at which it may; "" for each."""
    server: str = "https://10.0.0.0:6443"

    @property
    def nodes(self) -> tuple[Node, ...]:
        """So many."""
        return tuple(Node(f"n{at}", f"10.0.0.{at}", control_plane=at < self.planes) for at in range(self.count))

    @property
    def api(self) -> Restricted:
        """Itself."""
        return self

    def at(self, server: str) -> Restricted:
        """One of its API servers."""
        return replace(self, server=server)

    def call(self, *_: object, **__: object) -> None:
        """It lives."""

    def namespace(self, name: str) -> str:
        """One of ours."""
        return name

    def applied(self, *_: object) -> Any:
        """It is there."""
        return nullcontext()

    def path_of(self, _: object) -> str:
        """The Secret's."""
        return "/api/v1/namespaces/canary/secrets/not-a-nodes-own"

    def request(
        self, method: str, path: str, *, body: Any = None, headers: dict[str, str] | None = None, **_: object
    ) -> Response:
        """As the Node authorizer and NodeRestriction answer."""
        who = (headers or {}).get("Impersonate-User", "").rpartition(":")[2]
        (label,) = body["metadata"]["labels"] if body else ("",)
        own = path == f"/api/v1/nodes/{who}" and not label.startswith("node-restriction")
        asked = f"{who} {method} {path.rpartition('/')[2]} {label}".strip()
        may = asked == self.may and self.server.endswith(f"{self.at_server}:6443")
        return Response(200 if own or not who or may else 403, {}, 1.0)

    def judge(self) -> Judge:
        """What comes of it."""
        judge = judge_of(restriction)
        restriction(judge, cast("Cluster", self), cast("Pool", self))
        return judge


@pytest.mark.parametrize(
    ("may", "what"),
    [
        ("n1 PATCH n0 k8ssec.dev/canary", "label another node, n0"),
        ("n0 PATCH n2 k8ssec.dev/canary", "label another node, n2"),
        ("n2 PATCH n2 node-restriction.kubernetes.io/k8ssec", "give itself a reserved label"),
        ("n1 GET not-a-nodes-own", "read a Secret that none of its pods uses"),
        ("n1 GET secrets", "list Secrets"),
    ],
)
def test_what_one_node_may_is_noticed(may: str, what: str) -> None:
    """Each other node is tried, where they are few."""
    judge = Restricted(3, may).judge()
    assert [(f"node {may.partition(' ')[0]}", what)] == [
        (each.case, each.what) for each in judge.attacks if each.got_through
    ]


@pytest.mark.parametrize("server", ["10.0.0.0", "10.0.0.1"])
def test_one_api_server_that_restricts_nobody_is_enough(server: str) -> None:
    """Each has plugins and authorizers of its own."""
    judge = Restricted(3, "n1 GET secrets", planes=2, at_server=server).judge()
    assert [f"node n1 at the API server on n{server[-1]}"] == [each.case for each in judge.attacks if each.got_through]


def test_other_nodes_are_one_class_where_they_are_many() -> None:
    """All checks are made for each node, and the other nodes that were tried speak for the rest."""
    judge = Restricted(7).judge()
    assert (Verdict.HELD, "") == judge.verdict()
    assert "56 of 56 combinations of server, node, check tried" == judge.coverage.words(judge.tried)
    assert {"check": "label another node, 2 more", "node": "n6", "server": "n0"} in [dict(each) for each in judge.tried]


@pytest.mark.parametrize("check", ["label another node, n0", "give itself a reserved label", "list Secrets"])
def test_a_check_that_nobody_made_is_named(monkeypatch: pytest.MonkeyPatch, check: str) -> None:
    """For one node."""
    monkeypatch.setattr(Case, "attack", without(Case.attack, f"{{'server': 'n0', 'node': 'n1', 'check': '{check}'}}"))
    assert (Verdict.INCONCLUSIVE, f"not tried: check {check}, node n1, server n0 (no attack tried it)") == (
        Restricted().judge().verdict()
    )


@dataclass
class Kubelets:
    """Two kubelets; its own pool."""

    unconfined: str = ""
    """The node that starts pods without a profile."""
    nodes = (PLANE, WORKER)

    @property
    def cluster(self) -> Kubelets:
        """Itself."""
        return self

    def namespace(self, name: str) -> str:
        """One of ours."""
        return name

    def remember(self, _what: str, find_out: Any) -> Any:
        """Found out each time."""
        return find_out()

    def lease(self, *specs: PodSpec) -> list[Pod]:
        """A pod each, which reads what it runs under."""
        return [self._pod(spec) for spec in specs]

    def _pod(self, spec: PodSpec) -> Pod:
        mode = 0 if spec.seccomp or spec.node == self.unconfined else 2
        vantage = FakeVantage(lambda _: {"outcome": "done", "facts": {"seccomp": mode}}, Source("pod", spec.node))
        return Pod(cast("Any", vantage), "uid", "nonce")

    def judge(self) -> Judge:
        """What comes of it."""
        judge = judge_of(seccomp)
        seccomp(judge, cast("Pool", self))
        return judge


def test_each_kubelet_gives_its_own_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that gives none is breached, and one that nobody looked at is named."""
    assert (Verdict.HELD, "") == Kubelets().judge().verdict()
    assert Verdict.BREACHED is Kubelets("worker").judge().verdict()[0]
    monkeypatch.setattr(Case, "attack", without(Case.attack, "{'node': 'worker'}"))
    assert (Verdict.INCONCLUSIVE, True) == (
        Kubelets().judge().verdict()[0],
        "not tried: node worker (no attack tried it)" in Kubelets().judge().verdict()[1],
    )
