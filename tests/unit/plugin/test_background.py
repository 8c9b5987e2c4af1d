"""Controls in the background: begun once what they need stands, judged at their turn, by all that they recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_k8ssec.catalogue.annotated import control_of
from pytest_k8ssec.catalogue.control import Control
from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.controls.id.token_revocation import test_id_token_revocation as id_token_revocation
from pytest_k8ssec.controls.rbac.cluster_admin import test_rbac_cluster_admin as rbac_cluster_admin
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.plugin.background import (
    _BACKGROUND,
    _GIVES,
    Background,
    Ran,
    _next_pack,
    _stretch,
    end_stretch,
    may_run_apart,
    replayed,
)
from pytest_k8ssec.sabotages.packs import Pack
from pytest_k8ssec.sabotages.phases import Phase
from pytest_k8ssec.verdict import Judge, Verdict
from tests.unit.fakes import evidence

LONG = 10
CLUSTER, STACK = id_token_revocation, rbac_cluster_admin


@dataclass
class Testbed:
    """What stands by now."""

    __test__ = False

    stands: bool = True
    cluster: str = "the cluster"
    stack: str = "the stack"
    pool: str = "the pool"


@dataclass(eq=False)
class Item:
    """As much of a pytest item as the background needs."""

    function: Callable[..., None]
    nodeid: str = "a.py::test"


@pytest.fixture
def body(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., None], Callable[..., None]], None]:
    """``body(control, function)``: what a control does instead, with the fixtures that it names itself."""

    def replace(of: Callable[..., None], by: Callable[..., None]) -> None:
        control = control_of(of)
        assert control is not None
        by.__dict__["__k8ssec_control__"] = control
        monkeypatch.setattr(control, "function", by)
        monkeypatch.setattr("pytest_k8ssec.plugin.background.packaged_control", lambda _: control)

    return replace


def background(*items: Item, allowed: Mapping[str, str] | None = None) -> Background:
    """The background of these items."""

    def judge_for(control: Control, testbed: object) -> Judge:
        assert control.id
        assert testbed
        return Judge()

    waiting = [cast("pytest.Function", each) for each in items]
    return Background([each.nodeid for each in items], waiting, judge_for, lambda _: allowed or {})


def begun(jobs: Background, testbed: Testbed) -> None:
    """Begin what may be."""
    jobs.begin(cast("Any", testbed))


def taken(jobs: Background, item: Item) -> Ran | None:
    """What became of it."""
    return jobs.take(cast("pytest.Item", item))


def test_what_it_recorded_is_judged_at_its_turn(body: Callable[..., None]) -> None:
    """With what our fixtures would have given it."""
    given: list[object] = []

    def control(judge: Judge, cluster: object, stack: object, allowed: object) -> None:
        given.extend((cluster, stack, allowed))
        judge.case("it").attack("knock", evidence(Outcome.OPEN), through=True)

    body(STACK, control)
    item = Item(control)
    jobs = background(item, allowed={"web": "why"})
    begun(jobs, Testbed())
    ran = taken(jobs, item)
    assert ran is not None
    assert (Verdict.BREACHED, None) == (ran.judge.verdict()[0], ran.ended_by)
    assert ["the cluster", "the stack", {"web": "why"}] == given
    assert taken(jobs, item) is None, "a further try of the test runs it"


@pytest.mark.parametrize("stands", [True, False])
def test_it_begins_once_all_stands(body: Callable[..., None], stands: bool) -> None:
    """Nothing is made for its sake: what a run does not need, it does not get."""

    def control(judge: Judge, stack: object) -> None:
        assert stack
        judge.note("ran")

    body(STACK, control)
    item = Item(control)
    jobs = background(item)
    begun(jobs, Testbed(stands=stands))
    assert (taken(jobs, item) is not None) is stands


def test_those_that_take_long_begin_first(body: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever their turns are: a stretch ends when its last control has."""
    ran: list[str] = []

    def control(judge: Judge) -> None:
        assert judge

    body(STACK, control)
    quick = control_of(control)
    assert quick is not None
    slow = replace(quick, slow=True, function=lambda: ran.append("slow"))
    quick = replace(quick, slow=False, function=lambda: ran.append("quick"))
    monkeypatch.setattr("pytest_k8ssec.plugin.background.packaged_control", lambda function: function())
    monkeypatch.setattr("pytest_k8ssec.plugin.background._TOGETHER", 1)
    items = [Item(cast("Any", lambda: quick), "a.py::quick"), Item(cast("Any", lambda: slow), "a.py::slow")]
    jobs = background(*items)
    begun(jobs, Testbed())
    assert taken(jobs, items[1]) is not None
    assert ran[0] == "slow"


def test_whatever_ends_it_is_kept(body: Callable[..., None]) -> None:
    """It is raised again where the test is judged."""

    def control(judge: Judge) -> None:
        judge.note("before")
        raise ProbeError("pod a/b: broke off")

    body(CLUSTER, control)
    item = Item(control)
    jobs = background(item)
    begun(jobs, Testbed())
    ran = taken(jobs, item)
    assert ran is not None
    assert isinstance(ran.ended_by, ProbeError)
    assert ("before",) == ran.judge.notes


def test_one_whose_turn_comes_before_it_was_begun_runs_then(body: Callable[..., None]) -> None:
    """It is not run twice, and not waited for while others are under way."""
    let, calls = threading.Event(), [0]

    def control(judge: Judge) -> None:
        judge.note("ran")
        calls[0] += 1
        assert let.wait(LONG)

    body(CLUSTER, control)
    items = [Item(control, f"a.py::test_{number}") for number in range(9)]
    jobs = background(*items)
    begun(jobs, Testbed())
    assert taken(jobs, items[-1]) is None
    let.set()
    assert [True] * 8 == [taken(jobs, item) is not None for item in items[:-1]]
    assert calls == [8]


def test_at_the_end_nothing_is_under_way_and_nothing_begins(body: Callable[..., None]) -> None:
    """What removes the cluster comes after that."""
    started, let, ended = threading.Event(), threading.Event(), threading.Event()

    def control(judge: Judge) -> None:
        judge.note("ran")
        started.set()
        assert let.wait(LONG)
        ended.set()

    body(CLUSTER, control)
    items = [Item(control, f"a.py::test_{number}") for number in range(9)]
    jobs = background(*items)
    begun(jobs, Testbed())
    assert started.wait(LONG)
    threading.Timer(0.05, let.set).start()
    jobs.stop(patience=None)
    assert ended.is_set()
    assert [None] * 9 == [taken(jobs, item) for item in items]


def test_patience_with_what_is_under_way_has_its_end(body: Callable[..., None]) -> None:
    """Where the cluster goes anyway, nobody waits for minutes after Ctrl-C."""
    started, let, ended = threading.Event(), threading.Event(), threading.Event()

    def control(judge: Judge) -> None:
        judge.note("ran")
        started.set()
        assert let.wait(LONG)
        ended.set()

    body(CLUSTER, control)
    jobs = background(Item(control))
    begun(jobs, Testbed())
    assert started.wait(LONG)
    jobs.stop(patience=0.01)
    threading.Timer(0.05, let.set).start()
    jobs.stop(patience=None)
    assert ended.is_set(), "who has more patience later waits for what did not end before"


@pytest.mark.parametrize("waits", ["take", "stop"])
def test_who_is_interrupted_while_waiting_forgets_nothing(
    body: Callable[..., None], monkeypatch: pytest.MonkeyPatch, waits: str
) -> None:
    """Ctrl-C, and once more: the cluster is not removed under what still works on it."""
    started, let, ended = threading.Event(), threading.Event(), threading.Event()

    def control(judge: Judge) -> None:
        judge.note("ran")
        started.set()
        assert let.wait(LONG)
        ended.set()

    body(CLUSTER, control)
    item = Item(control)
    jobs = background(item)
    begun(jobs, Testbed())
    assert started.wait(LONG)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    ways: dict[str, Callable[[], object]] = {
        "take": lambda: taken(jobs, item),
        "stop": lambda: jobs.stop(patience=None),
    }
    with monkeypatch.context() as context:
        context.setattr(Future, "result", interrupted)
        context.setattr("pytest_k8ssec.plugin.background.wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ways[waits]()
    threading.Timer(0.05, let.set).start()
    jobs.stop(patience=None)
    assert ended.is_set()
    assert taken(jobs, item) is None, "it was stopped, and is over"


@dataclass
class Turn:
    """An item whose turn has come."""

    obj: Callable[..., None]
    funcargs: dict[str, Any] = field(default_factory=lambda: {"judge": Judge()})


def test_an_item_ends_as_it_did_in_the_background() -> None:
    """Its records and its error are those of that time; after that it is itself again."""
    judge, error = Judge(), ProbeError("pod a/b: broke off")
    judge.case("it").attack("knock", evidence(Outcome.OPEN), through=True)
    judge.note("told")
    judge.table("t").put("r", "c", evidence(Outcome.OPEN), breach=True)

    def original() -> None:
        raise AssertionError("it would run twice")

    item = Turn(original)
    item.funcargs["judge"].case("made by its fixture")
    with replayed(cast("pytest.Function", item), Ran(judge, error, 1.0)), pytest.raises(ProbeError) as caught:
        item.obj(judge=item.funcargs["judge"])
    assert caught.value is error
    assert item.obj is original
    took: Judge = item.funcargs["judge"]
    assert (judge.cases, judge.notes, judge.tables) == (took.cases, took.notes, took.tables)


APART = [each for each in packaged_controls() if each.apart]


@pytest.mark.parametrize("control", APART, ids=lambda control: control.id)
def test_each_that_is_apart_can_be_given_what_it_names(control: Control) -> None:
    """Else it would silently run at its turn, as the others do."""
    needs = set(control.function.__code__.co_varnames[: control.function.__code__.co_argcount])
    assert needs <= {*_GIVES, "judge", "allowed"}


def test_others_run_at_their_turn() -> None:
    """Those that open something on a node, or look at all that is there, and every test of a user's."""
    assert {"net-metadata", "wl-host-access", "ext-ports", "node-cred-files"}.isdisjoint(each.id for each in APART)
    assert not may_run_apart(cast("pytest.Item", Item(lambda: None)))


@dataclass(eq=False)
class Turns:
    """A session's items, in their order."""

    items: list[PhasedItem] = field(default_factory=list)


@dataclass(eq=False)
class PhasedItem:
    """A control's phase among others."""

    nodeid: str
    phase: Phase
    session: Turns
    config: SimpleNamespace
    function: Callable[..., None] = STACK

    @property
    def callspec(self) -> SimpleNamespace:
        """Where pytest keeps the phase."""
        return SimpleNamespace(params={"k8ssec_phase": self.phase})


def turns(*phases: Phase) -> list[PhasedItem]:
    """Items in these phases."""
    session, config = Turns(), SimpleNamespace(stash=pytest.Stash())
    session.items += [PhasedItem(f"a.py::{at}", phase, session, config) for at, phase in enumerate(phases)]
    return session.items


def pack(name: str) -> Pack:
    """A pack of nothing."""
    return Pack(name, ())


def test_a_stretch_ends_where_a_sabotage_comes_or_goes() -> None:
    """Bystanders belong to it, and so do the tests after it was undone, up to the next sabotage."""
    one, other = pack("one"), pack("other")
    items = turns(
        Phase("intact"), Phase("intact"),
        Phase("sabotaged", one), Phase("sabotaged", one, bystander=True),
        Phase("restored", one),
        Phase("sabotaged", other),
    )  # fmt: skip
    stretches = [[int(each.nodeid[-1]) for each in _stretch(cast("pytest.Item", item))] for item in items]
    assert [[0, 1], [1], [2, 3], [3], [4], [5]] == stretches


def test_a_test_of_somebody_elses_is_a_stretch_by_itself() -> None:
    """Nobody knows what it does to the cluster, so nothing of ours runs beside it."""
    items = turns(Phase(), Phase(), Phase())
    items[1].function = lambda: None
    stretches = [[int(each.nodeid[-1]) for each in _stretch(cast("pytest.Item", item))] for item in items]
    assert [[0], [1], [2]] == stretches


def test_what_is_under_way_ends_before_the_next_stretch(body: Callable[..., None]) -> None:
    """The sabotage would come between a control's attacks and its positive controls, else."""
    started, let, ended = threading.Event(), threading.Event(), threading.Event()

    def control(judge: Judge) -> None:
        judge.note("ran")
        started.set()
        assert let.wait(LONG)
        ended.set()

    body(CLUSTER, control)
    before, after = turns(Phase("intact"), Phase("sabotaged", pack("one")))
    jobs = background(Item(control, before.nodeid))
    before.config.stash[_BACKGROUND] = jobs
    begun(jobs, Testbed())
    end_stretch(cast("pytest.Item", before))
    assert started.wait(LONG)
    assert not ended.is_set()
    threading.Timer(0.05, let.set).start()
    end_stretch(cast("pytest.Item", after))
    assert ended.is_set()
    assert _BACKGROUND not in after.config.stash


def test_the_pack_that_comes_next_is_foreseen() -> None:
    """Seen from its own tests and those after it was undone; behind the last one nothing comes."""
    one, other = pack("one"), pack("other")
    items = turns(Phase("intact"), Phase("sabotaged", one), Phase("restored", one), Phase("sabotaged", other), Phase())
    assert [_next_pack(cast("pytest.Item", item)) for item in items] == [one, other, other, None, None]
