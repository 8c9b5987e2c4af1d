"""``--k8ssec-sabotage``: each control becomes [intact], [sabotaged] and [restored], and stands by the others' sabotages.

The phases of one sabotage stay next to each other, so that it is put in force once: first the control that must notice,
then every other control as a bystander, which must not; then the control again on what was restored.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

import pytest

from pytest_k8ssec.catalogue import controls
from pytest_k8ssec.control import Control, control_of
from pytest_k8ssec.results import Phase
from pytest_k8ssec.session import SETTINGS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each control its phases."""
    control = control_of(metafunc.function)
    if not metafunc.config.stash[SETTINGS].sabotage or control is None or "k8ssec_phase" not in metafunc.fixturenames:
        return
    phases = dict(_phases(control))
    values = [(phase, phase.active if phase.active and phase.active.needs_cluster else None) for phase in phases.values()]
    # Session scope, as the cluster's fixture has: a parameter's scope overrides its fixture's.
    metafunc.parametrize(("k8ssec_phase", "k8ssec_site"), values, indirect=True, ids=list(phases), scope="session")


def _phases(control: Control) -> Iterator[tuple[str, Phase]]:
    """The control's phases by test id."""
    yield "intact", Phase("intact")
    for each in control.sabotages:
        mark = "" if len(control.sabotages) == 1 else f"-{each.name}"
        yield f"sabotaged{mark}", Phase("sabotaged", each)
        yield f"restored{mark}", Phase("restored", each)
    for other in controls():
        if other.id != control.id:
            for each in other.sabotages:
                # A cluster of a sabotage's own carries no stack: those that judge a stack have nothing to judge there.
                if not (each.needs_cluster and control.subject == "stack"):
                    yield f"beside-{each.name}", Phase("sabotaged", each, bystander=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """See all items before anything is deselected, and put the chosen ones into their order after that."""
    everything = list(items)
    yield
    if not config.stash[SETTINGS].sabotage:
        return
    if getattr(config.option, "numprocesses", None):
        raise pytest.UsageError("--k8ssec-sabotage with -n: a sabotage changes the cluster that all workers share")
    items[:], dropped = ordered_phases(items, everything)
    if dropped:
        config.hook.pytest_deselected(items=dropped)


def phase_of(item: pytest.Item) -> Phase | None:
    """The phase that an item runs in, None for one that has none."""
    callspec = getattr(item, "callspec", None)
    phase = callspec.params.get("k8ssec_phase") if callspec else None
    return phase if isinstance(phase, Phase) else None


def ordered_phases(
    chosen: Iterable[pytest.Item], everything: Iterable[pytest.Item]
) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """The chosen items in the order that sabotages need, and those that are left out.

    A chosen [sabotaged] or [restored] brings its control's [intact] along; a bystander stays only where its sabotage's
    own [sabotaged] was chosen.
    """
    chosen = list(chosen)
    plain = [item for item in chosen if phase_of(item) is None]
    owned: dict[str, dict[tuple[str, str], list[pytest.Item]]] = {}
    beside: dict[str, list[pytest.Item]] = {}
    for item in chosen:
        phase, control = phase_of(item), control_of(getattr(item, "function", None))
        if phase is None or control is None:
            continue
        name = phase.sabotage.name if phase.sabotage else ""
        if phase.bystander:
            beside.setdefault(name, []).append(item)
        else:
            owned.setdefault(control.id, {}).setdefault((str(phase.name), name), []).append(item)
    for item in everything:
        phase, control = phase_of(item), control_of(getattr(item, "function", None))
        if phase and control and phase.name == "intact" and control.id in owned and ("intact", "") not in owned[control.id]:
            owned[control.id]["intact", ""] = [item]
    ordered = list(plain)
    kept: set[str] = set()
    for phases in owned.values():
        ordered += phases.get(("intact", ""), [])
        for name in dict.fromkeys(name for _, name in phases if name):
            if ("sabotaged", name) in phases:
                ordered += phases["sabotaged", name] + beside.get(name, [])
                kept.add(name)
            ordered += phases.get(("restored", name), [])
    return ordered, [item for name, items in beside.items() if name not in kept for item in items]
