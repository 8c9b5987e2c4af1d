"""What may be said of measured reachability: open was seen, blocked needs a witness, and nothing is said of the unknown."""

from __future__ import annotations

from array import array
from dataclasses import replace

import pytest

from pytest_k8ssec.errors import ProbeError, SettingsError
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.reach.cell import Cell
from pytest_k8ssec.reach.difference import differences
from pytest_k8ssec.reach.intent import parse
from pytest_k8ssec.reach.matrix import Cells, Witnesses
from pytest_k8ssec.reach.measure import Dial, Row
from pytest_k8ssec.reach.places import Destination, Local, Origin
from tests.unit.reach.reaching import NODE, destination, only, reach

SOURCES = ("web/storefront", "web/*", "payments/api", "elsewhere")
API, LEDGER = destination("payments/api", 8080, 1), destination("payments/ledger", 9000, 2)
ALLOWED = (("web/storefront", "payments/api"), ("payments/api", "payments/ledger"))


def the(found: Cells) -> Cell:
    """The one cell of a question."""
    (cell,) = found.chosen
    return cell


def test_open_and_blocked_are_told_with_their_witness() -> None:
    """Who else reached the listener is part of the answer."""
    found = reach(SOURCES, [API, LEDGER], only(*ALLOWED))
    assert "open" == the(found.between("web/storefront", "payments/api")).verdict
    blocked = the(found.between("elsewhere", "payments/api"))
    assert ("blocked", NODE) == (blocked.verdict, blocked.proof)
    assert (
        "elsewhere -> payments/api:8080/TCP (pod api-0, TCP 10.244.0.1:8080): refused in 1.5 ms "
        "(while node/worker reached it)" == str(blocked)
    )


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.NO_ANSWER, Outcome.UNREACHABLE])
def test_without_a_witness_nothing_is_blocked(outcome: Outcome) -> None:
    """Whether it is a wall or nobody listens can't be told, and no question is answered with it."""
    found = reach(SOURCES, [API], lambda *_: outcome, witness="")
    cells = found.between("elsewhere", "payments/api")
    assert "unknown" == the(cells).verdict
    assert "nobody reached this listener at that moment" in str(the(cells))
    for question in (cells.is_blocked(), cells.only_from(), found.as_policies_say()):
        with pytest.raises(ProbeError, match=r"can't be told: \d of \d connections are unknown"):
            bool(question)


def test_without_a_link_nothing_is_blocked() -> None:
    """A source that is cut off from everything gets the same answers as one that policies keep out."""
    found = reach(SOURCES, [API], only(("payments/api", "payments/api")), linked=False)
    blocked = the(found.between("elsewhere", "payments/api"))
    assert ("unknown", True) == (blocked.verdict, "own network" in blocked.why)
    assert "open" == the(found.between("payments/api", "payments/api")).verdict


def test_a_broken_source_is_unknown_with_its_reason() -> None:
    """Never blocked, whoever witnesses the listener."""
    found = reach(SOURCES, [API, LEDGER], only(), broken=["elsewhere"])
    cells = found.between("elsewhere", "*")
    assert ["unknown", "unknown"] == [cell.verdict for cell in cells]
    with pytest.raises(ProbeError) as raised:
        bool(cells.is_blocked())
    assert "elsewhere: exec was refused" in str(raised.value)
    assert all(cell.evidence.broken for cell in cells)


def test_an_allowed_source_is_a_witness_too() -> None:
    """Nobody needs to enter a node for that."""
    found = reach(SOURCES, [API], only(("web/storefront", "payments/api")), witness="")
    assert ("blocked", "web/storefront") == (
        the(found.between("elsewhere", "payments/api")).verdict,
        the(found.between("elsewhere", "payments/api")).proof,
    )


def row(started: float, ended: float, code: int = 0) -> Row:
    """One answer in a span of time."""
    return Row(bytearray([code]), array("f", [1.0]), {}, started, ended)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([(0, 1), (5, 6)], "b"),
        ([(0, 2.5)], "a"),
        ([(2.5, 9)], "a"),
        ([(2.2, 2.4)], "a"),
        ([(0, 1)], ""),
        ([(5, 6)], ""),
        ([], ""),
    ],
    ids=["before-and-after", "into-it", "out-of-it", "within", "before-only", "after-only", "never"],
)  # fmt: skip
def test_a_witness_is_one_of_that_moment(seen: list[tuple[float, float]], expected: str) -> None:
    """A listener that was there before, and was not asked again, may have died meanwhile; so may one that came later."""
    witnesses = Witnesses()
    for who, (started, ended) in zip("ab", seen, strict=False):
        witnesses.saw([API.dial], row(started, ended), who)
    assert expected == witnesses.of(API, row(2, 3))


def test_a_refused_connection_witnesses_nothing() -> None:
    """Only an open one does."""
    witnesses = Witnesses()
    witnesses.saw([API.dial], row(0, 9, 1), "a")
    assert "" == witnesses.of(API, row(2, 3))


def test_a_service_is_witnessed_by_all_that_stand_behind_it() -> None:
    """One of two pods is not enough: the other one may be what did not answer."""
    both = destination("payments/api", 8080, 1, service=True)
    witnesses = Witnesses()
    witnesses.saw([API.dial], row(0, 9), "a")
    assert "a behind the Service" == witnesses.of(both, row(2, 3))
    wider = type(both)(
        both.name, both.way, both.dial, both.port, both.words, both.ends, (*both.listeners, Dial("10.244.0.9", 8080))
    )
    assert "" == witnesses.of(wider, row(2, 3))


@pytest.mark.parametrize("others", [(), ("outside",)])
def test_what_a_node_keeps_to_itself_is_no_matter_of_policies_or_intents(others: tuple[str, ...]) -> None:
    """Only the node reaches it, as it would on loopback; once anybody else does, it is one of its ports like the others."""
    kubelet, kept = destination("node/worker", 10250), destination("node/worker", 50051)

    def says(source: Origin, target: Destination) -> Outcome:
        return Outcome.OPEN if target is kubelet or source.name in ("node/worker", *others) else Outcome.NO_ANSWER

    found = reach(("node/worker", "elsewhere", "outside"), [kubelet, kept], says, witness="")
    said = parse(
        "version: 1\nallow: [{from: elsewhere, to: node, reason: x}, {from: outside, to: node, reason: y}]", "x"
    )
    assert ("blocked", not others) == (
        the(found.between("elsewhere", "node/worker", 50051)).verdict,
        the(found.between("elsewhere", "node/worker", 50051)).kept,
    )
    assert ["closed"] * len(others) == [each.kind for each in differences(found, said)]
    assert (not others) is bool(found.nothing_else_than(said)) is bool(found.as_policies_say())


# Questions


def test_questions_are_answered_with_their_culprits() -> None:
    """True where all is known and as it must be; false with the evidence; the first culprit in what pytest shows."""
    found = reach(SOURCES, [API, LEDGER], only(*ALLOWED, ("elsewhere", "payments/ledger")))
    assert found.between("web", "payments/ledger").is_blocked()
    assert found.to("payments/api", 8080).only_from("web/storefront")
    assert found.between("web/storefront", "payments/api", 8080, "TCP").is_open()
    wrong = found.to("payments/ledger").only_from("payments/api")
    assert not wrong
    assert 1 == len(wrong.culprits)
    assert repr(wrong).startswith(
        "<not so: elsewhere -> payments/ledger:9000/TCP (pod ledger-0, TCP 10.244.0.2:9000): open"
    )
    assert len(repr(wrong)) <= 240
    assert "1 of 4 connections are not as they must be" in str(wrong)


def test_who_must_get_in_and_does_not_is_a_culprit() -> None:
    """``only_from`` is no mere wall: an empty one would be passed by everything that is broken."""
    found = reach(SOURCES, [API], only())
    wrong = found.to("payments/api").only_from("web/storefront")
    assert not wrong
    assert ["web/storefront"] == [cell.origin.name for cell in wrong.culprits]
    assert found.to("payments/api").only_from()


def test_what_speaks_against_it_counts_though_something_is_unknown() -> None:
    """A breach stays a breach."""
    found = reach(SOURCES, [API], only(("elsewhere", "payments/api")), broken=["web/*"])
    assert not found.to("payments/api").is_blocked()
    assert "and 1 are unknown" in str(found.to("payments/api").is_blocked())


def test_a_node_that_reaches_its_own_pods_is_no_culprit() -> None:
    """Kubernetes always allows it: no policy could forbid it. Asked for by name it is told as it is."""
    found = reach((*SOURCES, NODE), [API], only(("web/storefront", "payments/api"), (NODE, "payments/api")))
    assert found.to("payments/api").only_from("web/storefront")
    assert found.between("node", "payments/api").is_open()
    assert not found.between("node", "payments/api").is_blocked()


@pytest.mark.parametrize(
    ("source", "target", "port", "expected"),
    [
        ("web/storefrnt", "*", None, "did you mean web/storefront"),
        ("shop", "*", None, "nothing has that name"),
        ("*", "payment", None, "did you mean payments"),
        ("*", "payments/api", 9000, "what listens there: payments/api:8080/TCP"),
    ],
)
def test_about_nothing_no_question_is_answered(source: str, target: str, port: int | None, expected: str) -> None:
    """Over no connection at all, everything would be true."""
    with pytest.raises(SettingsError) as raised:
        reach(SOURCES, [API, LEDGER], only()).between(source, target, port)
    assert expected in str(raised.value)


def test_nothing_else_than_an_intent() -> None:
    """What is declared must be open, everything else blocked."""
    intent = parse(
        "version: 1\nallow:\n"
        "- {from: web/storefront, to: payments/api, ports: [8080], reason: sales}\n"
        "- {from: payments/api, to: payments/ledger, reason: books}\n",
        "intent.yaml",
    )
    assert reach((*SOURCES, NODE), [API, LEDGER], only(*ALLOWED, (NODE, "payments/api"))).nothing_else_than(intent)
    more = reach(SOURCES, [API, LEDGER], only(*ALLOWED, ("elsewhere", "payments/api"))).nothing_else_than(intent)
    assert ["elsewhere"] == [cell.origin.name for cell in more.culprits]
    less = reach(SOURCES, [API, LEDGER], only(ALLOWED[0])).nothing_else_than(intent)
    assert ["payments/api"] == [cell.origin.name for cell in less.culprits]


def test_the_outside_is_pointed_at_nodes_only() -> None:
    """Nobody sends to pod addresses from there."""
    found = reach(("outside", NODE), [API, destination("node/worker", 10250)], lambda *_: Outcome.OPEN)
    assert ["node/worker"] == [cell.destination.name for cell in found.between("outside", "*")]
    with pytest.raises(SettingsError, match="nothing was measured"):
        found.between("outside", "payments/api")


def test_what_policies_say_of_a_port_of_every_node_is_left_open() -> None:
    """Whose address arrives at the pod there is the proxy's business; where no policy holds for the pod, it is no matter."""
    by_node = replace(API, way="node", dial=Dial("172.18.0.2", 30080), words="Service payments/api through worker")
    policy = {"metadata": {"name": "p", "namespace": "payments"}, "spec": {"podSelector": {}}}
    for policies, expected in (((), True), ((policy,), None)):
        found = reach((*SOURCES, "outside"), [by_node], lambda *_: Outcome.OPEN, policies=policies)
        assert {expected} == {cell.expected for cell in found.cells()}
    assert "outside" in {cell.origin.name for cell in found.cells()}


def test_a_source_that_policies_hold_back_may_or_may_not_get_out_by_a_port_of_a_node() -> None:
    """Nothing is expected of it; of the others, that they get through."""
    by_node = replace(API, way="node", dial=Dial("172.18.0.2", 30080), words="Service payments/api through worker")
    policy = {
        "metadata": {"name": "p", "namespace": "web"},
        "spec": {"podSelector": {"matchLabels": {"app": "storefront"}}, "policyTypes": ["Egress"]},
    }
    found = reach(SOURCES, [by_node], lambda *_: Outcome.OPEN, policies=[policy])
    assert [None, True, True, True] == [cell.expected for cell in found.cells()]


@pytest.mark.parametrize("nodes", [frozenset(), frozenset({"worker"})])
def test_what_a_node_drops_because_nothing_behind_a_service_runs_there_is_no_policys(nodes: frozenset[str]) -> None:
    """Nothing is expected, it is no difference, and it is told; where somebody answers, policies are held to it."""
    through = replace(
        API,
        way="node",
        dial=Dial("172.18.0.2", 30080),
        listeners=(API.dial,),
        node="worker",
        local=Local("externalTrafficPolicy", nodes),
    )
    found = reach(["elsewhere"], [through, API], lambda _, one: Outcome.NO_ANSWER if one is through else Outcome.OPEN)
    (cell, _) = found.cells()
    words = "no policy is involved: externalTrafficPolicy is Local, and no pod behind it runs on worker"
    assert ("blocked", None if not nodes else True) == (cell.verdict, cell.expected)
    assert (not nodes) is (words in str(cell))
    assert ([] if not nodes else ["not-as-policies"]) == [each.kind for each in differences(found)]


def test_a_service_that_keeps_to_the_senders_node_is_as_policies_say_of_the_pods_there() -> None:
    """From a node without one it is nobody's; from the others, what policies give for their own node's pods."""
    far = replace(LEDGER.ends[0], node="other")
    ends = (*API.ends, far)
    both = replace(
        API,
        way="service",
        dial=Dial("10.96.0.9", 80),
        ends=ends,
        local=Local("internalTrafficPolicy", frozenset({"worker", "other"})),
    )
    away = replace(both, local=Local("internalTrafficPolicy", frozenset({"other"})))
    policy = {
        "metadata": {"name": "p", "namespace": "payments"},
        "spec": {"podSelector": {"matchLabels": {"app": "ledger"}}},
    }
    found = reach(["elsewhere"], [both, away], lambda *_: Outcome.REFUSED, policies=[policy])
    assert [True, None] == [cell.expected for cell in found.cells()]
    told = [cell.unserved for cell in found.cells()]
    assert ["", "no policy is involved: internalTrafficPolicy is Local, and no pod behind it runs on worker"] == told


@pytest.mark.parametrize("turned", [False, True])
def test_a_service_is_as_policies_say_where_all_that_stand_behind_it_are(turned: bool) -> None:
    """It leads to one that policies close and one that they do not: nothing is expected of it, of either order."""
    ends = (*API.ends, *LEDGER.ends)
    both = replace(API, way="service", dial=Dial("10.96.0.9", 80), ends=ends[::-1] if turned else ends)
    policy = {
        "metadata": {"name": "p", "namespace": "payments"},
        "spec": {"podSelector": {"matchLabels": {"app": "ledger"}}},
    }
    found = reach(["elsewhere"], [API, both, LEDGER], lambda *_: Outcome.OPEN, policies=[policy])
    assert [True, None, False] == [cell.expected for cell in found.cells()]


def test_evidence_is_what_a_judge_takes() -> None:
    """With the answer, the way, and who else got through."""
    found = reach(SOURCES, [API], only())
    evidence = the(found.between("elsewhere", "payments/api")).evidence
    assert (Outcome.REFUSED, "TCP 10.244.0.1:8080 (pod api-0)", "while node/worker reached it") == (
        evidence.outcome,
        evidence.request,
        evidence.detail,
    )
    assert "2030-03-17T17:46:40.123Z" == evidence.at


@pytest.mark.parametrize("outcome", [Outcome.OPEN, Outcome.REFUSED])
def test_of_a_pod_in_its_nodes_network_no_answer_is_a_difference(outcome: Outcome) -> None:
    """Whether the policy is about it Kubernetes leaves open; nor does it count as what policies say."""
    policy = {"metadata": {"name": "p", "namespace": "payments"}, "spec": {"podSelector": {}}}
    hosted = replace(API, ends=tuple(replace(end, pod=None, hosted=end.pod) for end in API.ends))
    found = reach(["elsewhere"], [hosted], lambda *_: outcome, policies=[policy])
    assert [None] == [cell.expected for cell in found.cells()]
    assert [] == differences(found)
    assert 0 == found.as_policies_say().asked
