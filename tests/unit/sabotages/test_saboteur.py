"""A live sabotage: refused, put in force, proven, undone; a cluster that was not restored proves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_k8ssec.catalogue.control import Sabotage
from pytest_k8ssec.errors import ClusterError, NotUndone, SabotageError
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.evidence.causes import ObjectName
from pytest_k8ssec.sabotages.packs import Pack
from pytest_k8ssec.sabotages.proofs import changed_by, changing, object_of
from pytest_k8ssec.sabotages.saboteur import Saboteur, checked
from tests.unit.fakes import FakeCluster, evidence

PROOF = evidence(Outcome.DONE, "read the flag")


@dataclass
class Scene:
    """A saboteur, and the order in which things happened."""

    events: list[str] = field(default_factory=list)
    saboteur: Saboteur = field(init=False)

    def __post_init__(self) -> None:
        self.saboteur = Saboteur(lambda: self.events.append("changed"))

    def sabotage(
        self, name: str = "open-door", proof: object = PROOF, *, breaking: BaseException | None = None,
        undoing: BaseException | None = None,
    ) -> Sabotage:  # fmt: skip
        """A sabotage that notes what it does, and fails where it is told to."""

        def live(door: str) -> Iterator[Evidence]:
            self.events.append(f"break {door}")
            if breaking:
                raise breaking
            yield proof  # type: ignore[misc]
            if undoing:
                raise undoing
            self.events.append(f"fix {door}")

        return made(name, live)

    def enter(self, sabotage: Sabotage, *, ours: bool = True) -> None:
        """Put it in force; the fixture ``x`` has the value ``the x``."""
        self.saboteur.enter(Pack.alone(sabotage), FakeCluster(ours=ours).as_cluster(), lambda fixture: f"the {fixture}")


def made(name: str, live: Callable[..., Any]) -> Sabotage:
    """A sabotage of that name."""
    return Sabotage(name, name, frozenset(), frozenset(), live=live)


@pytest.fixture
def scene() -> Scene:
    """A fresh saboteur."""
    return Scene()


def test_a_sabotage_is_put_in_force_with_its_fixtures_and_undone(scene: Scene) -> None:
    """It gets the fixtures that it names, stays in force, and is fixed by leaving."""
    sabotage = scene.sabotage()
    scene.enter(sabotage)
    assert (["break the door", "changed"], Pack.alone(sabotage)) == (scene.events, scene.saboteur.in_force)
    scene.saboteur.leave()
    assert (["break the door", "changed", "fix the door", "changed"], None) == (scene.events, scene.saboteur.in_force)


def test_one_that_is_in_force_stays(scene: Scene) -> None:
    """Entering the same sabotage again breaks nothing twice."""
    sabotage = scene.sabotage()
    scene.enter(sabotage)
    scene.enter(sabotage)
    assert ["break the door", "changed"] == scene.events


def test_another_one_is_undone_first(scene: Scene) -> None:
    """At most one sabotage is in force."""
    scene.enter(scene.sabotage("first"))
    second = scene.sabotage("second")
    scene.enter(second)
    assert ["break the door", "changed", "fix the door", "changed", "break the door", "changed"] == scene.events
    assert Pack.alone(second) == scene.saboteur.in_force


def test_leaving_without_any_does_nothing(scene: Scene) -> None:
    """There is nothing to undo, so nothing changes."""
    scene.saboteur.leave()
    assert [] == scene.events


def test_a_cluster_that_is_not_ours_is_never_sabotaged(scene: Scene) -> None:
    """It is refused before anything is touched."""
    with pytest.raises(SabotageError, match="refused: this run did not create cluster k8ssec-1"):
        scene.enter(scene.sabotage(), ours=False)
    assert ([], None) == (scene.events, scene.saboteur.in_force)


@pytest.mark.parametrize(
    ("proof", "message"),
    [
        (None, "sabotage 'open-door': gave no evidence that it took effect"),
        ("it is broken, believe me", "sabotage 'open-door': gave no evidence that it took effect"),
        (evidence(Outcome.ERROR), "sabotage 'open-door': could not prove that it took effect: pod"),
    ],
)
def test_without_evidence_it_is_fixed_at_once_and_fails(scene: Scene, proof: object, message: str) -> None:
    """A sabotage that does not prove itself is undone and reported."""
    with pytest.raises(SabotageError, match=message):
        scene.enter(scene.sabotage(proof=proof))
    assert (["break the door", "fix the door", "changed"], None) == (scene.events, scene.saboteur.in_force)
    scene.saboteur.check()


def test_one_that_yields_nothing_fails(scene: Scene) -> None:
    """A generator that ends without evidence has not proven itself."""

    def live() -> Iterator[Evidence]:
        yield from ()

    with pytest.raises(SabotageError, match="sabotage 'silent': gave no evidence that it took effect"):
        scene.enter(made("silent", live))
    assert (["changed"], None) == (scene.events, scene.saboteur.in_force)


def test_one_that_can_not_be_applied_says_why(scene: Scene) -> None:
    """An error of ours while breaking is told as a failed sabotage, and pods made meanwhile are given up."""
    with pytest.raises(SabotageError, match="sabotage 'open-door': could not be applied: POST /: HTTP 409"):
        scene.enter(scene.sabotage(breaking=ClusterError("POST /: HTTP 409")))
    assert (["break the door", "changed"], None) == (scene.events, scene.saboteur.in_force)


def test_one_that_is_left_half_applied_taints_the_cluster(scene: Scene) -> None:
    """Its generator has ended with that, and says no more of it."""
    with pytest.raises(NotUndone):
        scene.enter(scene.sabotage(breaking=NotUndone("node a: file b is not what it was")))
    with pytest.raises(SabotageError, match="'open-door' could not be undone, so this cluster proves nothing: node a"):
        scene.saboteur.check()


def test_a_bug_in_a_sabotage_shows_as_what_it_is(scene: Scene) -> None:
    """Any other error keeps its type, so that its traceback is shown; nothing is in force."""
    with pytest.raises(KeyError):
        scene.enter(scene.sabotage(breaking=KeyError("metadata")))
    assert (["break the door", "changed"], None) == (scene.events, scene.saboteur.in_force)


@pytest.mark.parametrize(
    ("error", "words"),
    [(ClusterError("DELETE /: HTTP 500"), "DELETE /: HTTP 500"), (KeyError("metadata"), "KeyError: 'metadata'")],
)
def test_undoing_that_fails_taints_the_cluster(scene: Scene, error: BaseException, words: str) -> None:
    """Whatever goes wrong while fixing, nothing is judged on that cluster any more."""
    scene.enter(scene.sabotage(undoing=error))
    message = f"sabotage 'open-door': could not be undone, so this cluster proves nothing: {words}"
    with pytest.raises(SabotageError) as caught:
        scene.saboteur.leave()
    assert message == str(caught.value)
    with pytest.raises(SabotageError) as caught:
        scene.saboteur.check()
    assert message == str(caught.value)
    with pytest.raises(SabotageError) as caught:
        scene.enter(scene.sabotage("second"))
    assert message == str(caught.value)
    assert scene.saboteur.in_force is None


def test_an_interrupt_while_undoing_taints_and_stays_an_interrupt(scene: Scene) -> None:
    """Ctrl-C in the middle of fixing ends the run, and the cluster counts as broken."""
    scene.enter(scene.sabotage(undoing=KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        scene.saboteur.leave()
    with pytest.raises(SabotageError, match="could not be undone"):
        scene.saboteur.check()


def test_a_second_yield_taints(scene: Scene) -> None:
    """A sabotage that yields again instead of ending was not fixed."""

    def live() -> Iterator[Evidence]:
        yield PROOF
        yield PROOF

    scene.enter(made("twice", live))
    with pytest.raises(SabotageError, match=r"could not be undone.*it yields more than once"):
        scene.saboteur.leave()


def test_a_proof_of_a_probe_that_worked_is_accepted() -> None:
    """Evidence of any known outcome is proof."""
    checked(made("x", lambda: iter(())), PROOF)


def test_what_a_sabotage_says_that_it_changed_is_known_while_it_is_in_force(scene: Scene) -> None:
    """So that what its control blames can be compared with it."""
    door = ObjectName("RoleBinding", "door", "shop", "subjects")
    scene.enter(scene.sabotage(proof=changing(PROOF, door)))
    assert scene.saboteur.changed == {"open-door": ["RoleBinding shop/door"]}
    scene.saboteur.leave()
    assert scene.saboteur.changed == {}


def test_two_helpers_of_one_sabotage_may_each_say_what_they_changed() -> None:
    """A workload, and the volume that it claims."""
    both = changing(
        changing(PROOF, ObjectName("Deployment", "a", "b")), object_of({"kind": "K", "metadata": {"name": "n"}})
    )
    assert changed_by(both) == ["Deployment b/a", "K n"]
