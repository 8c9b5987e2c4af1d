"""Which sabotages are put in force together: those that can't be mistaken for each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pytest_k8ssec.catalogue.control import Sabotage
from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.clusters.kindconfig import PACKAGED, KindConfig
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.sabotages.packs import Pack, packed


def live(
    name: str,
    *kills: str,
    blinds: tuple[str, ...] = (),
    means: tuple[str, ...] = (),
    alone: bool = False,
    hidden_by: tuple[str, ...] = (),
    **shows: tuple[str, ...],
) -> Sabotage:
    """A live sabotage, of the first control that it kills."""

    def breaks() -> Iterator[Evidence]:
        yield from ()

    return Sabotage(
        name, name, frozenset(kills), frozenset(blinds),
        live=breaks, alone=alone, owner=kills[0], shows=shows, means=frozenset(means), hidden_by=frozenset(hidden_by),
    )  # fmt: skip


def configured(name: str, kill: str, mutate: Callable[[KindConfig], None]) -> Sabotage:
    """A sabotage with a cluster of its own."""
    return Sabotage(name, name, frozenset({kill}), frozenset(), mutate=mutate, proof=lambda _: None)  # type: ignore[arg-type,return-value]


def names(sabotages: list[Sabotage]) -> list[list[str]]:
    """Members of each pack, by name."""
    return [[member.name for member in pack.members] for pack in packed(sabotages, KindConfig.load(PACKAGED))]


def test_live_ones_without_a_common_control_go_together() -> None:
    """One is as good as ten."""
    assert [["a", "b", "c"]] == names([live("a", "x"), live("b", "y"), live("c", "z")])


@pytest.mark.parametrize(
    "second",
    [live("b", "x"), live("b", "y", "x"), live("b", "y", blinds=("x",))],
    ids=["same", "further-kill", "blinded"],
)
def test_two_that_touch_the_same_control_are_kept_apart(second: Sabotage) -> None:
    """It could not be told which of them did it."""
    assert [["a", "c"], ["b"]] == names([live("a", "x"), second, live("c", "w")])


def test_one_that_must_be_alone_is() -> None:
    """Whichever comes first."""
    assert [["a", "c"], ["b"]] == names([live("a", "x"), live("b", "y", alone=True), live("c", "z")])
    assert [["a"], ["b", "c"]] == names([live("a", "x", alone=True), live("b", "y"), live("c", "z")])


def test_one_that_another_would_hide_is_kept_apart_from_that() -> None:
    """Whichever comes first; others may join either."""
    hidden, hides = live("a", "x", hidden_by=("b",)), live("b", "y")
    assert [["a", "c"], ["b"]] == names([hidden, hides, live("c", "z")])
    assert [["b", "c"], ["a"]] == names([hides, hidden, live("c", "z")])


def test_whatever_hides_a_packaged_sabotage_exists() -> None:
    """A name that was misspelt would keep nothing apart."""
    there = {each.name: each for control in packaged_controls() for each in control.sabotages}
    named = {(name, each) for name, one in there.items() for each in one.hidden_by}
    assert ("anonymous-kubelet", "kubelet-allows-always") in named
    assert {each for _, each in named} <= set(there)


def test_live_ones_never_share_a_cluster_with_configured_ones() -> None:
    """A cluster of a sabotage's own carries no stack."""
    assert [["a"], ["b"]] == names([live("a", "x"), configured("b", "y", lambda config: config.kubelet(a=1))])


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        (lambda config: config.kubelet(a=1), lambda config: config.kubelet(b=1), False),
        (lambda config: config.kubelet(a=1), lambda config: config.kubelet(a=2), True),
        (
            lambda config: config.kubelet(authentication={"anonymous": {"enabled": True}}),
            lambda config: config.kubelet(authentication={"webhook": {"enabled": False}}),
            False,
        ),
        (lambda config: config.api_server(profiling="true"), lambda config: config.etcd(profiling="true"), False),
        (lambda config: config.api_server(a="1"), lambda config: config.api_server(a=None), True),
        (lambda config: config.replace("audit.yaml", "a"), lambda config: config.replace("audit.yaml", "b"), True),
        (lambda config: config.replace("audit.yaml", "a"), lambda config: config.replace("other.yaml", "b"), False),
        (lambda config: config.after.clear(), lambda config: config.after.pop(), True),
        (
            lambda config: config.document.update(networking={"apiServerPort": 1}),
            lambda config: config.document.update(networking={"ipFamily": "dual"}),
            True,
        ),
    ],
)
def test_two_that_change_the_same_place_are_kept_apart(
    one: Callable[[KindConfig], None], other: Callable[[KindConfig], None], *, apart: bool
) -> None:
    """The later one would undo the earlier."""
    found = names([configured("a", "x", one), configured("b", "y", other)])
    assert found == ([["a"], ["b"]] if apart else [["a", "b"]])


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        (live("a", "x", x=("red",)), live("b", "x", x=("blue",)), False),
        (live("a", "x", x=("red",)), live("b", "x"), True),
        (live("a", "x", x=("red",)), live("b", "x", x=("blue", "red door")), True),
        (live("a", "x", x=("red door",)), live("b", "x", x=("red",)), True),
        (live("a", "x", "y", x=("red",)), live("b", "x", "y", x=("blue",)), True),
        (live("a", "x", "y", x=("red",), y=("r",)), live("b", "x", "y", x=("blue",), y=("b",)), False),
        (live("a", "x", x=("red",)), live("b", "y", blinds=("x",), x=("blue",)), False),
    ],
    ids=[
        "told-apart",
        "one-without-words",
        "words-within",
        "words-within-the-other",
        "second-control",
        "both",
        "blinds",
    ],
)
def test_two_of_one_control_go_together_where_it_must_name_each(one: Sabotage, other: Sabotage, *, apart: bool) -> None:
    """By words that no other of them could have made it say, for each control that both of them touch."""
    assert names([one, other]) == ([["a"], ["b"]] if apart else [["a", "b"]])


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        (live("a", "x", "z", means=("z",)), live("b", "y", "z", means=("z",)), False),
        (live("a", "x", "z", means=("z",)), live("b", "x", "z", means=("z",)), True),
        (live("a", "x", "z", means=("z",)), live("b", "y", "z"), True),
        (live("a", "x", "z", means=("z",), z=("red",)), live("b", "z", z=("red",)), True),
        (live("a", "x", "z", means=("z",), z=("red",)), live("b", "z", z=("blue",)), False),
        (live("a", "x", "z", means=("z",)), live("b", "y", blinds=("z",)), True),
        (live("a", "x", "v", "z", means=("v",)), live("b", "y", "v", "z", means=("z",)), True),
    ],
    ids=["both-need-it", "of-one-control", "one-shows-it", "same-words", "other-words", "blinds", "each-its-own"],
)
def test_two_that_need_the_same_to_take_effect_are_not_told_apart_by_it(
    one: Sabotage, other: Sabotage, *, apart: bool
) -> None:
    """But whoever is there to show just that is."""
    assert names([one, other]) == ([["a"], ["b"]] if apart else [["a", "b"]])
    assert names([other, one]) == ([["b"], ["a"]] if apart else [["b", "a"]])


def test_a_pack_knows_which_members_touch_a_control_and_whose_they_are() -> None:
    """And one of one member is called as that member."""
    one, other = live("a", "x"), live("b", "y", "x", blinds=("z",))
    pack = Pack("both", (one, other))
    assert [(one, other), (other,), (other,), ()] == [pack.touching(control) for control in ("x", "y", "z", "w")]
    assert [(one,), (other,), ()] == [pack.made_for(control) for control in ("x", "y", "z")]
    (pack,) = packed([one, live("c", "w")], KindConfig.load(PACKAGED))
    assert "live-pack-1" == pack.name
    assert "a" == packed([one], KindConfig.load(PACKAGED))[0].name == Pack.alone(one).name
