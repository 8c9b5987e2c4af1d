"""What the controls of the family RBAC make of an API server's answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.agent.vantage import probe
from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.rbac import escalation as escalation_module
from pytest_k8ssec.controls.rbac import nodes_proxy
from pytest_k8ssec.controls.rbac.cluster_admin import test_rbac_cluster_admin as cluster_admin
from pytest_k8ssec.controls.rbac.escalation import test_rbac_escalation as escalation
from pytest_k8ssec.controls.rbac.nodes_proxy import test_rbac_nodes_proxy as reaches_kubelets
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.probes.identities import Identity, account_user
from pytest_k8ssec.probes.rights_table import further_ways
from pytest_k8ssec.reach.sampling import EVERYTHING
from pytest_k8ssec.stack import ServiceAccount
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import FakeVantage, evidence, judge_of, without

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_k8ssec.agent.tasks import Task
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.stack import Stack

_WEB = ServiceAccount("web", "shop")
_BINDINGS = "clusterrolebindings.rbac.authorization.k8s.io"
_UNAUTHORIZED = (
    f'{_BINDINGS} is forbidden: User "system:serviceaccount:web:shop" cannot create resource "clusterrolebindings" in '
    'API group "rbac.authorization.k8s.io" at the cluster scope'
)
_ESCALATING = (
    f'{_BINDINGS} "k8ssec-dry-run" is forbidden: user "system:serviceaccount:web:shop" (groups=["system:serviceaccounts" '
    '"system:serviceaccounts:web" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n'
    '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}'
)
_POLICY = (
    f"{_BINDINGS} \"k8ssec-dry-run\" is forbidden: ValidatingAdmissionPolicy 'no-bindings' denied request: not here"
)
_WEBHOOK = 'admission webhook "no.bindings" denied the request: nobody may bind'


@dataclass
class Api:
    """An API server that refuses what one account tries, and says what it may: the administrator may all."""

    may: frozenset[str] = frozenset()
    """Rights, as verb, resource, and (where it is not all of them) the object's name."""
    rules: list[dict[str, Any]] = field(default_factory=list)
    message: str = _UNAUTHORIZED
    status: int = 403
    """Of what it tries."""
    namespaces: frozenset[str] = frozenset(("", "web", "default", "kube-system"))
    """Where it may; "" is everywhere at once."""

    def call(self, *_: object, **__: object) -> dict[str, Any]:
        """A token."""
        return {"status": {"token": "e30.e30.e30"}}

    def list(self, _path: str) -> list[dict[str, Any]]:
        """Nothing that an offer would have to fit."""
        return []

    def request(self, _method: str, path: str, *, body: Any = None, token: str | None = None, **more: Any) -> Response:
        """What is answered to either."""
        if path.endswith("selfsubjectreviews") and not more.get("headers"):
            user = account_user(_WEB.namespace, _WEB.name)
            return Response(201, {"status": {"userInfo": {"username": user}}}, 1.0)
        if path.endswith("selfsubjectrulesreviews"):
            return Response(201, {"status": {"resourceRules": self.rules, "incomplete": False}}, 1.0)
        if path.endswith("selfsubjectaccessreviews"):
            asked = body["spec"]["resourceAttributes"]
            right = f"{asked['verb']} {asked['resource']}"
            mine = bool({right, f"{right} {asked['name']}"} & self.may)
            allowed = token is None or (asked["namespace"] in self.namespaces and mine)
            return Response(201, {"status": {"allowed": allowed}}, 1.0)
        return Response(201 if token is None else self.status, {"kind": "Status", "message": self.message}, 1.0)


@dataclass
class OneAccount:
    """A cluster, and a stack of one account."""

    api: Api
    probe_image: str = "probe:1"
    namespaces: tuple[str, ...] = ("web",)

    def identities(self) -> tuple[ServiceAccount, ...]:
        """The one."""
        return (_WEB,)


def judged(control: Callable[..., None], api: Api) -> tuple[Verdict, Judge]:
    """What a control says of it."""
    judge, world = judge_of(control), OneAccount(api)
    more = {"k8ssec_sampling": EVERYTHING} if control is escalation else {}
    control(judge, cast("Cluster", world), cast("Stack", world), {}, **more)
    return judge.verdict()[0], judge


@pytest.mark.parametrize("change", ["update", "patch"])
def test_a_binding_that_is_there_may_be_changed_instead(change: str) -> None:
    """Who may bind, and change bindings, needs to make none; either right alone leads nowhere."""
    for bind in ("bind clusterroles", "bind clusterroles cluster-admin"):
        verdict, _ = judged(cluster_admin, Api(frozenset((bind, f"{change} clusterrolebindings"))))
        assert Verdict.BREACHED is verdict
        verdict, _ = judged(
            escalation, Api(frozenset((bind, f"{change} rolebindings")), namespaces=frozenset(("web",)))
        )
        assert Verdict.BREACHED is verdict
        assert Verdict.HELD is judged(cluster_admin, Api(frozenset((bind,))))[0]
    assert Verdict.HELD is judged(cluster_admin, Api(frozenset((f"{change} clusterrolebindings",))))[0]


@pytest.mark.parametrize("control", [cluster_admin, escalation])
def test_one_binding_that_may_be_changed_is_enough(
    control: Callable[..., None],
) -> None:
    """By its name, as its rules tell it."""
    plural = "clusterrolebindings" if control is cluster_admin else "rolebindings"
    rule = {
        "verbs": ["patch"],
        "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": [plural],
        "resourceNames": ["that"],
    }
    api = Api(frozenset(("bind clusterroles", f"patch {plural} that")), [rule])
    assert Verdict.BREACHED is judged(control, api)[0]


@pytest.mark.parametrize("resource", ["roles", "clusterroles"])
def test_a_role_that_is_there_may_be_changed_instead(resource: str) -> None:
    """Who may escalate, and change roles: in a namespace and in the cluster."""
    rights = frozenset((f"escalate {resource}", f"update {resource}"))
    verdict, judge = judged(escalation, Api(rights))
    assert Verdict.BREACHED is verdict
    assert all("by changing what is there" in attack.what for attack in judge.attacks if attack.got_through)
    assert Verdict.HELD is judged(escalation, Api(frozenset((f"escalate {resource}",))))[0]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (_UNAUTHORIZED, Verdict.HELD),
        (_ESCALATING, Verdict.HELD),
        (_ESCALATING.replace("web", "w" * 63), Verdict.HELD),
        (_POLICY, Verdict.INCONCLUSIVE),
        (_WEBHOOK, Verdict.INCONCLUSIVE),
        (f"{_WEBHOOK}: {_UNAUTHORIZED}", Verdict.INCONCLUSIVE),
        ("", Verdict.INCONCLUSIVE),
    ],
    ids=["authorizer", "escalation", "cut-off", "policy", "webhook", "quoted", "no-words"],
)
def test_admission_is_no_lack_of_rights(message: str, expected: Verdict) -> None:
    """It may refuse a new binding to somebody who is cluster-admin already, and one offer of many to whoever may make any."""
    assert expected is judged(cluster_admin, Api(message=message))[0]
    assert expected is judged(escalation, Api(message=message))[0]


@pytest.mark.parametrize("control", [cluster_admin, escalation])
def test_what_admission_refuses_may_be_done_by_a_change(
    control: Callable[..., None],
) -> None:
    """That a new binding was refused by a policy is no reason not to ask for the other way."""
    may = frozenset(("bind clusterroles", "update clusterrolebindings", "update rolebindings"))
    assert Verdict.BREACHED is judged(control, Api(may, message=_POLICY))[0]


def test_a_binding_that_can_not_be_found_was_not_made() -> None:
    """A 404 for a new object is no name that does not exist, which only whoever may is told."""
    assert Verdict.INCONCLUSIVE is judged(cluster_admin, Api(status=404))[0]


@dataclass
class Asking:
    """Somebody who asks for a kubelet through the API server."""

    answer: Evidence

    def attempt(self, _method: str, _path: str) -> Evidence:
        """What is answered."""
        return self.answer


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (evidence(Outcome.HTTP, status=403, detail='nodes "a" is forbidden: User "x" cannot get resource "nodes/proxy" in'), Verdict.HELD),
        (evidence(Outcome.HTTP, status=403, detail=_WEBHOOK), Verdict.INCONCLUSIVE),
        (evidence(Outcome.HTTP, status=200), Verdict.BREACHED),
    ],
)  # fmt: skip
def test_a_webhook_on_the_way_to_a_kubelet_is_no_lack_of_rights(answer: Evidence, expected: Verdict) -> None:
    """Admission is asked about connections too, and the kubelet's own port knows nothing of it."""
    judge = Judge()
    auditor = cast("Identity", Asking(evidence(Outcome.HTTP, status=200)))
    nodes_proxy._proxied(
        judge.case("it"), _WEB, cast("Identity", Asking(answer)), auditor, Node("a", "", control_plane=False)
    )
    assert expected is judge.verdict()[0]


def test_a_full_quota_is_no_lack_of_rights() -> None:
    """It is asked last, and has room again some day."""
    full = 'pods "k8ssec-offer" is forbidden: exceeded quota: team, requested: pods=1, used: pods=24, limited: pods=24'
    assert Verdict.BREACHED is judged(escalation, Api(message=full))[0]


def test_whoever_does_not_try_a_way_to_cluster_admin_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what was not tried; to change a binding is asked for where making one is refused."""
    assert Verdict.HELD is judged(cluster_admin, Api())[0]
    monkeypatch.setattr(Case, "attack", without(Case.attack, "make a binding"))
    verdict, judge = judged(cluster_admin, Api())
    assert Verdict.INCONCLUSIVE is verdict
    assert "not tried: account web/shop, check make a binding (no attack tried it)" in judge.verdict()[1]


@pytest.mark.parametrize("namespace", ["web", "kube-system", ""])
def test_a_way_up_that_falls_out_is_named(monkeypatch: pytest.MonkeyPatch, namespace: str) -> None:
    """In each place: what there is to try is known apart from what is tried."""
    assert Verdict.HELD is judged(escalation, Api())[0]
    whole = further_ways
    left_out = whole(namespace)[-1]
    checks = escalation_module._checks(namespace)
    assert left_out.words in checks
    monkeypatch.setattr(
        escalation_module,
        "further_ways",
        lambda where: whole(where)[:-1] if where == namespace else whole(where),
    )
    verdict, judge = judged(escalation, Api())
    assert Verdict.INCONCLUSIVE is verdict
    place = namespace or "(the cluster)"
    named = f"account web/shop, check {left_out.words}, namespace {place}"
    assert f"not tried: {named} (no attack tried it)" == judge.verdict()[1]


@dataclass
class Kubelets:
    """A cluster of one node that is asked by both of its addresses, and a stack of one account."""

    api: Api
    open_at: str = ""
    """Where its kubelet lets the account run commands."""
    nodes: tuple[Node, ...] = (
        Node("a", "10.0.0.2", control_plane=True, container="a", further=("fd00::2",)),
        Node("b", "10.0.0.3", control_plane=False, container="b"),
    )

    @property
    def cluster(self) -> Kubelets:
        """Itself."""
        return self

    def remember(self, _what: str, find_out: Callable[[], Any]) -> Any:
        """Found out each time."""
        return find_out()

    def identities(self) -> tuple[ServiceAccount, ...]:
        """The one."""
        return (_WEB,)

    def probe(self, *tasks: Task) -> list[Evidence]:
        """What kubelets say to it, and to our auditor."""
        return probe(FakeVantage(self._said), tasks)

    def request(self, *_: object, **__: object) -> Response:
        """What the API server says to our auditor."""
        return Response(200, {}, 1.0)

    def _said(self, task: dict[str, Any]) -> dict[str, Any]:
        ours = task["headers"]["Authorization"] == "Bearer auditor"
        return {"outcome": "http", "status": 404 if ours or task["host"] == self.open_at else 403}

    def judge(self, monkeypatch: pytest.MonkeyPatch) -> Judge:
        """What comes of it."""
        auditor = Identity(cast("Any", self), "auditor", "auditor")
        monkeypatch.setattr(nodes_proxy, "auditor", lambda _: auditor)
        judge, none = judge_of(reaches_kubelets), cast("Any", self)
        reaches_kubelets(judge, none, none, none, lambda: none, {})
        return judge


@pytest.mark.parametrize("host", ["10.0.0.2", "fd00::2", "10.0.0.3"])
def test_a_kubelet_is_asked_at_each_of_its_addresses(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """One that is open there is open; one that nobody asked is named."""
    with monkeypatch.context() as patch:
        judge = Kubelets(Api()).judge(patch)
        assert (Verdict.HELD, "") == judge.verdict()
        assert "8 of 8 combinations" in judge.coverage.words(judge.tried)
    with monkeypatch.context() as patch:
        judge = Kubelets(Api(), host).judge(patch)
        assert {"GET", "POST"} == {each.what.partition(" ")[0] for each in judge.attacks if each.got_through}
    monkeypatch.setattr(Case, "attack", without(Case.attack, f"'address': '{host}', 'method': 'POST'"))
    verdict, reason = Kubelets(Api()).judge(monkeypatch).verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert f"not tried: account web/shop, address {host}, method POST, node " in reason
