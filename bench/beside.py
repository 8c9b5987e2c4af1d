"""A pytest plugin: runs the peers where a control of ours has just been judged, on the same cluster in the same state.

So that the clusters and the sabotages are exactly those of our own matrix, it rides on ``--k8ssec-sabotage``, each
sabotage alone: the hardened cluster first, then each mutant.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from bench.mutants import Mutant
from bench.outcome import Cell, Outcome, compared, own
from bench.peers.interface import Peer, Report
from bench.places import Place
from pytest_k8ssec.errors import K8ssecError
from pytest_k8ssec.plugin import session
from pytest_k8ssec.plugin.ordering import phase_of
from toolchain.errors import ToolchainError

if TYPE_CHECKING:
    from pytest_k8ssec.sabotages.phases import Phase
    from pytest_k8ssec.testbed.testbed import Testbed

Told = Callable[["Row"], None]
OWN = "pytest-k8ssec"


class Row:
    """One mutant, and what each tool made of it."""

    def __init__(self, mutant: Mutant, cells: dict[str, Cell]) -> None:
        self.mutant = mutant
        self.cells = cells


class Beside:
    """The plugin.

    Args:
        mutants: to try, of those that there are.
        peers: to run.
        done: told each row as soon as it is known.
    """

    def __init__(self, mutants: Sequence[Mutant], peers: Sequence[Peer], done: Told) -> None:
        self._mutants = {mutant.name: mutant for mutant in mutants}
        self._peers = peers
        self._done = done
        self._verdicts: dict[tuple[str, str], str] = {}
        self._seconds: dict[str, float] = {}
        self.hardened: dict[str, Report | str] = {}
        """What each peer said of the hardened cluster, or why it could not be run there."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Only what each mutant's own control says; ``ordering`` brings its intact phase along."""
        items[:] = [item for item in items if self._mutant(item)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Our own verdict."""
        entry: dict[str, Any] | None = getattr(report, "k8ssec", None)
        if entry is not None:
            key = report.nodeid if entry["phase"] == "sabotaged" else entry["control"]
            self._verdicts[entry["phase"], key] = entry["verdict"]
            self._seconds[report.nodeid] = entry["seconds"]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        """The cluster is as the control met it: ask the peers."""
        phase, config = phase_of(item), item.config
        testbeds = session.begun_testbeds(config)
        if phase is None or testbeds is None:
            return
        tell = session.terminal_teller(config)
        if phase.name == "intact" and not self.hardened and testbeds.base.has_cluster:
            tell("the hardened cluster: " + ", ".join(peer.about.name for peer in self._peers))
            self.hardened = {peer.about.name: self._asked(peer, testbeds.base) for peer in self._peers}
        mutant = self._mutant(item)
        if mutant is not None and phase.pack is not None:
            testbed = testbeds.testbed(phase.pack if phase.pack.needs_cluster else None)
            tell(f"{mutant.name}: " + (", ".join(mutant.about)))
            self._done(Row(mutant, self._cells(mutant, item, testbed, in_force=_in_force(config, phase, testbed))))

    def _mutant(self, item: pytest.Item) -> Mutant | None:
        """The mutant that an item's own control is judged on, or None."""
        phase = phase_of(item)
        if phase is None or phase.name != "sabotaged" or phase.bystander or phase.pack is None:
            return None
        return self._mutants.get(phase.pack.name)

    def _cells(self, mutant: Mutant, item: pytest.Item, testbed: Testbed, *, in_force: bool) -> dict[str, Cell]:
        if not in_force:
            cell = Cell(Outcome.NOT_RUN, None, ("the sabotage could not be put in force",))
            return {OWN: cell} | {peer.about.name: cell for peer in self._peers}
        intact = self._verdicts.get(("intact", mutant.control.id), "")
        broken = self._verdicts.get(("sabotaged", item.nodeid), "")
        cells = {OWN: own(intact, broken, self._seconds.get(item.nodeid, 0.0))}
        return cells | {peer.about.name: self._cell(peer, mutant, testbed) for peer in self._peers}

    def _cell(self, peer: Peer, mutant: Mutant, testbed: Testbed) -> Cell:
        name = peer.about.name
        if name not in mutant.about:
            return Cell(Outcome.OUT_OF_SCOPE)
        hardened = self.hardened.get(name, "the hardened cluster was never there")
        broken = self._asked(peer, testbed) if isinstance(hardened, Report) else hardened
        if isinstance(hardened, str) or isinstance(broken, str):
            return Cell(Outcome.NOT_RUN, None, (str(broken),))
        return compared(mutant.about[name], hardened, broken)

    @staticmethod
    def _asked(peer: Peer, testbed: Testbed) -> Report | str:
        """A peer's report, or why there is none."""
        started = time.monotonic()
        try:
            return peer.run(Place(testbed))
        except (K8ssecError, ToolchainError) as error:
            details = getattr(error, "details", "")
            return f"{error} (after {time.monotonic() - started:.0f} s) {details[-300:]}".strip()


def _in_force(config: pytest.Config, phase: Phase, testbed: Testbed) -> bool:
    assert phase.pack is not None
    if phase.pack.needs_cluster:
        return testbed.has_cluster
    saboteur = session.begun_saboteur(config)
    return saboteur is not None and saboteur.in_force == phase.pack
