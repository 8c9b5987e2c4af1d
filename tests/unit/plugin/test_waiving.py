"""Which breach a waiver covers, by which names, on which day; and which names last."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.plugin.waiving.names import case_names
from pytest_k8ssec.plugin.waiving.waive import states, waive
from pytest_k8ssec.reports.lasting import lasting_name
from pytest_k8ssec.settings.waivers import Waiver
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import evidence

DAY = dt.date(2026, 6, 1)


def waiver(subject: str = "door", **more: Any) -> Waiver:
    """One that holds."""
    return Waiver("net-door", subject, "why", "team", DAY, "", f"a.yaml:{subject}")._replace(**more)


def judge(*through: bool | None, shown: bool = True, **more: Any) -> Judge:
    """A case ``door`` with attacks of these outcomes."""
    made = Judge()
    case = made.case("door")
    for number, each in enumerate(through):
        case.attack(f"knock {number}", evidence(), through=each, **more)
    case.positive("somebody is in", evidence(Outcome.OPEN), succeeded=shown)
    return made


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("kubelet on worker (10.0.0.1)", []),
        ("10.0.0.1:2379", []),
        ("Deployment web/shop", ["web/shop", "Deployment web/shop"]),
        ("Job web/shop (made by x), container a", ["web/shop", "web/shop/a", "Job web/shop", "Job web/shop/a"]),
        ("service account web/a (of Helm)", ["web/a", "ServiceAccount web/a"]),
        ("namespace web (enforces baseline) at x", ["web", "Namespace web"]),
        ("Service web/a at 10.0.0.1:80", ["web/a", "Service web/a"]),
        ("Service web/a and Service web/b at 10.0.0.1:80", []),
        ("a bare pod in web", []),
    ],
)
def test_a_case_has_the_names_of_what_it_begins_with(name: str, names: list[str]) -> None:
    """And its own."""
    assert set(case_names(Case(name, required=True))) == {name, *names}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("kubelet on mine-worker (10.0.0.3)", "kubelet on mine-pack-worker (10.0.0.4)", True),
        ("kubelet on mine-worker", "kubelet on mine-pack-worker2", False),
        (
            "etcd of Pod kube-system/etcd-mine-control-plane",
            "etcd of Pod kube-system/etcd-mine-pack-control-plane",
            True,
        ),
        ("Deployment web/mine-shop", "Deployment web/mine-pack-shop", False),
        ("Deployment web/mine", "Deployment web/mine", True),
        ("Deployment web/mine-worker", "Deployment web/mine-worker", True),
        ("Secret kube-system/bootstrap-token-abcdef", "Secret kube-system/bootstrap-token-x1y2z3", True),
        ("web/api-857599f47-5ft6x at 10.0.0.5:8080", "web/api-6f9c8b7d5c-x2x4z at 10.1.0.6:8080", True),
        ("web/api-857599f47-5ft6x at 10.0.0.5:8080", "web/api-857599f47-5ft6x at 10.0.0.5:8081", False),
        ("web/api-857599f47-5ft6x at [fd00::5]:80", "web/api-857599f47-5ft6x at [fd00:1::7]:80", True),
        ("web/api-857599f47-5ft6x at 10.0.0.5:80", "web/ledger-857599f47-5ft6x at 10.0.0.5:80", False),
        ("kubelet on k8ssec-fb944629-worker", "kubelet on k8ssec-00c1aa29-worker", True),
        ("kubelet on k8ssec-fb944629-worker", "kubelet on k8ssec-fb944629-control-plane", False),
        ("connect to port 30080 of Service web/a", "connect to port 31234 of Service web/a", True),
        ("connect to port 10255", "connect to port 10250", False),
    ],
)
def test_what_is_drawn_anew_does_not_count(one: str, other: str, same: bool) -> None:
    """A rollout, or another cluster, is no other breach."""
    assert (lasting_name(one, "x", cluster="mine") == lasting_name(other, "x", cluster="mine-pack")) is same


@given(
    some.lists(some.sampled_from([True, False, None]), max_size=4),
    some.booleans(),
    some.sampled_from(["door", "*", "gate"]),
)
def test_no_waiver_makes_anything_held_that_was_not(through: list[bool | None], shown: bool, subject: str) -> None:
    """Held, inconclusive and not-applicable stay as they are; a breach is a breach, waived, or inconclusive."""
    before, _ = judge(*through, shown=shown).verdict()
    found = judge(*through, shown=shown)
    waive(found, [waiver(subject)], DAY)
    after, _ = found.verdict()
    if before is not Verdict.BREACHED or subject == "gate":
        assert after is before
    else:
        assert after in (Verdict.WAIVED, Verdict.INCONCLUSIVE)
        assert (after is Verdict.INCONCLUSIVE) is (None in through or (False in through and not shown))


def test_each_thing_that_was_used_has_to_be_waived() -> None:
    """By the same waiver, or by several."""
    used = [["web/shop:80", "30080"], ["web/other:80", "30080"]]
    for subjects, verdict in (
        (["web/shop:80"], Verdict.BREACHED),
        (["web/shop:80", "web/other:*"], Verdict.WAIVED),
        (["30080"], Verdict.WAIVED),
    ):
        found = judge(True, used=used)
        waive(found, [waiver(each) for each in subjects], DAY)
        assert found.verdict()[0] is verdict
    assert [each.subject for each in found.waived] == ["30080"]


def test_it_holds_to_the_end_of_its_last_day() -> None:
    """The next day it is a breach again, and the state says why."""
    for day, verdict, state in ((DAY, Verdict.WAIVED, "used"), (DAY + dt.timedelta(1), Verdict.BREACHED, "expired")):
        found = judge(True)
        waive(found, [waiver()], day)
        assert found.verdict()[0] is verdict
        assert [each["state"] for each in states(found, [waiver()], day, whole=True)] == [state]


def test_a_control_that_broke_off_says_nothing_of_what_is_unused() -> None:
    """What it did not record may be there."""
    found = judge(False)
    for subject, whole, state in (("door", True, "unused"), ("dor", True, "nothing"), ("dor", False, "unclear")):
        (told,) = states(found, [waiver(subject)], DAY, whole=whole)
        assert told["state"] == state
    (told,) = states(found, [waiver("dor")], DAY, whole=True)
    assert told["near"] == "door"


def test_a_subject_with_brackets_is_itself() -> None:
    """An address of IPv6 is no set of letters."""
    found = Judge()
    found.case("[fd00::1]:80").attack("knock", evidence(), through=True)
    waive(found, [waiver("[fd00::1]:80")], DAY)
    assert found.verdict()[0] is Verdict.WAIVED


def test_with_another_thing_it_is_another_breach() -> None:
    """A glob over what is used hides nothing that a sabotage adds."""
    before, after = judge(True, used=[["web/shop"]]), judge(True, used=[["web/shop"], ["web/new"]])
    waive(before, [waiver("*")], DAY)
    known = {each.lasting for each in before.waived}
    waive(after, [waiver("*")], DAY, known)
    assert (before.verdict()[0], after.verdict()[0]) == (Verdict.WAIVED, Verdict.BREACHED)


def test_a_breach_on_a_cluster_of_its_own_is_the_one_that_was_waived() -> None:
    """A sabotage of the configuration has a cluster with nodes of other names; what is breached there anyway is no kill."""
    states_of = {}
    for cluster, known in (("k8ssec-ab12cd34", None), ("k8ssec-ab12cd34-etcd", {"kubelet on @-worker | knock"})):
        found = Judge()
        found.case(f"kubelet on {cluster}-worker").attack("knock", evidence(), through=True)
        waive(found, [waiver("*")], DAY, known, cluster)
        states_of[cluster] = found.verdict()[0], [each.lasting for each in found.waived]
    assert set(map(str, states_of.values())) == {str((Verdict.WAIVED, ["kubelet on @-worker | knock"]))}


@pytest.mark.parametrize("where", ["subjects", "used"])
def test_a_text_is_no_list_of_names(where: str) -> None:
    """It would be its letters, each of which a glob matches."""
    with pytest.raises(TypeError, match=f"{where}: several names, not 'web/shop'"):
        if where == "subjects":
            Judge().case("door", subjects="web/shop")
        else:
            Judge().case("door").attack("knock", evidence(), through=True, used=["web/shop"])


def test_a_case_may_be_called_by_a_number() -> None:
    """Such as a port; a waiver says it as text."""
    found = Judge()
    found.case(8080).attack("knock", evidence(), through=True)  # type: ignore[arg-type]
    waive(found, [waiver("8080")], DAY)
    assert found.verdict()[0] is Verdict.WAIVED
