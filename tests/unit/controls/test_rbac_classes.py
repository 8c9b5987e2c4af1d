"""Many accounts in many namespaces: what the controls of RBAC try then, and what they tell by class."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.api import Body, Response
from pytest_k8ssec.clusters.rbac_objects import RBAC, account_subject, rule
from pytest_k8ssec.controls.rbac.escalation import test_rbac_escalation as escalation
from pytest_k8ssec.controls.rbac.secrets_read import test_rbac_secrets_read as secrets_read
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.probes.identities import NOBODY
from pytest_k8ssec.probes.places_by_rights import PAIRS_MAX
from pytest_k8ssec.reach.sampling import EVERYTHING, SAMPLED, Sampling
from pytest_k8ssec.stack import ServiceAccount
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import judge_of, without

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.stack import Stack

SPACES = tuple(f"s{number}" for number in range(10))
ACCOUNTS = tuple(ServiceAccount(space, name) for space in SPACES for name in ("default", "app"))
TRIED = (*SPACES, "default", "kube-system")
CLIMBER, INTO = ServiceAccount("s3", "app"), "s7"
MAKES_PODS = rule("create", "pods")


def role_binding(space: str, role: str, *accounts: ServiceAccount, kind: str = "Role") -> Body:
    """As the API server lists it."""
    return {
        "metadata": {"name": role, "namespace": space},
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
        "subjects": [account_subject(each.namespace, each.name) for each in accounts],
    }


@dataclass
class World:
    """A stack of many accounts, and an API server that answers by its rules."""

    granted: dict[tuple[str, str], list[Body]] = field(default_factory=dict)
    """What the authorizer knows: by account and namespace."""
    objects: dict[str, list[Body]] = field(default_factory=dict)
    """RBAC's, by plural."""
    lists_rules: bool = True
    """Whether it lists what the authorizer knows, or only what RBAC's objects say, and that this is not all."""
    hidden: dict[tuple[str, str], list[Body]] = field(default_factory=dict)
    """What it grants besides, and lists nowhere."""
    refuses: str = ""
    """The plural of what can't be listed."""
    asked: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    """What was tried, by account and namespace."""
    probe_image: str = "probe:1"
    namespaces: tuple[str, ...] = SPACES

    @property
    def api(self) -> World:
        """Itself."""
        return self

    def identities(self) -> tuple[ServiceAccount, ...]:
        """All."""
        return ACCOUNTS

    def call(self, _method: str, path: str, **_: object) -> Body:
        """A token, by which an account is known again."""
        *_rest, space, _plural, name, _token = path.split("/")
        return {"status": {"token": f"{space}/{name}"}}

    def list(self, path: str) -> list[Body]:
        """Objects."""
        plural = path.rpartition("/")[2]
        if plural == self.refuses:
            raise ClusterError(f"{path}: HTTP 403")
        return self.objects.get(plural, [])

    def request(self, method: str, path: str, *, body: Any = None, token: str = "", **more: Any) -> Response:
        """What is answered to an account, or to the administrator."""
        if not token:
            return Response(201 if method == "POST" else 200, {"status": {"allowed": True}}, 1.0)
        space, _, name = token.partition("/")
        headers = more.get("headers") or {}
        if path.endswith("selfsubjectreviews") and "Impersonate-User" not in headers:
            user = f"system:serviceaccount:{space}:{name}"
            return Response(201, {"status": {"userInfo": {"username": user}}}, 1.0)
        if path.endswith("selfsubjectrulesreviews"):
            rules = self.granted.get((token, body["spec"]["namespace"]), []) if self.lists_rules else []
            return Response(201, {"status": {"resourceRules": rules, "incomplete": not self.lists_rules}}, 1.0)
        if path.endswith("selfsubjectaccessreviews"):
            return Response(201, {"status": {"allowed": False}}, 1.0)
        where = path.partition("/namespaces/")[2].partition("/")[0] or _impersonated(headers)
        self.asked.setdefault((token, where), set()).add(f"{method} {path}")
        verb = {"POST": "create", "GET": "get"}.get(method, "patch")
        plural = path.rpartition("/")[2]
        granted = [*self.granted.get((token, where), []), *self.hidden.get((token, where), [])]
        may = any(verb in each["verbs"] and plural in each["resources"] for each in granted)
        said = f'{plural} is forbidden: User "system:serviceaccount:{space}:{name}" cannot {verb} resource "{plural}"'
        return Response(201, {}, 1.0) if may else Response(403, {"kind": "Status", "message": said}, 1.0)

    @property
    def tried(self) -> set[tuple[str, str]]:
        """Pairs of account and namespace."""
        return {pair for pair in self.asked if pair[1] not in ("", NOBODY)}


def _impersonated(headers: dict[str, str]) -> str:
    told = headers.get("Impersonate-User", "").split(":")
    return told[2] if len(told) == 4 else ""


def climbing(*, listed: bool = True) -> World:
    """One account of many may make pods in one namespace that is not its own."""
    world = World(granted={(str(CLIMBER), INTO): [MAKES_PODS]})
    if listed:
        role = {"metadata": {"name": "climb", "namespace": INTO}, "rules": [MAKES_PODS]}
        world.objects = {"roles": [role], "rolebindings": [role_binding(INTO, "climb", CLIMBER)]}
    return world


def judged(
    world: World, sampling: Sampling | None = None, control: Callable[..., None] = escalation
) -> tuple[Verdict, Judge]:
    """What a control says of it."""
    judge = judge_of(control)
    control(judge, cast("Cluster", world), cast("Stack", world), {}, k8ssec_sampling=sampling or Sampling(seed=1))
    return judge.verdict()[0], judge


@pytest.mark.parametrize("control", [escalation, secrets_read])
def test_where_rbac_grants_nothing_one_pair_is_tried_and_some_more(control: Callable[..., None]) -> None:
    """Each account is cleared by the pair that is like its own, and says so; a note says how much that is, and why."""
    world = World()
    verdict, judge = judged(world, control=control)
    assert Verdict.HELD is verdict
    assert 1 < len(world.tried) <= 2 + SAMPLED
    cases = {case.name: case for case in judge.cases}
    assert {f"service account {each}" for each in ACCOUNTS} == set(cases)
    by_class = [attack for attack in judge.attacks if attack.what.endswith("by class")]
    assert len(ACCOUNTS) == len(by_class)
    for attack in by_class:
        (told,) = attack.evidence.facts.values()
        assert "the same rules" in attack.evidence.detail
        assert all(pair.partition(" in ")[0] in map(str, ACCOUNTS) for pair in told)
    (note,) = judge.notes
    pairs = len(ACCOUNTS) * (len(TRIED) + 1)
    tried = pairs - sum(
        sum(attack.evidence.facts["places, by the pair that was tried"].values()) for attack in by_class
    )
    assert f"{tried} pairs of an account and a place (a namespace, or the cluster) were tried" in note
    assert f"of {pairs - tried} it is told by class" in note
    assert "(seed 1)" in note


def test_the_report_grows_with_what_was_tried() -> None:
    """And not with accounts times namespaces."""
    _, judge = judged(World())
    _, whole = judged(World(), EVERYTHING)
    assert 3 * size(judge) < size(whole)


def size(judge: Judge) -> int:
    """Of what a report has of it."""
    recorded = [each.to_json() for each in judge.attacks] + [each.to_json() for each in judge.positives]
    return len(json.dumps(recorded))


@pytest.mark.parametrize("seed", range(5))
def test_an_account_that_may_more_in_one_namespace_is_found_there(seed: int) -> None:
    """Whatever chance decides: other rules are another class, and each class is tried."""
    verdict, judge = judged(climbing(), Sampling(seed=seed))
    assert Verdict.BREACHED is verdict
    assert {(f"service account {CLIMBER}", f"create a Pod, in {INTO}")} == {
        (each.case, each.what) for each in judge.attacks if each.got_through
    }


@pytest.mark.parametrize(
    "world",
    [
        climbing(listed=False),
        World(granted={(str(CLIMBER), each): [MAKES_PODS] for each in TRIED}),
        World(granted=climbing().granted, lists_rules=False),
        World(granted=climbing().granted, refuses="rolebindings"),
    ],
    ids=["unlisted", "everywhere", "webhook", "unreadable"],
)
@pytest.mark.parametrize("seed", range(3))
def test_where_the_objects_do_not_tell_every_namespace_is_tried(world: World, seed: int) -> None:
    """An authorizer that can't list, one that lists what no object says, bindings that may not be read."""
    if world.lists_rules and not world.refuses:  # the list of one namespace that is tried must give it away
        own = (str(CLIMBER), CLIMBER.namespace)
        world.granted[own] = [MAKES_PODS]
    world.asked.clear()
    verdict, judge = judged(world, Sampling(seed=seed))
    assert Verdict.BREACHED is verdict
    assert {(str(CLIMBER), each) for each in TRIED} <= world.tried
    assert f"create a Pod, in {INTO}" in {each.what for each in judge.attacks if each.got_through}
    if world.lists_rules and not world.refuses:
        (note,) = judge.notes
        assert "of 1 accounts nothing is, as the API server lists other rules of theirs" in note
        assert str(CLIMBER) in note


@pytest.mark.parametrize("seed", range(5))
def test_who_is_of_a_class_that_gets_through_tries_for_itself(seed: int) -> None:
    """Each account that may make pods in one namespace is accused by what it was let do there, and nobody else is."""
    climbers = [each for each in ACCOUNTS if each.name == "app"]
    role = {"metadata": {"name": "climb", "namespace": INTO}, "rules": [MAKES_PODS]}
    world = World(
        granted={(str(each), INTO): [MAKES_PODS] for each in climbers},
        objects={"roles": [role], "rolebindings": [role_binding(INTO, "climb", *climbers)]},
    )
    verdict, judge = judged(world, Sampling(seed=seed))
    assert Verdict.BREACHED is verdict
    through = [(each.case, each.what) for each in judge.attacks if each.got_through]
    assert {(f"service account {each}", f"create a Pod, in {INTO}") for each in climbers} == set(through)


@pytest.mark.parametrize("seed", range(5))
def test_where_pairs_of_one_class_differ_none_is_cleared_by_it(seed: int) -> None:
    """Half of them may make pods by an authorizer of which neither objects nor lists say a word: sampling finds some."""
    hidden = {(str(each), where): [MAKES_PODS] for each in ACCOUNTS for where in TRIED[::2]}
    world = World(hidden=hidden)
    _, judge = judged(world, Sampling(seed=seed))
    verdicts = {case.verdict()[0] for case in judge.cases}
    assert Verdict.BREACHED in verdicts
    assert Verdict.HELD not in verdicts
    assert any("has the same rules as others" in each.evidence.detail for each in judge.attacks)


def test_a_webhook_that_can_not_list_leaves_no_class() -> None:
    """Each account tries each namespace, as of a few."""
    world = World(lists_rules=False)
    judged(world)
    assert len(ACCOUNTS) * len(TRIED) == len(world.tried)


def test_who_wants_all_to_be_tried_has_it() -> None:
    """By the setting that has all pods measured."""
    world = World()
    verdict, judge = judged(world, Sampling(limit=math.inf))
    assert Verdict.HELD is verdict
    assert len(ACCOUNTS) * len(TRIED) == len(world.tried)
    assert () == judge.notes


def test_of_a_few_all_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then no binding is read, and nothing is noted."""
    few = ACCOUNTS[: PAIRS_MAX // len(TRIED)]
    monkeypatch.setattr(World, "identities", lambda _: few)
    world = World(refuses="clusterroles")
    _, judge = judged(world)
    assert len(few) * len(TRIED) == len(world.tried)
    assert () == judge.notes


@pytest.mark.parametrize("control", [escalation, secrets_read])
def test_a_pair_that_no_class_speaks_for_is_named(
    monkeypatch: pytest.MonkeyPatch, control: Callable[..., None]
) -> None:
    """One account has rules of its own in one namespace: nothing else says anything of that pair."""
    reads = rule("get", "pods")
    role = {"metadata": {"name": "look", "namespace": INTO}, "rules": [reads]}
    world = World(granted={(str(CLIMBER), INTO): [reads]})
    world.objects = {"roles": [role], "rolebindings": [role_binding(INTO, "look", CLIMBER)]}
    verdict, judge = judged(world, control=control)
    assert Verdict.HELD is verdict
    assert "by their class" in judge.coverage.words(judge.tried)
    monkeypatch.setattr(Case, "attack", without(Case.attack, f"'account': '{CLIMBER}', 'namespace': '{INTO}'"))
    verdict, judge = judged(world, control=control)
    assert Verdict.INCONCLUSIVE is verdict
    assert f"not tried: account {CLIMBER}, check anything, namespace {INTO} (no attack tried it)" in judge.verdict()[1]
