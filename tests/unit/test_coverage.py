"""What exists and was not tried: never held, named, and counted in the report."""

from __future__ import annotations

from itertools import product

import pytest

from pytest_k8ssec.coverage import Coverage, combination
from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.verdict import Judge, Verdict

HERE = Source("client", "test")
NODES, PROTOCOLS = ("one", "two"), ("TCP", "UDP")
EVERYTHING = [{"node": node, "protocol": protocol} for node, protocol in product(NODES, PROTOCOLS)]


def answer() -> Evidence:
    """Evidence of a probe that worked."""
    return Evidence(HERE, "ask", Outcome.DONE)


def judge_of(*tried: dict[str, str], existing: list[dict[str, str]] = EVERYTHING) -> Judge:
    """A judge that knows what exists, and what of it was tried and refused."""
    judge = Judge(("node", "protocol"))
    for each in existing:
        judge.coverage.exists(**each)
    case = judge.case("a port")
    case.positive("it is there", answer(), succeeded=True)
    case.attack("look at it", answer(), through=False)
    for each in tried:
        case.attack("open it", answer(), through=False, at=each)
    return judge


def test_all_of_it_tried_is_held() -> None:
    """And a line says how much that is."""
    judge = judge_of(*EVERYTHING)
    assert (Verdict.HELD, "") == judge.verdict()
    assert "4 of 4 combinations of node, protocol tried" == judge.coverage.words(judge.tried)


@pytest.mark.parametrize("hole", range(4))
def test_one_hole_is_inconclusive_though_each_of_its_values_was_tried_elsewhere(hole: int) -> None:
    """TCP from one node and UDP from another cover neither from both."""
    tried = [each for number, each in enumerate(EVERYTHING) if number != hole]
    missing = EVERYTHING[hole]
    verdict, reason = judge_of(*tried).verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert f"not tried: node {missing['node']}, protocol {missing['protocol']} (no attack tried it)" == reason


def test_several_at_once() -> None:
    """One attack may try many: it is one request for all of them."""
    judge = judge_of()
    judge.cases[0].attack("all", answer(), through=False, at=EVERYTHING)
    assert Verdict.HELD is judge.verdict()[0]


def test_what_is_missing_is_named_and_the_rest_counted() -> None:
    """A reason stays one line."""
    _, reason = judge_of().verdict()
    assert reason.endswith("; and 1 more")
    assert 3 == reason.count("no attack tried it")


def test_a_breach_stays_one() -> None:
    """What was not tried can't make it better."""
    judge = judge_of()
    judge.cases[0].attack("open it", answer(), through=True, at=EVERYTHING[0])
    assert Verdict.BREACHED is judge.verdict()[0]


def test_one_of_a_class_speaks_for_the_others_of_it_only() -> None:
    """Which have to be stated as one class."""
    judge = Judge()
    for account, kind in (("a", "equal"), ("b", "equal"), ("c", "other")):
        judge.coverage.exists(alike=kind, account=account)
    case = judge.case("accounts")
    case.positive("it is there", answer(), succeeded=True)
    case.attack("as a", answer(), through=False, at={"account": "a"})
    assert (Verdict.INCONCLUSIVE, "not tried: account c (no attack tried it)") == judge.verdict()
    case.attack("as c", answer(), through=False, at={"account": "c"})
    assert Verdict.HELD is judge.verdict()[0]
    assert "2 of 3 combinations of account tried, 1 by their class" == judge.coverage.words(judge.tried)


def test_without_a_class_nothing_speaks_for_anything() -> None:
    """Two that state no class are not of one."""
    coverage = Coverage()
    coverage.exists(account="a")
    coverage.exists(account="b")
    assert [combination({"account": "b"})] == list(coverage.untried([combination({"account": "a"})]))


def test_absent_changes_nothing_and_is_listed() -> None:
    """Evidence shows that nothing is there."""
    judge = judge_of(*EVERYTHING)
    judge.coverage.exists(node="three", protocol="TCP")
    judge.coverage.absent("nothing listens", node="three", protocol="TCP")
    assert Verdict.HELD is judge.verdict()[0]
    found = judge.coverage.to_json(judge.tried)
    assert isinstance(found, dict)
    assert [{"at": {"node": "three", "protocol": "TCP"}, "why": "nothing listens"}] == found["nothing_there"]
    assert (4, 4, 0, 0, 1) == tuple(found[key] for key in ("existing", "tried", "by_class", "left_out", "absent"))


def test_left_out_is_inconclusive_with_its_reason() -> None:
    """Also where nobody said before that it exists."""
    judge = judge_of(*EVERYTHING)
    judge.coverage.left_out("its sockets can't be read", node="four", protocol="UDP")
    assert (Verdict.INCONCLUSIVE, "not tried: node four, protocol UDP (its sockets can't be read)") == judge.verdict()
    found = judge.coverage.to_json(judge.tried)
    assert isinstance(found, dict)
    assert (5, 4, 1) == (found["existing"], found["tried"], found["left_out"])
    assert [{"at": {"node": "four", "protocol": "UDP"}, "why": "its sockets can't be read"}] == found["untried"]


def test_dimensions_that_nobody_filled_are_inconclusive() -> None:
    """A control that forgot to look for what there is must not hold."""
    verdict, reason = judge_of(existing=[]).verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert "not tried: nobody said what there is to try, by node, protocol" == reason


def test_other_dimensions_are_an_error() -> None:
    """As half a combination would match nothing, or everything."""
    coverage = Coverage(("node", "protocol"))
    for wrong in ({"node": "one"}, {"node": "one", "port": "1"}):
        with pytest.raises(TypeError, match="dimensions are node, protocol, not node"):
            coverage.exists(**wrong)


def test_values_are_compared_as_text() -> None:
    """A port is the same whether a number or its text."""
    coverage = Coverage()
    coverage.exists(port=80)
    assert "" == coverage.reason({combination({"port": "80"})})


def test_who_declares_none_is_judged_as_before() -> None:
    """A team's own test need not know of it."""
    judge = Judge()
    case = judge.case("a port")
    case.positive("it is there", answer(), succeeded=True)
    case.attack("open it", answer(), through=False)
    assert Verdict.HELD is judge.verdict()[0]
    assert None is judge.coverage.to_json(judge.tried)


def test_a_judge_that_takes_over_has_the_coverage_too() -> None:
    """As a control may have run beside others."""
    judge = Judge(("node", "protocol"))
    judge.take_over(judge_of(EVERYTHING[0]))
    assert Verdict.INCONCLUSIVE is judge.verdict()[0]
