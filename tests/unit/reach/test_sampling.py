"""Of many pods some are measured: which, what follows for the others, and what does not."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Outcome, Source
from pytest_k8ssec.reach import survey as module
from pytest_k8ssec.reach.cell import Cell
from pytest_k8ssec.reach.difference import differences
from pytest_k8ssec.reach.matrix import Reachability
from pytest_k8ssec.reach.places import Places
from pytest_k8ssec.reach.sampling import LIMIT, Sampling
from pytest_k8ssec.verdict import Judge, Verdict
from tests.unit.facts import policy_scenes
from tests.unit.reach.reaching import sampled
from tests.unit.reach.town import NODES, Town, found_in, surveyed, town, workload

ALL = 10**6
SEEDS = range(15)


@pytest.fixture(autouse=True)
def unlost(monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernel is asked what it lost."""
    monkeypatch.setattr(module, "losses", lambda _cluster: {})


def some(seed: int = 1, sample: int = 3, limit: float = 0) -> Sampling:
    """Few pods are many."""
    return Sampling(limit, seed, sample)


def numbered(found: Reachability) -> Iterator[tuple[int, int, Cell]]:
    """All cells, by the numbers of both ends."""
    cells = found.cells()
    for number, origin in enumerate(found.places.origins):
        for at in found.places.concerns(origin):
            yield number, at, next(cells)


def plain(**more: Any) -> Town:
    """Twelve alike workloads of one pod each in one namespace, on two nodes."""
    return Town([workload(f"w{number}", "a", {"app": "x"}) for number in range(12)], 1, **more)


# Which are measured


def test_one_of_each_class_and_some_of_the_others() -> None:
    """Whatever the seed is; and never more of the others than were asked for."""
    classes = ["a"] * 50 + ["b"] + ["c"] * 3
    for seed in range(50):
        chosen = Sampling(0, seed, 5).chosen(classes, "x")
        assert {"a", "b", "c"} == {classes[number] for number in chosen}
        assert 8 == len(chosen)
    assert 54 == len(Sampling(0, 1, ALL).chosen(classes, "x"))
    assert 3 == len(Sampling(0, 1, 0).chosen(classes, "x"))


def test_the_seed_decides_and_nothing_else() -> None:
    """The same seed chooses the same; another one, or another kind of things, others."""
    classes = [number % 3 for number in range(100)]
    chosen = Sampling(0, 7, 10).chosen(classes, "x")
    assert chosen == Sampling(0, 7, 10).chosen(classes, "x")
    assert chosen != Sampling(0, 8, 10).chosen(classes, "x")
    assert chosen != Sampling(0, 7, 10).chosen(classes, "y")


def test_each_of_the_others_is_as_likely_as_any_other() -> None:
    """Else one in ten that behaves otherwise is not found as often as is said."""
    counts = Counter(number for seed in range(400) for number in Sampling(0, seed, 30).chosen(["a"] * 100, "x"))
    assert 100 == len(counts)
    assert 80 < min(counts.values()) <= max(counts.values()) < 175  # 124 on average


def test_without_a_seed_chance_decides_and_tells() -> None:
    """Two runs do not look at the same pods."""
    assert len({Sampling().seed for _ in range(5)}) > 1


@pytest.mark.parametrize(("limit", "expected"), [(None, LIMIT), (0, 0), (math.inf, math.inf)])
@pytest.mark.parametrize(("seed", "seeds"), [(None, 5), (0, 1), (7, 1)])
def test_what_nobody_says_is_as_it_is_by_default(
    monkeypatch: pytest.MonkeyPatch, limit: float | None, expected: float, seed: int | None, seeds: int
) -> None:
    """Settings, fixture, command and whoever calls it: there is one limit, and chance chooses anew each time."""
    asked: list[Sampling] = []

    def stop(*given: Any) -> None:
        asked.append(given[-1])
        raise ProbeError("enough")

    monkeypatch.setattr(module, "census", stop)
    monkeypatch.setattr(module, "nodes_in_reach", lambda _pool: None)
    nothing: Any = None
    for _ in range(5):
        with pytest.raises(ProbeError):
            module.survey(nothing, nothing, nothing, limit=limit, seed=seed)
    assert {expected} == {each.limit for each in asked}
    chosen = {each.seed for each in asked}
    assert seeds == len(chosen)
    assert seed is None or {seed} == chosen


def test_up_to_the_limit_everything_is_measured() -> None:
    """As it was before there were classes: one twin for each workload, on no node in particular."""
    where = plain()
    found = surveyed(found_in(where, some(limit=12)))
    assert found.places.seed is None
    assert all(cell.measured for cell in found.cells())
    assert {None} == {each.kin for each in found.places.origins} | {each.kin for each in found.places.destinations}
    assert (12 + 1 + 1) == where.twins
    assert (0, None) == (found.extent.by_class, found.extent.seed)


def test_one_more_than_the_limit_is_measured_by_class() -> None:
    """Infinity is never passed."""
    assert 1 == found_in(plain(), some(limit=11)).seed
    assert found_in(plain(), Sampling(math.inf, 1)).seed is None


def test_without_policies_the_node_still_makes_a_class() -> None:
    """Each node sends, and each node is sent to."""
    places = found_in(plain(), some(sample=0))
    senders = [each for each in places.origins if each.measured and each.kin is not None]
    assert ["one", "two"] == sorted(each.end.node for each in senders)
    targets = [each for each in places.destinations if each.measured and each.way == "pod"]
    assert ["one", "two"] == sorted(each.ends[0].node for each in targets)


def test_a_workload_sends_from_each_node_that_it_runs_on() -> None:
    """Pods of one workload that stand on one node are one source."""
    where = Town([workload("w", "a", {}), workload("v", "a", {})], 6)
    places = found_in(where, some(sample=0))
    kin = [(each.name, each.end.node) for each in places.origins if each.kin is not None]
    assert [("a/w", "one"), ("a/w", "two"), ("a/v", "one"), ("a/v", "two")] == kin
    assert [2] * 2 == list(Counter(each.kin for each in places.origins if each.kin is not None).values())


@pytest.mark.parametrize(
    "spec",
    [{"hostNetwork": True}, {"dnsPolicy": "Default"}, {"runtimeClassName": "sandboxed"},
     {"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "0"}]}}],
)  # fmt: skip
def test_what_no_policy_asks_and_a_network_may_makes_a_class(spec: dict[str, Any]) -> None:
    """One that is set up otherwise is not told by those beside it."""
    made = [workload(f"w{number}", "a", {}) for number in range(6)]
    other = workload("other", "a", {}, **spec)
    places = found_in(Town([*made, other], 2), some(sample=0))
    (strange,) = [each for each in places.origins if each.name == "a/other" and each.end.node == "one"]
    assert strange.measured
    assert strange.kin not in {each.kin for each in places.origins if each.name != "a/other"}


def test_two_namespaces_are_never_one_class() -> None:
    """Networks know namespaces by their names."""
    made = [workload(f"w{number}", "ab"[number // 4], {}) for number in range(8)]
    places = found_in(Town(made, 1), some(sample=0))
    by_kin: dict[tuple[str, int | None], set[str]] = {}
    for origin in places.origins:
        by_kin.setdefault(("from", origin.kin), set()).add(origin.namespace)
    for destination in places.destinations:
        by_kin.setdefault(("to", destination.kin), set()).add(destination.namespace)
    assert {1} == {len(names) for (_, kin), names in by_kin.items() if kin is not None}


def test_a_workload_without_a_pod_sends_itself() -> None:
    """Nothing tells where it would run, so nobody stands for it."""
    where = plain()
    where.pods = [each for each in where.pods if each["metadata"]["name"] not in ("w3-0", "w4-0")]
    places = found_in(where, some(sample=0))
    assert [True, True] == [each.measured for each in places.origins if each.name in ("a/w3", "a/w4")]


def test_a_pod_on_a_node_that_nobody_enters_is_measured() -> None:
    """Nobody else could show that it listens."""
    where = plain(nodes=(NODES[0], Node("two", "172.18.0.3", False, "")))
    places = found_in(where, some(sample=0))
    there = [each for each in places.destinations if each.way == "pod" and each.ends[0].node == "two"]
    assert [True] * 6 == [each.measured for each in there]


def test_on_a_cluster_that_is_only_read_targets_have_classes_and_sources_have_none() -> None:
    """No twin stands there: a foreign pod sends to some of each class, and nodes send to all."""
    where = plain(policies=[{"metadata": {"namespace": "a"}, "spec": {"podSelector": {}}}])
    where.deployed = False
    found = surveyed(found_in(where, some(sample=1)))
    assert {None} == {each.kin for each in found.places.origins}
    assert (0, 0, 3, 9) == (
        found.extent.source_classes, found.extent.sources_by_class, found.extent.targets_measured, found.extent.targets_by_class
    )  # fmt: skip
    cells = [cell for cell in found.cells() if cell.origin.name == "elsewhere"]
    assert [("blocked", 3), ("blocked by class", 9)] == sorted(Counter(cell.answer for cell in cells).items())


@pytest.mark.parametrize(
    ("kind", "objects", "all_of_them"),
    [("CiliumNetworkPolicy", 1, True), ("AdminNetworkPolicy", 1, True), ("CiliumNetworkPolicy", 0, False),
     ("Certificate", 1, False)],
)  # fmt: skip
def test_policies_of_other_kinds_forbid_classes(kind: str, objects: int, all_of_them: bool) -> None:
    """By them pods may differ that NetworkPolicies can't tell apart. A kind that nothing is of forbids nothing."""
    where = plain(kind=kind, others=[{"metadata": {"name": "x"}}] * objects)
    places = found_in(where, some())
    assert (places.seed is None) is all_of_them
    assert any(f"{kind} (example.org)" in note for note in places.notes) is all_of_them
    assert all((set(places.expected(at)) == {None}) is all_of_them for at in range(len(places.origins)))


DENIES_ALL: dict[str, Any] = {
    "metadata": {"name": "quarantine"},
    "spec": {
        "priority": 5,
        "subject": {"namespaces": {}},
        "ingress": [{"name": "nobody", "action": "Deny", "from": [{"namespaces": {}}]}],
    },
}


def test_a_policy_for_the_whole_cluster_counts_and_is_named() -> None:
    """All is measured. What the network does not enforce is a difference that names the policy and its rule."""
    where = plain(kind="AdminNetworkPolicy", group="policy.networking.k8s.io", others=[DENIES_ALL])
    found = surveyed(found_in(where, some()))
    assert found.places.seed is None
    told = [each for each in differences(found) if each.origin == "elsewhere"]
    assert {("not-as-policies", "deny", "open")} == {(each.kind, each.expected, each.measured) for each in told}
    assert {"entering: AdminNetworkPolicy quarantine, rule 1 'nobody' (Deny)"} == {each.decided_by for each in told}
    assert "by entering: AdminNetworkPolicy quarantine, rule 1" in str(told[0])


def test_a_policy_for_the_whole_cluster_of_an_unknown_form_makes_all_unknown() -> None:
    """Of a newer version or an older one: nobody knows what it says. It is named."""
    strange = {**DENIES_ALL, "spec": {**DENIES_ALL["spec"], "subject": {"namespaces": {"sameLabels": ["team"]}}}}
    places = found_in(plain(kind="AdminNetworkPolicy", group="policy.networking.k8s.io", others=[strange]), some())
    assert {None} == set(places.expected(0))
    assert any("AdminNetworkPolicy quarantine, of a form that is not known" in note for note in places.notes)


def test_a_twin_that_a_block_tells_from_its_model_stands_for_nobody() -> None:
    """Policies may treat the address that it has otherwise than those of the pods that it was to be like."""
    block = {"from": [{"ipBlock": {"cidr": "10.244.0.0/26"}}, {"ipBlock": {"cidr": "10.244.1.0/26"}}]}
    policy = {"metadata": {"namespace": "a"}, "spec": {"podSelector": {}, "ingress": [block]}}
    found = surveyed(found_in(plain(policies=[policy]), some(sample=0)))
    unsent = [each for each in found.places.origins if not each.measured]
    assert 10 == len(unsent)
    assert {None} == {each.kin for each in unsent}
    assert {"unknown"} == {cell.verdict for cell in found.cells() if cell.origin in unsent}
    assert any("block of addresses tells it apart" in note for note in found.notes)


# What follows from them


@cache
def pair(seed: int) -> tuple[Reachability, Reachability]:
    """The same town measured by class, and whole."""
    chance = random.Random(seed)
    policies = policy_scenes.policies(chance, chance.randint(0, 12))
    for each in policies:
        each["metadata"]["namespace"] = chance.choice("ab")  # where the pods are
    places = [random.Random(seed + 1000) for _ in range(2)]
    by_class, whole = (town(each, 16, 2, policies=policies) for each in places)
    return surveyed(found_in(by_class, some(seed, 4))), surveyed(found_in(whole, some(seed, ALL)))


def verdicts(found: Reachability) -> list[tuple[int, int, str]]:
    """Of all cells but those from nodes, which are all measured, and witness one another only if they overlap."""
    return [(number, at, cell.verdict) for number, at, cell in numbered(found) if cell.origin.namespace != "node"]


@pytest.mark.parametrize("seed", SEEDS)
def test_cells_by_class_are_what_would_have_been_measured(seed: int) -> None:
    """In a network that follows the policies: each of them, and none is left untold."""
    found, whole = pair(seed)
    assert {True} == {cell.measured for cell in whole.cells()}
    assert verdicts(whole) == verdicts(found)
    assert (0, ()) == (found.extent.untold, found.extent.unlike)


def test_the_towns_have_much_to_tell_by_class() -> None:
    """Else the comparison would be about nothing."""
    counts = Counter(
        (cell.verdict, cell.by_class) for seed in SEEDS for _, _, cell in numbered(pair(seed)[0])
    )  # fmt: skip
    ways = Counter(cell.destination.way for cell in pair(0)[0].cells() if cell.by_class)
    assert {"pod", "service", "name"} == set(ways)
    assert all(counts[verdict, by_class] > 200 for verdict in ("open", "blocked") for by_class in (True, False)), counts


def test_the_towns_have_classes_that_only_policies_make() -> None:
    """Within one namespace, on one node; of sources and of targets."""
    more = [0, 0]
    for seed in SEEDS:
        places = pair(seed)[0].places
        apart = len({(each.namespace, each.end.node) for each in places.origins if each.kin is not None})
        more[0] += pair(seed)[0].extent.source_classes - apart
        more[1] += pair(seed)[0].extent.target_classes - apart
    assert min(more) > 15, more


def test_the_extent_counts_what_was_measured_and_what_was_not() -> None:
    """Two classes of six on either side, of which two and one more are measured; nodes, bare pods and foreign ones are none."""
    found = surveyed(found_in(plain(), some(sample=1)))
    told = found.extent
    assert (1, 2, 3, 9) == (told.seed, told.source_classes, told.sources_measured, told.sources_by_class)
    assert (2, 3, 9) == (told.target_classes, told.targets_measured, told.targets_by_class)
    # Twins, the bare pod and the foreign one send to three; two nodes to all twelve.
    assert (3 + 2) * 3 + 2 * 12 == told.measured
    assert ((12 + 2) * 12 - (3 + 2) * 3, 0) == (told.by_class, told.untold)
    assert "39 connections measured, 153 by class (sources: 3 measured and 9 not, in 2 classes" in str(told)
    assert str(told).endswith("seed 1)")


# What does not follow


def one_of(places: Places, *, measured: bool) -> tuple[int, int]:
    """A target of the class of which most are measured: one that is, or one that is not; and its class."""
    counts = Counter(each.kin for each in places.destinations if each.kin is not None and each.measured)
    (kin, _), *_ = counts.most_common(1)
    of_it = [(at, each) for at, each in enumerate(places.destinations) if each.kin == kin]
    return next(at for at, each in of_it if each.measured is measured), kin


def test_one_that_is_sampled_and_differs_is_named_and_its_class_not_trusted() -> None:
    """Nothing follows for the rest, so a question about them can't be answered; who was measured stays measured."""
    where = plain()
    places = found_in(where, some(sample=4))
    at, kin = one_of(places, measured=True)
    deaf = places.destinations[at]
    where.deaf.add(deaf.dial.host)
    found = surveyed(places)
    cells = [(number, there, cell) for number, there, cell in numbered(found)]
    assert {"blocked"} == {
        cell.verdict for number, there, cell in cells if there == at and cell.measured and cell.origin.end.pod
    }
    rest = [cell for _, _, cell in cells if not cell.measured and cell.destination.kin == kin]
    assert rest
    assert {"unknown"} == {cell.verdict for cell in rest}
    assert all("can't be trusted" in str(cell) and "--k8ssec-reach-limit all" in str(cell) for cell in rest)
    assert all(deaf.name in words and "unlike its class" in words for words in found.extent.unlike)
    assert found.extent.unlike
    assert deaf.subject in {each.subject for each in differences(found) if each.kind == "unlike-class"}
    question = found.between(rest[0].origin.name, rest[0].destination.name).is_open()
    with pytest.raises(ProbeError, match="can't be told"):
        bool(question)


def test_a_source_that_is_sampled_and_differs_is_named_too() -> None:
    """It is dumb; others of its class are not."""
    where = plain()
    places = found_in(where, some(sample=4))
    kin = Counter(each.kin for each in places.origins if each.measured and each.kin is not None).most_common(1)[0][0]
    dumb = next(each for each in places.origins if each.measured and each.kin == kin)
    where.dumb.add(dumb.end.address)
    found = surveyed(places)
    rest = [cell for cell in found.cells() if not cell.measured and cell.origin.kin == kin]
    assert rest
    assert {"unknown"} == {cell.verdict for cell in rest}
    assert all(words.startswith(dumb.name) for words in found.extent.unlike)


def test_one_that_is_not_sampled_is_never_said_to_be_measured() -> None:
    """That its class answers for it is wrong here, and said to be no more than that."""
    where = plain()
    places = found_in(where, some(sample=2))
    at, _ = one_of(places, measured=False)
    where.deaf.add(places.destinations[at].dial.host)
    found = surveyed(places)
    assert () == found.extent.unlike
    cells = [cell for _, there, cell in numbered(found) if there == at and cell.origin.end.pod]
    assert cells
    for cell in cells:
        assert (False, True, "open") == (cell.measured, cell.by_class, cell.verdict)
        assert cell.like is not None
        assert "open by class (not measured; as its class: " in str(cell)
        assert cell.like.way in str(cell)
        assert cell.latency is None
    answer = found.between("*", cells[0].destination.name).is_open()
    assert len(cells) == answer.by_class
    assert f"{answer.asked - answer.by_class} connections tried and {len(cells)} not, which are as their class" in str(
        answer
    )
    assert f"{len(cells)} of {answer.asked} by class" in repr(answer)


@pytest.mark.parametrize("verdict", ["open", "blocked"])
def test_a_control_that_judges_one_that_was_not_measured_is_inconclusive(verdict: str) -> None:
    """What nobody tried is no attack that was stopped, and none that got through; and what it is like shows nothing of it."""
    cell = next(cell for cell in sampled().cells() if cell.by_class and cell.verdict == verdict)
    assert cell.like is not None
    evidence = cell.evidence
    assert (Outcome.ERROR, Outcome.ERROR) == (evidence.outcome, cell.outcome)
    assert cell.origin.vantage.source == evidence.source
    assert str(cell.destination.dial) in evidence.request
    assert f"not measured; in its place {cell.like.way} was, and is {verdict}" in evidence.detail
    assert "--k8ssec-reach-limit all" in evidence.detail
    judge = Judge()
    case = judge.case(cell.way)
    case.attack("connect", evidence, through=verdict == "open")
    case.positive("somebody else connects", replace(evidence, outcome=Outcome.OPEN), succeeded=True)
    told, why = judge.verdict()
    assert Verdict.INCONCLUSIVE is told
    assert cell.like.way in why


def test_who_asks_for_the_class_gets_the_evidence_of_another_which_says_so() -> None:
    """A judge gets what was sent, from where it was sent."""
    found = surveyed(found_in(plain(), some()))
    cell = next(cell for cell in found.cells() if cell.by_class)
    assert cell.like is not None
    taken = cell.evidence_of_class
    assert (cell.like.origin.vantage.source, Outcome.OPEN) == (taken.source, taken.outcome)
    assert str(cell.like.destination.dial) in taken.request
    assert f"stands for {cell.way}, which was not measured" in taken.detail
    assert cell.like.evidence == cell.like.evidence_of_class


def test_a_listener_that_no_node_reached_is_not_as_its_class() -> None:
    """It may not listen at all."""
    places = found_in(plain(), some())
    at = next(number for number, each in enumerate(places.destinations) if not each.measured)
    gone = replace(places.destinations[at], dial=replace(places.destinations[at].dial, host="10.244.9.9"))
    found = surveyed(replace(places, destinations=(*places.destinations[:at], gone, *places.destinations[at + 1 :])))
    cells = [cell for _, there, cell in numbered(found) if there == at and not cell.measured]
    assert {"unknown"} == {cell.verdict for cell in cells}
    assert {"not measured: nobody reached this listener"} == {cell.why for cell in cells}


def test_a_listener_that_is_gone_in_the_end_is_not_as_its_class() -> None:
    """It did listen, once."""
    found = surveyed(found_in(plain(), some()))
    at = next(number for number, each in enumerate(found.places.destinations) if not each.measured)
    found.witnesses.gone.add(found.places.destinations[at].dial)
    verdicts = {cell.verdict for _, there, cell in numbered(found) if there == at and not cell.measured}
    assert {"unknown"} == verdicts


@pytest.mark.parametrize("seed", range(8))
def test_a_pod_that_does_not_listen_does_not_stand_for_one_that_does(seed: int) -> None:
    """What declares a port and is silent is unknown; that tells nothing of the others."""
    found = surveyed(found_in(plain(silent={"w0-0", "w1-0", "w2-0", "w3-0"}), some(seed, sample=0)))
    told = {(cell.destination.name in {"a/w0", "a/w1", "a/w2", "a/w3"}, cell.verdict) for cell in found.cells()}
    assert {(True, "unknown"), (False, "open")} == told


def test_what_the_policies_tell_apart_is_never_told_by_one_of_both() -> None:
    """Whoever put the two into one class: no answer follows."""
    rule = {"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "shop"}}}]}
    policy = {"metadata": {"namespace": "pay"}, "spec": {"podSelector": {}, "ingress": [rule]}}
    cells = [cell for cell in sampled([policy]).cells() if not cell.measured]
    assert ["unknown", "unknown"] == [cell.verdict for cell in cells]
    assert all("the policies should not give it what they give its class" in cell.why for cell in cells)


def test_a_class_of_which_nothing_is_known_tells_nothing() -> None:
    """What sends for it is broken."""
    places = found_in(plain(), some(sample=0))
    broken = replace(
        places, origins=tuple(replace(each, vantage=Broken()) if each.kin == 0 else each for each in places.origins)
    )
    found = surveyed(broken)
    rest = [cell for cell in found.cells() if not cell.measured and cell.origin.kin == 0]
    assert rest
    assert {"unknown"} == {cell.verdict for cell in rest}
    assert {Outcome.ERROR} == {cell.evidence.outcome for cell in rest}


class Broken:
    """A place where nothing can be run."""

    source = Source("pod", "broken")

    def execute(self, *_: object) -> Any:
        """Refused."""
        raise ProbeError("exec was refused")
