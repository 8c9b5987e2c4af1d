"""The judge: *held* is earned by attacks that were all stopped beside positive controls that all succeeded."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations_with_replacement, product
from typing import Any

import pytest

from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.evidence.causes import FieldCheck, Right, Setting
from pytest_k8ssec.verdict import Attack, Case, Judge, Positive, Verdict
from tests.unit.fakes import evidence

KNOWN = (True, False, None)
BROKEN = evidence(Outcome.ERROR)
FINE = evidence(Outcome.REFUSED)

# What one record can be: (what the control says, whether its probe broke).
Record = tuple[bool | None, bool]
RECORDS: tuple[Record, ...] = tuple(product(KNOWN, (False, True)))
SEVERAL = tuple(records for count in (0, 1, 2) for records in combinations_with_replacement(RECORDS, count))


def record(case: Case, attacks: tuple[Record, ...], positives: tuple[Record, ...]) -> None:
    """Fill a case as a control would."""
    for through, broken in attacks:
        case.attack("connect", BROKEN if broken else FINE, through=through)
    for succeeded, broken in positives:
        case.positive("it listens", BROKEN if broken else FINE, succeeded=succeeded)


def got_through(attacks: tuple[Record, ...]) -> bool:
    """Whether one of the attacks succeeded beyond doubt."""
    return (True, False) in attacks


def earned(attacks: tuple[Record, ...], positives: tuple[Record, ...]) -> bool:
    """What *held* takes, said in another way than the judge says it."""
    return bool(attacks) and set(attacks) == {(False, False)} and bool(positives) and set(positives) == {(True, False)}


def refuted(positives: tuple[Record, ...]) -> bool:
    """Whether a positive control failed beyond doubt."""
    return (False, False) in positives


def judged(*cases: tuple[bool, tuple[Record, ...], tuple[Record, ...]]) -> Verdict:
    """The verdict on cases, each given as required, attacks and positives."""
    judge = Judge()
    for number, (required, attacks, positives) in enumerate(cases):
        record(judge.case(f"case {number}", required=required), attacks, positives)
    return judge.verdict()[0]


STOPPED: tuple[Record, ...] = ((False, False),)
THROUGH: tuple[Record, ...] = ((True, False),)
UNKNOWN: tuple[Record, ...] = ((None, False),)
SHOWN: tuple[Record, ...] = ((True, False),)
FAILED: tuple[Record, ...] = ((False, False),)


@pytest.mark.parametrize("required", [True, False])
def test_one_case_of_every_kind_gets_the_verdict_that_it_earned(required: bool) -> None:
    """A single case holds when all was stopped and shown, is breached by one success, and is else inconclusive."""
    for attacks, positives in product(SEVERAL, SEVERAL):
        expected = Verdict.INCONCLUSIVE
        if got_through(attacks):
            expected = Verdict.BREACHED
        elif earned(attacks, positives):
            expected = Verdict.HELD
        assert expected == judged((required, attacks, positives)), (attacks, positives)


ONE_EACH = tuple(records for count in (0, 1) for records in combinations_with_replacement(RECORDS, count))
CASES = tuple(product((True, False), ONE_EACH, ONE_EACH))


def test_no_pair_of_cases_holds_unless_each_one_that_counts_has_earned_it() -> None:
    """Of all pairs of small cases only those hold in which each is earned, or optional and plainly refuted."""
    for pair in combinations_with_replacement(CASES, 2):
        verdict = judged(*pair)
        breached = any(got_through(attacks) for _, attacks, _ in pair)
        proven = [earned(attacks, positives) for _, attacks, positives in pair]
        excused = [not required and refuted(positives) for required, _, positives in pair]
        may_hold = any(proven) and all(
            is_proven or is_excused for is_proven, is_excused in zip(proven, excused, strict=True)
        )
        expected = Verdict.BREACHED if breached else Verdict.HELD if may_hold else Verdict.INCONCLUSIVE
        assert expected == verdict, pair


def test_the_order_of_cases_changes_no_verdict() -> None:
    """Each pair of cases gets the same verdict the other way round."""
    for first, second in combinations_with_replacement(CASES, 2):
        assert judged(first, second) == judged(second, first), (first, second)


def test_adding_a_case_never_lifts_a_verdict_to_held() -> None:
    """What did not hold alone never holds because an optional or an empty case stands beside it."""
    unproven = [case for case in CASES if not earned(case[1], case[2])]
    for case in unproven:
        if case[0]:  # a required one
            assert judged(case, (True, STOPPED, SHOWN)) is not Verdict.HELD, case


def test_without_any_attack_nothing_held() -> None:
    """A positive control alone proves nothing."""
    judge = Judge()
    record(judge.case("etcd"), (), SHOWN)
    assert (Verdict.INCONCLUSIVE, "etcd: no attack was recorded") == judge.verdict()


def test_without_a_positive_control_nothing_held() -> None:
    """An attack that was stopped by who knows what proves nothing."""
    judge = Judge()
    record(judge.case("etcd"), STOPPED, ())
    assert (Verdict.INCONCLUSIVE, "etcd: no positive control was recorded") == judge.verdict()


def test_the_reason_names_the_positive_control_that_failed() -> None:
    """A failed positive control is told with its evidence."""
    judge = Judge()
    record(judge.case("etcd"), STOPPED, FAILED)
    assert (
        Verdict.INCONCLUSIVE,
        "etcd: positive control failed: it listens: pod k8ssec-1/attacker on worker: TCP 10.244.0.9:80 -> refused",
    ) == judge.verdict()


def test_the_reason_names_the_attack_that_can_not_be_told() -> None:
    """An unknown outcome is told with its evidence."""
    judge = Judge()
    record(judge.case("etcd"), UNKNOWN, SHOWN)
    assert (
        Verdict.INCONCLUSIVE,
        "etcd: could not tell: connect: pod k8ssec-1/attacker on worker: TCP 10.244.0.9:80 -> refused",
    ) == judge.verdict()


@pytest.mark.parametrize("claimed", KNOWN)
def test_broken_evidence_makes_an_attack_unknown_whatever_is_claimed(claimed: bool | None) -> None:
    """A probe that broke neither got through nor was stopped."""
    case = Judge().case("etcd")
    record(case, ((claimed, True),), SHOWN)
    assert [None] == [attack.through for attack in case.attacks]
    assert Verdict.INCONCLUSIVE == case.verdict()[0]


@pytest.mark.parametrize("claimed", KNOWN)
def test_broken_evidence_makes_a_positive_control_unknown_whatever_is_claimed(claimed: bool | None) -> None:
    """A probe that broke has shown nothing."""
    case = Judge().case("etcd")
    record(case, STOPPED, ((claimed, True),))
    assert [None] == [positive.succeeded for positive in case.positives]
    assert Verdict.INCONCLUSIVE == case.verdict()[0]


def test_broken_evidence_counts_for_nothing_even_when_it_is_put_into_the_records_directly() -> None:
    """The verdict looks at the evidence itself, not only at what the recording methods noted."""
    judge = Judge()
    case = judge.case("etcd")
    case.attacks.append(Attack("etcd", "connect", BROKEN, through=False))
    case.positives.append(Positive("etcd", "it listens", FINE, succeeded=True))
    assert Verdict.INCONCLUSIVE == judge.verdict()[0]
    case.attacks[0] = Attack("etcd", "connect", FINE, through=False)
    assert Verdict.HELD == judge.verdict()[0]
    case.positives[0] = Positive("etcd", "it listens", BROKEN, succeeded=True)
    assert Verdict.INCONCLUSIVE == judge.verdict()[0]


def test_a_breach_wins_over_everything_else() -> None:
    """One attack that got through decides, whatever other cases say, and each breach is named."""
    judge = Judge()
    record(judge.case("a"), STOPPED, SHOWN)
    record(judge.case("b"), UNKNOWN, FAILED)
    record(judge.case("c", required=False), THROUGH, FAILED)
    record(judge.case("d"), (*STOPPED, *THROUGH), ())
    verdict, reason = judge.verdict()
    assert Verdict.BREACHED == verdict
    assert ["c", "d"] == [line.partition(":")[0] for line in reason.splitlines()]


def test_an_optional_case_that_is_refuted_takes_no_part() -> None:
    """Where nothing listens, an optional place neither holds nor spoils what other places show."""
    refuted_place = (False, STOPPED, FAILED)
    assert Verdict.HELD == judged((False, STOPPED, SHOWN), refuted_place)
    assert Verdict.INCONCLUSIVE == judged(refuted_place)
    assert Verdict.INCONCLUSIVE == judged((True, STOPPED, SHOWN), (True, STOPPED, FAILED))


@pytest.mark.parametrize("positives", [(), ((None, False),), ((True, True),), ((True, False), (None, False))])
def test_an_optional_case_about_which_nothing_is_known_is_not_dismissed(positives: tuple[Record, ...]) -> None:
    """Only a positive control that plainly failed excuses an optional case; a missing or broken one does not."""
    assert Verdict.INCONCLUSIVE == judged((True, STOPPED, SHOWN), (False, STOPPED, positives))


def test_an_optional_case_that_is_shown_counts_like_any_other() -> None:
    """A place that is proven to be there must have been attacked, and with a known outcome."""
    held = (True, STOPPED, SHOWN)
    assert Verdict.INCONCLUSIVE == judged(held, (False, (), SHOWN))
    assert Verdict.INCONCLUSIVE == judged(held, (False, UNKNOWN, SHOWN))


def test_nothing_recorded_is_inconclusive() -> None:
    """A test that records nothing has proven nothing, whatever else it did."""
    assert (Verdict.INCONCLUSIVE, "no attack and no positive control were recorded") == Judge().verdict()


def test_zero_targets_are_not_applicable_only_when_said_so() -> None:
    """A loop over nothing is told apart from nothing to attack by what the control says."""
    judge = Judge()
    judge.not_applicable("no workload has a port")
    assert (Verdict.NOT_APPLICABLE, "no workload has a port") == judge.verdict()


@pytest.mark.parametrize("reason", ["", "  ", "\n"])
def test_not_applicable_without_a_reason_is_inconclusive(reason: str) -> None:
    """Not-applicable takes a reason that somebody can read."""
    judge = Judge()
    judge.not_applicable(reason)
    assert Verdict.INCONCLUSIVE == judge.verdict()[0]


def test_not_applicable_does_not_excuse_a_case() -> None:
    """Once there is something to attack, saying that there is nothing no longer counts."""
    judge = Judge()
    judge.case("etcd")
    judge.not_applicable("no etcd")
    assert Verdict.INCONCLUSIVE == judge.verdict()[0]


@pytest.mark.parametrize("wrong", [None, True, "HTTP 401", {"outcome": "refused"}, Outcome.REFUSED])
def test_anything_but_evidence_is_refused(wrong: Any) -> None:
    """A verdict rests on what a probe sent and got back, and on nothing else."""
    case = Judge().case("etcd")
    with pytest.raises(TypeError, match="evidence must be Evidence from a probe, not"):
        case.attack("connect", wrong, through=False)
    with pytest.raises(TypeError, match="evidence must be Evidence from a probe, not"):
        case.positive("it listens", wrong, succeeded=True)
    assert ([], []) == (case.attacks, case.positives)


@pytest.mark.parametrize("vague", ["no", "", 0, 1, [], "held"])
def test_an_outcome_that_is_neither_yes_no_nor_unknown_is_refused(vague: Any) -> None:
    """A truthy text must not prove anything, and an empty one must not pass for a stopped attack."""
    case = Judge().case("etcd")
    with pytest.raises(TypeError, match="through must be True, False or None"):
        case.attack("connect", FINE, through=vague)
    with pytest.raises(TypeError, match="succeeded must be True, False or None"):
        case.positive("it listens", FINE, succeeded=vague)
    assert ([], []) == (case.attacks, case.positives)


def test_notes_bear_on_no_verdict() -> None:
    """A note is kept for the report and proves nothing."""
    judge = Judge()
    judge.note("enforced after 300 ms")
    assert ("enforced after 300 ms",) == judge.notes
    assert Verdict.INCONCLUSIVE == judge.verdict()[0]


def test_records_tell_their_case_their_words_and_their_evidence() -> None:
    """The report's form of an attack and of a positive control holds everything, and no empty field."""
    judge = Judge()
    case = judge.case("etcd at 10.0.0.2:2379")
    case.attack("without a certificate", evidence(Outcome.TLS_ALERT, detail="CERTIFICATE_REQUIRED"), through=False)
    case.positive("the real certificate opens it", evidence(Outcome.HTTP, status=200, latency_ms=1.5), succeeded=True)
    common = {
        "case": "etcd at 10.0.0.2:2379",
        "source": {
            "kind": "pod",
            "name": "k8ssec-1/attacker",
            "address": "10.244.0.7",
            "node": "worker",
            "identity": "",
        },
        "request": "TCP 10.244.0.9:80",
        "at": "2030-01-02T03:04:05.678Z",
    }
    assert [
        {
            **common,
            "what": "without a certificate",
            "through": False,
            "outcome": "tls-alert",
            "detail": "CERTIFICATE_REQUIRED",
        }
    ] == [attack.to_json() for attack in judge.attacks]
    assert [
        {
            **common,
            "what": "the real certificate opens it",
            "succeeded": True,
            "outcome": "http",
            "status": 200,
            "latency_ms": 1.5,
        }
    ] == [positive.to_json() for positive in judge.positives]


def test_a_table_has_rows_and_columns_in_the_order_in_which_they_came() -> None:
    """A status, or the outcome where there is none; marked where it is a breach and where nobody can tell."""
    judge = Judge()
    judge.table("doors").put("front", "by day", evidence(Outcome.HTTP, status=403), breach=False)
    judge.table("doors").put("back", "by night", evidence(Outcome.OPEN), breach=True)
    judge.table("doors").put("front", "by night", evidence(Outcome.ERROR), breach=True)
    judge.table("empty")
    (table,) = judge.tables
    assert {
        "title": "doors",
        "columns": ["by day", "by night"],
        "rows": [{"row": "front", "cells": ["403", "error ?"]}, {"row": "back", "cells": ["", "open !"]}],
    } == table.to_json()


def test_a_table_bears_on_no_verdict() -> None:
    """What it shows has to be recorded as an attack as well; and it takes no value that only looks false."""
    judge = Judge()
    record(judge.case("door"), STOPPED, SHOWN)
    judge.table("doors").put("front", "by day", FINE, breach=True)
    assert Verdict.HELD is judge.verdict()[0]
    with pytest.raises(TypeError, match="breach must be True, False or None, not 0"):
        judge.table("doors").put("front", "by day", FINE, breach=0)  # type: ignore[arg-type]


RIGHT, SETTING = Right("somebody", "get", "secrets"), Setting("kubelet", FieldCheck((("readOnlyPort",),)))


def test_a_breach_has_the_causes_of_what_got_through_and_of_the_kinds_that_count() -> None:
    """An attack's own cause comes before its case's, and that before its evidence's; what was stopped has none."""
    judge = Judge()
    case, held = judge.case("door", causes=[SETTING]), judge.case("window")
    asked = replace(evidence(Outcome.OPEN), cause=RIGHT)
    case.attack("knock", asked, through=False, cause=RIGHT)
    case.attack("push", asked, through=True)
    case.attack("pull", asked, through=True, cause=RIGHT)
    held.attack("knock", asked, through=False)
    assert [("door", "push", (SETTING, RIGHT))] == judge.breaches((object,))
    assert [("door", "push", (RIGHT,))] == judge.breaches((Right,))
    assert [("door", "push", ())] == judge.breaches(())


def test_evidence_says_what_was_asked_for_where_nobody_else_does() -> None:
    """And that stays out of the report's evidence."""
    judge = Judge()
    asked = replace(evidence(Outcome.OPEN), cause=RIGHT)
    judge.case("door").attack("push", asked, through=True)
    assert [("door", "push", (RIGHT,))] == judge.breaches((Right,))
    assert "cause" not in judge.attacks[0].to_json()
