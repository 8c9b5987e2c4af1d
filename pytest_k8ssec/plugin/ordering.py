"""``--k8ssec-sabotage``: each control becomes [intact], [sabotaged] and [restored], and stands by the others' sabotages.

First every control runs on the intact cluster. After that the phases of one pack of sabotages stay next to each other, so
that it is put in force once: the controls that must notice, then every other control as a bystander, which must not; then
the controls again on what was restored.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pytest

from pytest_k8ssec.catalogue.annotated import control_of
from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.plugin import session

if TYPE_CHECKING:
    from pytest_k8ssec.catalogue.control import Control
    from pytest_k8ssec.sabotages.packs import Pack
    from pytest_k8ssec.sabotages.phases import Phase


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each control its phases."""
    control = control_of(metafunc.function)
    settings = metafunc.config.stash[session.SETTINGS]
    if not settings.sabotage or control is None or "k8ssec_phase" not in metafunc.fixturenames:
        return
    phases = dict(_phases(control, _packs(together=settings.packed)))
    values = [
        (phase, phase.active if phase.active and phase.active.needs_cluster else None) for phase in phases.values()
    ]
    # Session scope, as the cluster's fixture has: a parameter's scope overrides its fixture's.
    metafunc.parametrize(("k8ssec_phase", "k8ssec_testbed"), values, indirect=True, ids=list(phases), scope="session")


def _packs(*, together: bool) -> tuple[Pack, ...]:
    """All sabotages of all controls, each by itself or as many together as can be told apart."""
    from pytest_k8ssec.sabotages.packs import Pack, packed

    sabotages = [each for control in packaged_controls() for each in control.sabotages]
    if not together:
        return tuple(map(Pack.alone, sabotages))
    from pytest_k8ssec.clusters.kindconfig import PACKAGED, KindConfig

    return packed(sabotages, KindConfig.load(PACKAGED))


def _phases(control: Control, packs: Sequence[Pack]) -> Iterator[tuple[str, Phase]]:
    """The control's phases by test id."""
    from pytest_k8ssec.sabotages.phases import Phase

    yield "intact", Phase("intact")
    for pack in packs:
        own = pack.made_for(control.id)
        if own:
            mark = "" if len(control.sabotages) == 1 else f"-{own[0].name if len(own) == 1 else pack.name}"
            yield f"sabotaged{mark}", Phase("sabotaged", pack)
            yield f"restored{mark}", Phase("restored", pack)
        # A cluster of a sabotage's own carries no stack: those that judge a stack have nothing to judge there.
        elif not (pack.needs_cluster and control.subject == "stack"):
            yield f"beside-{pack.name}", Phase("sabotaged", pack, bystander=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """See all items before anything is deselected, and put the chosen ones into their order after that."""
    everything = list(items)
    yield
    if not config.stash[session.SETTINGS].sabotage:
        return
    items[:], dropped = ordered_phases(items, everything)
    journal = session.journal(config)
    if journal is not None:
        dropped += [item for item in items if item.nodeid in journal.earlier]
        items[:] = [item for item in items if item.nodeid not in journal.earlier]
    if dropped:
        config.hook.pytest_deselected(items=dropped)


def phase_of(item: pytest.Item) -> Phase | None:
    """The phase that an item runs in, None for one that has none."""
    callspec = getattr(item, "callspec", None)
    phase = callspec.params.get("k8ssec_phase") if callspec else None
    if phase is None:
        return None
    from pytest_k8ssec.sabotages.phases import Phase

    return phase if isinstance(phase, Phase) else None


def ordered_phases(
    chosen: Iterable[pytest.Item], everything: Iterable[pytest.Item]
) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """The chosen items in the order that sabotages need, and those that are left out.

    Every [intact] comes first: a control is judged beside a sabotage by what it said without. A chosen phase brings its
    control's [intact] along; a bystander stays only where a [sabotaged] of its pack was chosen.
    """
    chosen = list(chosen)
    phases = {item: phase for item in chosen if (phase := phase_of(item)) and _control_id(item)}
    own: dict[str, dict[str, list[pytest.Item]]] = {}
    beside: dict[str, list[pytest.Item]] = {}
    for item, phase in phases.items():
        if phase.pack and phase.bystander:
            beside.setdefault(phase.pack.name, []).append(item)
        elif phase.pack:
            own.setdefault(phase.pack.name, {}).setdefault(str(phase.name), []).append(item)
    broken: list[pytest.Item] = []
    for name, of in own.items():
        sabotaged = of.get("sabotaged", [])
        broken += [*sabotaged, *(beside.pop(name, []) if sabotaged else []), *of.get("restored", [])]
    plain = [item for item in chosen if item not in phases]
    return [*plain, *_intact(phases, broken, everything), *broken], [item for left in beside.values() for item in left]


def _intact(
    phases: Mapping[pytest.Item, Phase], broken: Iterable[pytest.Item], everything: Iterable[pytest.Item]
) -> list[pytest.Item]:
    """The chosen [intact] items, and those that the others need."""
    found = [item for item, phase in phases.items() if phase.name == "intact"]
    lacking = {_control_id(item) for item in broken} - {_control_id(item) for item in found}
    for item in everything:
        phase = phase_of(item)
        if phase and phase.name == "intact" and _control_id(item) in lacking:
            lacking.discard(_control_id(item))
            found.append(item)
    return found


def _control_id(item: pytest.Item) -> str:
    """Id of the control that an item runs, "" for other tests."""
    control = control_of(getattr(item, "function", None))
    return control.id if control else ""
