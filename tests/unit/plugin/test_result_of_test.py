"""From a test's end to its result: whatever ended it can lower a verdict, and never lift it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from pytest_k8ssec.catalogue.annotated import control_of
from pytest_k8ssec.catalogue.control import Sabotage
from pytest_k8ssec.controls.etcd.client_auth import test_etcd_client_auth as etcd_client_auth
from pytest_k8ssec.errors import ClusterError, NoAccess, ProbeError
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.plugin import session
from pytest_k8ssec.plugin.result_of_test import not_run, result_of_test
from pytest_k8ssec.reports.result import Result
from pytest_k8ssec.sabotages.packs import Pack
from pytest_k8ssec.sabotages.phases import Phase
from pytest_k8ssec.sabotages.saboteur import Saboteur
from pytest_k8ssec.verdict import Judge, Verdict
from tests.unit.fakes import FakeCluster, evidence


def checks_ports() -> None:
    """Stand for a user's own test."""


class Config:
    """As much of pytest's configuration as its result needs: a run without waivers."""

    def __init__(self) -> None:
        self.stash = pytest.Stash()
        self.stash[session.WAIVERS] = ()
        self.invocation_params = pytest.Config.InvocationParams(args=(), plugins=None, dir=Path.cwd())


@dataclass
class Item:
    """As much of a pytest item as its result needs."""

    function: Callable[..., None] = checks_ports
    name: str = "test_ports"
    config: Config = field(default_factory=Config)
    nodeid: str = "test_it.py::test_ports"
    path: Path = field(default_factory=lambda: Path.cwd() / "test_it.py")
    location: tuple[str, int, str] = ("test_it.py", 2, "test_ports")


def judge(case: str = "") -> Judge:
    """A judge that has recorded a held, a breached or an unproven case, or none."""
    made = Judge()
    if case:
        target = made.case("target")
        target.attack("connect", evidence(Outcome.REFUSED), through=case == "breached")
        target.positive("it listens", evidence(Outcome.OPEN), succeeded=case != "unproven")
    return made


def result(records: Judge, ended_by: BaseException | None, item: Item | None = None) -> Result:
    """What comes of it."""
    return result_of_test(cast("pytest.Function", item or Item()), records, Phase(), ended_by, 1.5)


def raised(error: BaseException) -> BaseException:
    """The error with a traceback, as if the test had raised it."""
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - whatever it is
        return caught


SKIPPED = pytest.skip.Exception("no such thing here")
ENDINGS: dict[str, BaseException | None] = {
    "none": None,
    "assertion": AssertionError("ports differ"),
    "crash": KeyError("metadata"),
    "probe": ProbeError("pod a/b: broke off"),
    "cluster": ClusterError("GET /: no answer"),
    "no access": NoAccess("no node can be entered"),
    "skip": SKIPPED,
    "fail": pytest.fail.Exception("stop"),
    "exit": SystemExit(0),
}
HELD, BREACHED, INCONCLUSIVE, NOT_APPLICABLE, WAIVED = Verdict


@pytest.mark.parametrize(
    ("recorded", "ending", "expected"),
    [
        ("held", "none", HELD),
        ("held", "assertion", BREACHED),
        ("held", "crash", INCONCLUSIVE),
        ("held", "probe", INCONCLUSIVE),
        ("held", "cluster", INCONCLUSIVE),
        ("held", "no access", INCONCLUSIVE),
        ("held", "skip", INCONCLUSIVE),
        ("held", "fail", INCONCLUSIVE),
        ("held", "exit", INCONCLUSIVE),
        *(("breached", ending, BREACHED) for ending in ENDINGS),
        *(("unproven", ending, INCONCLUSIVE) for ending in ENDINGS),
        *(("", ending, INCONCLUSIVE) for ending in ENDINGS if ending not in ("no access", "skip")),
        ("", "no access", NOT_APPLICABLE),
        ("", "skip", NOT_APPLICABLE),
    ],
)
def test_an_early_end_only_lowers_the_verdict(recorded: str, ending: str, expected: Verdict) -> None:
    """Each way to end a test, after each kind of record, gives the verdict that was earned and no better one."""
    assert expected == result(judge(recorded), ENDINGS[ending]).verdict


@pytest.mark.parametrize("ending", [name for name in ENDINGS if name not in ("none", "no access", "skip")])
def test_a_crash_is_not_excused_by_having_said_not_applicable(ending: str) -> None:
    """A test that says there is nothing to attack and then breaks is inconclusive."""
    records = judge()
    records.not_applicable("no etcd")
    assert Verdict.INCONCLUSIVE == result(records, ENDINGS[ending]).verdict


def test_the_reason_tells_what_ended_the_test_and_what_was_missing() -> None:
    """An inconclusive result names the error first, then what the judge lacked."""
    assert (
        "ProbeError: pod a/b: broke off\nno attack and no positive control were recorded"
        == result(judge(), ENDINGS["probe"]).reason
    )


def test_the_reason_of_an_assertion_is_the_assertion() -> None:
    """A test's own assertion, after records that would have held, is told as the breach that it found."""
    assert "AssertionError: ports differ" == result(judge("held"), raised(AssertionError("ports differ"))).reason


def test_an_assertion_of_our_own_code_is_no_finding() -> None:
    """Where this package's code fails one of its own assertions the verdict is inconclusive, not breached."""
    no_live_one = Sabotage("on-its-own-cluster", "title", frozenset(), frozenset())
    with pytest.raises(AssertionError) as caught:
        Saboteur(lambda: None).enter(Pack.alone(no_live_one), FakeCluster().as_cluster(), lambda _: None)
    assert Verdict.INCONCLUSIVE == result(judge("held"), caught.value).verdict


def test_a_control_gives_its_result_all_that_its_module_says() -> None:
    """The result of a control carries its id, text, severity and references."""
    control = control_of(etcd_client_auth)
    assert control is not None
    found = result(judge("held"), None, Item(etcd_client_auth, "test_etcd_client_auth[intact]"))
    assert ("etcd-client-auth", "test_etcd_client_auth[intact]", "cluster", "critical", 1.5) == (
        found.control,
        found.test,
        found.subject,
        found.severity,
        found.seconds,
    )
    assert (control.title, control.remediation, control.snippets) == (found.title, found.remediation, found.snippets)
    assert ["2.2"] == found.mappings["cis"]


def test_a_users_own_test_is_named_as_it_is() -> None:
    """The result of a test that is no control has its name, and nothing made up."""
    found = result(judge("held"), None)
    assert ("test_ports", "test_ports", "", "", "", {}) == (
        found.control,
        found.title,
        found.subject,
        found.severity,
        found.remediation,
        found.mappings,
    )


@pytest.mark.parametrize(("skipped", "expected"), [(True, Verdict.NOT_APPLICABLE), (False, Verdict.INCONCLUSIVE)])
def test_a_test_that_was_not_set_up_has_tried_nothing(skipped: bool, expected: Verdict) -> None:
    """A failed set-up is inconclusive, a skipped one not-applicable, and neither has attacks."""
    found = not_run(cast("pytest.Item", Item()), Phase("intact"), "no docker daemon", skipped=skipped)
    assert (expected, "no docker daemon", [], []) == (
        found.verdict,
        found.reason,
        found.judge.attacks,
        found.judge.positives,
    )


def test_that_there_was_nothing_to_attack_is_no_reason_for_an_error() -> None:
    """It was said before anybody had looked."""
    early = judge()
    early.not_applicable("the stack has no workload")
    found = result(early, raised(ProbeError("pod web/t: is not running")))
    assert Verdict.INCONCLUSIVE is found.verdict
    assert "no workload" not in found.reason
    assert "is not running" in found.reason
