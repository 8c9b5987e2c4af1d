"""Silence between two nodes: a wall only where something gets along that way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest

from pytest_k8ssec.agent.vantage import PodVantage
from pytest_k8ssec.errors import ClusterError, ProbeError
from pytest_k8ssec.facts.policies.network import End
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.reach import survey as module
from pytest_k8ssec.reach.matrix import Reachability
from pytest_k8ssec.reach.measure import MANNER, Dial
from pytest_k8ssec.reach.places import Destination, Origin, Places
from pytest_k8ssec.reach.routes import Route, Routes, Side, taken, unshown_in_words
from pytest_k8ssec.reach.survey import Survey
from tests.unit.reach.reaching import Nowhere, peer
from tests.unit.reach.test_survey import Played

A, B = "172.18.0.2", "172.18.0.3"
HERE, THERE = "10.244.1.1", "10.244.2.1"
SILENCE = "no-answer"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """No patience, and no counters of this machine's."""
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0)
    monkeypatch.setattr(module, "losses", lambda _cluster: {})


def origin(name: str, end: End, says: Callable[[str], str]) -> Origin:
    """A source that answers by a function of the dial."""
    listener = Dial(end.address, 8980) if end.pod else None
    return Origin(name, end, Played(name, lambda dial, _: says(dial)), listener)


def beacon(works: Callable[[str], str]) -> Callable[[str], Pod]:
    """Pods of ours on nodes; each connects as it is told."""

    def on(node: str) -> Pod:
        vantage = Played(f"beacon on {node}", lambda dial, _: works(dial))
        address = {"a": "10.244.1.9", "b": "10.244.2.9"}[node]
        vantage.__dict__["address"] = address
        return cast(
            "Pod", type("Beacon", (), {"vantage": cast("PodVantage", vantage), "address": address, "port": 8980})
        )

    return on


def surveyed(
    answer: str, *others: Origin, along: Callable[[str], Pod] | None = None, ways: tuple[Destination, ...] = ()
) -> Reachability:
    """A pod on one node, towards a pod on the other that its own node reaches."""
    near, far = End(HERE, "a", peer("web/x")), End(THERE, "b", peer("pay/api"))
    target = Destination("pay/api", "pod", Dial(THERE, 8080), 8080, "pod api-0", (far,))
    kubelets = tuple(
        Destination(f"node/{name}", "node", Dial(address, 10250), 10250, "the node", (End(address, name),))
        for name, address in (("a", A), ("b", B))
    )
    sends = origin("web/x", near, lambda dial: answer if dial.startswith(THERE) else "refused")
    machines = (
        origin("node/a", End(A, "a"), lambda dial: SILENCE if dial.startswith(THERE) else "open"),
        origin("node/b", End(B, "b"), lambda _: "open"),
    )
    places = Places((sends, *machines, *others), (target, *ways, *kubelets), ())
    return Survey(places, MANNER, lambda _origin, _row: None, beacon=along).take()


def said(found: Reachability) -> tuple[str, str]:
    """Verdict of the one connection between pods, and why."""
    (cell,) = found.between("web/x", "pay/api")
    return cell.verdict, cell.why


LOST = "nothing shows that packets get from pods on a to pods on b"


def test_silence_between_nodes_is_unknown_where_nothing_gets_along() -> None:
    """An overlay that is broken looks like a policy."""
    found = surveyed(SILENCE)
    assert ("unknown", LOST) == said(found)
    assert LOST in found.notes


@pytest.mark.parametrize(("answer", "verdict"), [("refused", "blocked"), ("unreachable", "unknown")])
def test_a_refusal_is_an_answer(answer: str, verdict: str) -> None:
    """Somebody sent it. That it is unreachable, whoever stands on the way says."""
    assert verdict == said(surveyed(answer))[0]


def test_somebody_else_shows_the_way() -> None:
    """From the same node to a pod on the other one."""
    other = origin("web/y", End("10.244.1.2", "a", peer("web/y")), lambda _: "open")
    assert "blocked" == said(surveyed(SILENCE, other))[0]


def test_a_node_shows_no_way_of_pods() -> None:
    """Nodes' networks and pods' are joined by different means; nor does who stands on the target's own node."""
    beside = origin("web/z", End("10.244.2.2", "b", peer("web/z")), lambda _: "open")
    assert ("unknown", LOST) == said(surveyed(SILENCE, beside))


def test_pods_of_ours_show_the_way() -> None:
    """Which no policy holds; where they do not get along either, it stays unknown."""
    assert "blocked" == said(surveyed(SILENCE, along=beacon(lambda dial: "open")))[0]
    assert ("unknown", LOST) == said(surveyed(SILENCE, along=beacon(lambda dial: SILENCE)))


def test_a_pod_of_ours_that_can_not_be_had_shows_nothing() -> None:
    """And breaks nothing."""

    def none(node: str) -> Pod:
        raise ProbeError(f"no pod on {node}")

    assert ("unknown", LOST) == said(surveyed(SILENCE, along=none))


@pytest.mark.parametrize("elsewhere", ["a", "c"], ids=["the-source's-own-node", "a-third-node"])
def test_a_service_that_may_lead_two_ways_shows_neither(elsewhere: str) -> None:
    """It was open by one of them, and nobody knows by which."""
    ends = (End(THERE, "b", peer("pay/api")), End("10.244.3.1", elsewhere, peer("pay/api")))
    behind = tuple(Dial(end.address, 8080) for end in ends)
    both = Destination("pay/api", "service", Dial("10.96.0.1", 80), 8080, "Service pay/api", ends, behind)
    other = origin(
        "web/y", End("10.244.1.2", "a", peer("web/y")), lambda dial: "open" if dial.startswith("10.96.") else SILENCE
    )
    found = surveyed(SILENCE, other, ways=(both,))
    assert "unknown" == next(
        cell.verdict for cell in found.between("web/x", "pay/api") if cell.destination.way == "pod"
    )


def test_one_family_shows_nothing_of_the_other() -> None:
    """IPv4 may get along where IPv6 does not; and a pod of ours without such an address can't try."""
    six = Destination(
        "pay/api", "pod", Dial("fd00::1", 8080), 8080, "pod api-0", (End("fd00::1", "b", peer("pay/api")),)
    )
    other = origin("web/y", End("10.244.1.2", "a", peer("web/y")), lambda dial: SILENCE if "fd00" in dial else "open")
    found = surveyed("refused", other, ways=(six,), along=beacon(lambda _: "open"))
    cell = next(cell for cell in found.between("web/y", "pay/api") if cell.destination is six)
    assert ("unknown", f"{LOST} by IPv6") == (cell.verdict, cell.why)


def test_a_way_that_opens_meanwhile_is_asked_again() -> None:
    """What was silent while the network was broken, and is open once ours get along, is open."""
    answers = iter([SILENCE])
    near = End("10.244.1.2", "a", peer("web/y"))
    late = origin("web/y", near, lambda dial: next(answers, "open") if dial.startswith(THERE) else "refused")
    found = surveyed("refused", late, along=beacon(lambda _: "open"))
    (cell,) = found.between("web/y", "pay/api")
    assert "open" == cell.verdict


def test_a_way_that_closes_meanwhile_is_not_shown() -> None:
    """Ours got along it, and do no more once everybody was asked."""
    walks = iter(["open"])
    assert ("unknown", LOST) == said(surveyed(SILENCE, along=beacon(lambda _: next(walks, SILENCE))))


def test_a_node_without_a_pod_is_asked_for_one_once() -> None:
    """It takes a minute to find out that none starts."""
    asked: list[str] = []

    def none(node: str) -> Pod:
        asked.append(node)
        raise ClusterError(f"node {node}: its events can't be read")

    surveyed(SILENCE, along=none)
    assert sorted(set(asked)) == sorted(asked)


def test_what_is_dialled_at_a_node_goes_there_first() -> None:
    """And from there to the pod; within one node there is no way."""
    sends = Origin("outside", End(""), Nowhere("outside"))
    far = End(THERE, "b", peer("pay/api"))
    port = Destination("pay/api", "node", Dial(A, 30000), 8080, "through a", (far,))
    assert {
        Route(Side("", pod=False), Side("a", pod=False)),
        Route(Side("a", pod=False), Side("b", pod=True)),
    } == taken(sends, port, {A: "a", B: "b"})
    assert "from outside to a" == str(min(taken(sends, port, {A: "a"})))
    near = replace(port, way="pod", dial=Dial(THERE, 8080))
    assert frozenset() == taken(Origin("x", replace(far, address="10.244.2.7"), Nowhere("x")), near, {})


def test_all_ways_from_one_place_are_walked_in_one_exec() -> None:
    """From each of two nodes to 50 others: one exec for each source, not one for each way."""
    names = [f"n{number}" for number in range(50)]
    kubelets = tuple(
        Destination(f"node/{name}", "node", Dial(f"172.18.1.{at}", 10250), 10250, "the node", (End("", name),))
        for at, name in enumerate(names)
    )
    machines = tuple(origin(f"node/{name}", End(name, name), lambda _: "open") for name in ("a", "b"))
    routes = Routes(Places(machines, kubelets, ()), None)
    ways = [Route(Side(source, pod=False), Side(name, pod=False)) for source in ("a", "b") for name in names]
    assert frozenset(ways) == routes.walked(ways, MANNER)
    assert 2 == routes.execs


def test_many_ways_on_which_nothing_gets_through_are_one_note() -> None:
    """Few are told apart."""
    few = [Route(Side("a", pod=True), Side(name, pod=True)) for name in ("b", "c")]
    assert [LOST, LOST.replace("on b", "on c")] == unshown_in_words(few)
    many = [Route(Side("a", pod=True), Side(f"n{number}", pod=True)) for number in range(9)]
    (note,) = unshown_in_words(many)
    assert "nothing shows that packets get from pods on a to pods on 9 nodes: n0, n1, n2 and 6 more" == note
