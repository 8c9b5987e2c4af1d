"""After a breach, and only then: who let it through, and in which line of whose file that is declared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_k8ssec.catalogue.annotated import control_of
from pytest_k8ssec.plugin import session
from pytest_k8ssec.plugin.judged import stands_on_docker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_k8ssec.verdict import Judge


def name_culprits(item: pytest.Function, judge: Judge) -> None:
    """Have the judge know who is to blame; whatever goes wrong here changes no verdict."""
    try:
        _name(item, judge)
    except Exception as error:  # noqa: BLE001 - a breach is told, whatever becomes of the search for its cause
        judge.note(f"who is to blame could not be found out: {type(error).__name__}: {error}")


def _name(item: pytest.Function, judge: Judge) -> None:
    from pytest_k8ssec.facts.culprits.find import Finders
    from pytest_k8ssec.facts.culprits.places import DeclaredPlaces

    control = control_of(item.function)
    breaches = judge.breaches(control.blames if control is not None else (object,))
    testbed = testbed_of(item)
    if not breaches or testbed is None:
        return
    places = DeclaredPlaces(testbed.known_stack, testbed.kind_config, item.config.invocation_params.dir)
    instead = own_place(item) if control is None else places.of_cluster() if control.subject == "cluster" else ""
    words = {"words": control.finding} if control is not None else {}
    judge.blamed = Finders(testbed.cluster, places.of, instead, **words).blame(breaches)


def own_place(item: pytest.Item) -> str:
    """``file:line`` of a test."""
    from pytest_k8ssec.facts.culprits.places import relative

    return f"{relative(str(item.path), item.config.invocation_params.dir)}:{(item.location[1] or 0) + 1}"


def changed_objects(config: pytest.Config) -> Mapping[str, list[str]]:
    """By sabotage in force that says so: the objects that it changed."""
    saboteur = session.begun_saboteur(config)
    return dict(saboteur.changed) if saboteur is not None else {}


def testbed_of(item: pytest.Function) -> Any:
    """The testbed that the test ran on, None for a test without one."""
    if not stands_on_docker(item):
        return None
    return item._request.getfixturevalue("k8ssec_testbed")  # noqa: SLF001 - no public way to ask an item
