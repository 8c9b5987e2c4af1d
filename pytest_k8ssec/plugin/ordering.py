"""In which order controls run: those that may run beside others come last, as whoever waits for one keeps others waiting.

``--k8ssec-sabotage``: a control becomes [intact], [sabotaged] and [restored], and runs beside others' sabotages.

First every control runs on the intact cluster. After that the phases of one pack of sabotages stay next to each other, so
that it is put in force once: the controls that must notice, then every other control as a bystander, which must not
notice; then the controls again after the sabotage was undone.

A team's own controls have the same phases. pytest makes the tests of one file before it imports the next one, so the
phases under a sabotage that only a later file brings are added once all is collected.

Marks tell phases under sabotages of the running cluster from those of sabotages that need a cluster of their own.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import pytest

from pytest_k8ssec.catalogue.annotated import control_of
from pytest_k8ssec.catalogue.packaged import packaged_control, packaged_controls
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.plugin import session

if TYPE_CHECKING:
    from pytest_k8ssec.catalogue.control import Control
    from pytest_k8ssec.plugin.known_packs import KnownPacks
    from pytest_k8ssec.sabotages.packs import Pack
    from pytest_k8ssec.sabotages.phases import Phase

_PACKS: pytest.StashKey[KnownPacks] = pytest.StashKey()
_Mark = tuple[str | None, str, bool]
"""What tells one phase of a control from another: its name, its pack's, and whether the control is a bystander."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each control its phases, under the sabotages that are known by now."""
    control = control_of(metafunc.function)
    settings = metafunc.config.stash[session.SETTINGS]
    if not settings.sabotage or control is None or "k8ssec_phase" not in metafunc.fixturenames:
        return
    known = _known_packs(metafunc.config)
    try:
        known.meet(control)
    except SabotageError as error:
        raise pytest.Collector.CollectError(str(error)) from None
    phases = dict(_phases(control, known))
    values = [
        pytest.param(
            phase, phase.active if phase.active and phase.active.needs_cluster else None, marks=_marks_of(phase)
        )
        for phase in phases.values()
    ]
    # Session scope, as the cluster's fixture has: a parameter's scope overrides its fixture's.
    metafunc.parametrize(("k8ssec_phase", "k8ssec_testbed"), values, indirect=True, ids=list(phases), scope="session")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Make a phase findable by its pack (-k), so that packs can be shared out between runs."""
    phase = phase_of(item)
    if phase and phase.pack:
        item.extra_keyword_matches.add(phase.pack.name)


def _marks_of(phase: Phase) -> Sequence[pytest.MarkDecorator]:
    """Where a phase's sabotages are put in force, so that several runs can share them out, side by side on one machine."""
    if phase.pack is None:
        return ()
    return (pytest.mark.own_cluster_sabotage if phase.pack.needs_cluster else pytest.mark.live_sabotage,)


def _known_packs(config: pytest.Config) -> KnownPacks:
    """The run's packs, begun with those of the packaged controls."""
    from pytest_k8ssec.plugin.known_packs import KnownPacks

    if _PACKS not in config.stash:
        config.stash[_PACKS] = KnownPacks(packaged_controls(), together=config.stash[session.SETTINGS].packed)
    return config.stash[_PACKS]


def _phases(control: Control, packs: Iterable[Pack]) -> Iterator[tuple[str, Phase]]:
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
    # Before anybody deselects: --stepwise takes what stands before the test that failed for what has passed.
    settings = config.stash[session.SETTINGS]
    if not settings.sabotage:
        if not settings.serial:
            items[:] = _plain_order(items)
        yield
        return
    items += _further_phases(config, items)
    everything = list(items)
    kept, beside_none = ordered_phases(items, everything)
    items[:] = [*kept, *beside_none]
    yield
    items[:], dropped = ordered_phases(items, everything)
    journal = session.journal(config)
    if journal is not None:
        dropped += [item for item in items if item.nodeid in journal.earlier]
        items[:] = [item for item in items if item.nodeid not in journal.earlier]
    if dropped:
        config.hook.pytest_deselected(items=dropped)


def _plain_order(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Packaged controls that follow each other in the order of :func:`_apart_last`, all else where it was."""
    return [item for ours, of in groupby(items, key=_is_packaged) for item in (_apart_last(of) if ours else of)]


def _is_packaged(item: pytest.Item) -> bool:
    return packaged_control(getattr(item, "function", None)) is not None


def _apart_last(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Controls that may run beside others after those that may not, and among them those last that take long."""

    def late(item: pytest.Item) -> tuple[bool, bool]:
        control = packaged_control(getattr(item, "function", None))  # no others run beside any
        return (control.apart, control.apart and control.slow) if control else (False, False)

    return sorted(items, key=late)


def _further_phases(config: pytest.Config, items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """The phases that controls lack, as a sabotage came to be known only after they were collected."""
    functions: dict[tuple[pytest.Collector, str], list[pytest.Function]] = {}
    for item in items:
        if isinstance(item, pytest.Function) and _control_id(item) and phase_of(item) and item.parent:
            functions.setdefault((item.parent, item.originalname), []).append(item)
    known = _known_packs(config)
    for of in functions.values():
        if (control := control_of(of[0].function)) is not None:
            try:
                known.meet(control)
            except SabotageError as error:
                raise pytest.UsageError(str(error)) from None
    found: list[pytest.Item] = []
    for (parent, name), of in functions.items():
        made = {_mark(phase) for item in of if (phase := phase_of(item))}
        control = control_of(of[0].function)
        if control is None or all(_mark(phase) in made for _, phase in _phases(control, known)):
            continue
        further = [item for item in _collected(parent, name) if (phase := phase_of(item)) and _mark(phase) not in made]
        # As pytest does for what it collects: this is how the terminal counts, and how marks and keywords come.
        for item in further:
            item.ihook.pytest_itemcollected(item=item)
        parent.ihook.pytest_collectreport(report=pytest.CollectReport(parent.nodeid, "passed", None, [*further]))
        found += further
    return found


def _collected(parent: pytest.Collector, name: str) -> list[pytest.Item]:
    """The items that pytest makes of a test function now."""
    function = inspect.getattr_static(getattr(parent, "obj", None), name, None)
    made = parent.ihook.pytest_pycollect_makeitem(collector=parent, name=name, obj=function)
    return [each for each in made if isinstance(each, pytest.Item)] if isinstance(made, list) else []


def lasts(item: pytest.Item) -> bool:
    """Whether what is found counts in a resumed run: not where files decide it that the journal's fingerprint leaves out."""
    control, phase = control_of(getattr(item, "function", None)), phase_of(item)
    return control is not None and _known_packs(item.config).packaged(control, phase.pack if phase else None)


def _mark(phase: Phase) -> _Mark:
    return phase.name, phase.pack.name if phase.pack else "", phase.bystander


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

    Every [intact] comes first: what a control says beside a sabotage is compared with what it said without. A chosen
    phase brings its control's [intact] along; a bystander stays only where a [sabotaged] of its pack was chosen.
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
        broken += _apart_last([*sabotaged, *(beside.pop(name, []) if sabotaged else [])])
        broken += _apart_last(of.get("restored", []))
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
    return _apart_last(found)


def _control_id(item: pytest.Item) -> str:
    """Id of the control that an item runs, "" for other tests."""
    control = control_of(getattr(item, "function", None))
    return control.id if control else ""
