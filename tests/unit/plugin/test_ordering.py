"""The order of a sabotage run: the intact cluster first, then one sabotage after the other, each with its bystanders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest

from pytest_k8ssec.catalogue.annotated import control_of
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.plugin import ordering
from pytest_k8ssec.plugin.ordering import _plain_order, ordered_phases, phase_of
from pytest_k8ssec.sabotages.packs import Pack
from pytest_k8ssec.sabotages.phases import Phase, PhaseName


def made(name: str, *, apart: bool = False, slow: bool = False) -> Callable[..., None]:
    """A control of that name, with a live sabotage ``break-<name>``."""

    def function() -> None:
        """Stand for a control."""

    function.__name__ = f"test_net_{name}"
    control(severity=Severity.LOW, subject="cluster", apart=apart, slow=slow)(function)

    def live() -> Iterator[Evidence]:
        yield from ()

    live.__name__ = f"break_{name}"
    sabotage(function)(live)
    return function


DOOR, ROOF = made("door"), made("roof")


@dataclass(eq=False)
class Item:
    """As much of a pytest item as ordering looks at."""

    name: str
    function: Callable[..., None] | None = None
    phase: Phase | None = None
    callspec: SimpleNamespace = field(init=False)

    def __post_init__(self) -> None:
        self.callspec = SimpleNamespace(params={"k8ssec_phase": self.phase} if self.phase else {"other": 1})


def breaks(function: Callable[..., None]) -> Pack:
    """The sabotage of a control."""
    found = control_of(function)
    assert found is not None
    return Pack.alone(found.sabotages[0])


def item(name: str, function: Callable[..., None], phase: PhaseName, of: Callable[..., None] | None = None) -> Item:
    """One phase of a control; under the sabotage ``of`` another one it is a bystander."""
    active = None if phase == "intact" else breaks(of or function)
    return Item(name, function, Phase(phase, active, bystander=of is not None))


PLAIN = Item("plain")
DOORS = [
    item("door[intact]", DOOR, "intact"),
    item("door[sabotaged]", DOOR, "sabotaged"),
    item("door[restored]", DOOR, "restored"),
    item("door[beside roof]", DOOR, "sabotaged", ROOF),
]
ROOFS = [
    item("roof[intact]", ROOF, "intact"),
    item("roof[sabotaged]", ROOF, "sabotaged"),
    item("roof[restored]", ROOF, "restored"),
    item("roof[beside door]", ROOF, "sabotaged", DOOR),
]
EVERYTHING = [*DOORS, *ROOFS, PLAIN]


def names(items: list[pytest.Item]) -> list[str]:
    """What the items are called."""
    return [each.name for each in items]


def ordered(*chosen: str) -> tuple[list[str], list[str]]:
    """Names in order, and those left out, when the items of these names are chosen."""
    by_name = {each.name: each for each in EVERYTHING}
    kept, dropped = ordered_phases(
        cast("list[pytest.Item]", [by_name[name] for name in chosen]), cast("list[pytest.Item]", EVERYTHING)
    )
    return names(kept), names(dropped)


def test_everything_in_its_order() -> None:
    """Other tests, then each control intact, then each sabotage with its bystander and the restored control."""
    assert (
        [
            "plain",
            "door[intact]",
            "roof[intact]",
            "door[sabotaged]",
            "roof[beside door]",
            "door[restored]",
            "roof[sabotaged]",
            "door[beside roof]",
            "roof[restored]",
        ],
        [],
    ) == ordered(*(each.name for each in EVERYTHING))


def test_the_order_of_collection_does_not_matter_within_a_sabotage() -> None:
    """However items arrive, sabotaged, bystanders and restored stay adjacent."""
    assert (
        ["door[intact]", "roof[intact]", "door[sabotaged]", "roof[beside door]", "door[restored]"],
        [],
    ) == ordered("roof[beside door]", "door[restored]", "door[intact]", "door[sabotaged]", "roof[intact]")


@pytest.mark.parametrize("phase", ["sabotaged", "restored"])
def test_a_chosen_phase_brings_its_intact_along(phase: str) -> None:
    """Without knowing what the intact cluster was like, no phase can be judged."""
    assert (["door[intact]", f"door[{phase}]"], []) == ordered(f"door[{phase}]")


def test_a_bystander_brings_its_own_intact_along() -> None:
    """A control beside a sabotage is judged by what it said without it."""
    assert (["door[intact]", "roof[intact]", "door[sabotaged]", "roof[beside door]"], []) == ordered(
        "door[sabotaged]", "roof[beside door]"
    )


def test_a_bystander_without_the_sabotaged_control_is_left_out() -> None:
    """A sabotage whose own control was not chosen is not put in force for others."""
    assert (["roof[intact]"], ["roof[beside door]"]) == ordered("roof[intact]", "roof[beside door]")
    assert (["door[intact]", "door[restored]"], ["roof[beside door]"]) == ordered("door[restored]", "roof[beside door]")


def test_intact_alone_stays_alone() -> None:
    """Choosing only [intact] runs no sabotage."""
    assert (["roof[intact]"], []) == ordered("roof[intact]")


def test_nothing_chosen_is_nothing_run() -> None:
    """Where all was deselected nothing is brought back."""
    assert ([], []) == ordered()


def test_only_a_phase_is_taken_for_one() -> None:
    """Items without parameters, or with other ones, have no phase."""
    assert phase_of(cast("pytest.Item", PLAIN)) is None
    assert phase_of(cast("pytest.Item", object())) is None
    assert phase_of(cast("pytest.Item", DOORS[0])) is DOORS[0].phase


@pytest.fixture
def all_packaged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the controls of these tests for packaged ones: no others run beside any."""
    monkeypatch.setattr(ordering, "packaged_control", control_of)


@pytest.mark.usefixtures("all_packaged")
def test_what_runs_beside_others_comes_last_while_a_sabotage_is_in_force() -> None:
    """Also where it is made for that control: whoever waits for it keeps nobody else from running."""
    wall = made("wall", apart=True)
    items = [item("wall[sabotaged]", wall, "sabotaged"), item("door[beside wall]", DOOR, "sabotaged", wall)]
    intact = [item("wall[intact]", wall, "intact"), DOORS[0]]
    kept, _ = ordered_phases(cast("list[pytest.Item]", items), cast("list[pytest.Item]", intact))
    assert ["door[intact]", "wall[intact]", "door[beside wall]", "wall[sabotaged]"] == names(kept)


def test_controls_of_a_teams_own_stay_where_they_are() -> None:
    """They never run in the background: another order would only set up their modules' fixtures twice."""
    items = [Item("wall", made("wall", apart=True)), Item("door", DOOR)]
    assert ["wall", "door"] == names(_plain_order(cast("list[pytest.Item]", items)))


@pytest.mark.usefixtures("all_packaged")
def test_in_a_plain_run_only_controls_that_follow_each_other_change_places() -> None:
    """Those that may run beside others come after those that may not, slow ones last; a test of somebody else's stays."""
    wall, lake, slow = made("wall", apart=True), made("lake", apart=True, slow=True), made("slow", slow=True)
    before = [
        Item("lake", lake),
        Item("wall", wall),
        Item("slow", slow),
        Item("door", DOOR),
        PLAIN,
        Item("wall 2", wall),
        Item("roof", ROOF),
    ]
    assert ["slow", "door", "wall", "lake", "plain", "roof", "wall 2"] == names(
        _plain_order(cast("list[pytest.Item]", before))
    )
