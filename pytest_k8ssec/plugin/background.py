"""Controls that run beside others: begun once what they need stands, and judged when their turn comes.

Only controls that say so (``apart``), and only those of one stretch: the tests that follow each other on the same cluster
under the same sabotage. All of it has ended before a sabotage comes or goes, so nothing comes between a control's attacks
and its positive controls, which it makes itself, one after the other, as at its turn. What it records is taken over whole.
Who finds a control not begun when its turn comes runs it then.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import pytest

from pytest_k8ssec.catalogue.control import Control
from pytest_k8ssec.catalogue.packaged import packaged_control
from pytest_k8ssec.plugin import guard, session
from pytest_k8ssec.plugin.judged import new_judge
from pytest_k8ssec.plugin.ordering import phase_of
from pytest_k8ssec.verdict import Judge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_k8ssec.agent.vantage import NetworkVantage
    from pytest_k8ssec.attack.radius import BlastRadius
    from pytest_k8ssec.sabotages.packs import Pack
    from pytest_k8ssec.testbed.testbed import Testbed

_TOGETHER = 4
"""Controls in the background at the same time: more would only wait for each other on a small machine."""
_PATIENCE = 5.0
"""Seconds that those under way get at the end of a run that broke off, where their cluster goes anyway."""
_HOOKS = ("pytest_runtest_protocol", "pytest_runtest_setup", "pytest_runtest_call", "pytest_pyfunc_call")
_OF_PYTEST = ("_pytest.", "pytest_k8ssec.", "xdist.", "_hypothesis_pytestplugin")
"""Hooks that leave a test alone which is not theirs: hypothesis' looks at tests with ``@given`` only."""


def _outside(testbed: Testbed) -> NetworkVantage:
    from pytest_k8ssec.agent.vantage import NetworkVantage

    return NetworkVantage(testbed.cluster, None)


def _blast_radius(testbed: Testbed) -> BlastRadius:
    from pytest_k8ssec.attack.radius import BlastRadius

    seed = testbed.sampling.by_chance
    return BlastRadius.of(testbed.cluster, testbed.stack, testbed.pool, testbed.stack_folder, seed=seed)


_GIVES: Mapping[str, Callable[[Testbed], Any]] = {
    "cluster": lambda testbed: testbed.cluster,
    "stack": lambda testbed: testbed.stack,
    "deployed": lambda testbed: testbed.expected_stack,
    "outside": _outside,
    "pool": lambda testbed: testbed.pool,
    "blast_radius": _blast_radius,
    "attacker": lambda testbed: testbed.pool.attacker,
    "twin": lambda testbed: testbed.pool.twin,
    "k8ssec_sampling": lambda testbed: testbed.sampling,
}
"""What our fixtures of these names give on a testbed."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A control that ran in the background."""

    judge: Judge
    ended_by: BaseException | None
    seconds: float


class Background:
    """The controls of one stretch that run beside others.

    Args:
        stretch: ids of all its tests.
        waiting: test items that may, in the order of their turns.
        judge_for: a new judge for an item, as its fixture would make it.
        allowed: what is declared for a control, by its id.
    """

    def __init__(
        self,
        stretch: Collection[str],
        waiting: Sequence[pytest.Function],
        judge_for: Callable[[Control, Testbed], Judge],
        allowed: Callable[[str], Mapping[str, str]],
    ) -> None:
        self.stretch = frozenset(stretch)
        self._waiting = {item.nodeid: control for item in waiting if (control := packaged_control(item.function))}
        self._judge_for = judge_for
        self._allowed = allowed
        self._jobs: dict[str, Future[Ran]] = {}
        self._threads: ThreadPoolExecutor | None = None

    def begin(self, testbed: Testbed) -> None:
        """Begin all, once the cluster is there and, where one was named, the stack: a stack can change any cluster."""
        if not testbed.stands:
            return
        # Those that take long first: they are what a stretch ends with otherwise, while nothing else runs.
        for name, control in sorted(self._waiting.items(), key=lambda each: not each[1].slow):
            needs = tuple(inspect.signature(control.function).parameters)
            del self._waiting[name]
            self._threads = self._threads or ThreadPoolExecutor(_TOGETHER, thread_name_prefix="k8ssec-background")
            self._jobs[name] = self._threads.submit(self._run, control, needs, testbed)

    def take(self, item: pytest.Item) -> Ran | None:
        """What became of an item that was begun, waited for; None where it is to run now.

        Who is interrupted while waiting leaves it known: :meth:`stop` waits for it.
        """
        self._waiting.pop(item.nodeid, None)
        job = self._jobs.get(item.nodeid)
        ran = None if job is None or job.cancel() else job.result()
        self._jobs.pop(item.nodeid, None)
        return ran

    def stop(self, *, patience: float | None) -> None:
        """Begin no more, and wait for those under way. What has not ended by then is known still, and waited for anew.

        Args:
            patience: seconds; None waits for their end, so that each removes what it made.
        """
        self._waiting.clear()
        self._jobs = {name: job for name, job in self._jobs.items() if not job.cancel()}
        if self._threads is not None:
            self._threads.shutdown(wait=False)
        wait(self._jobs.values(), patience)
        self._jobs = {name: job for name, job in self._jobs.items() if not job.done()}

    def _run(self, control: Control, needs: Sequence[str], testbed: Testbed) -> Ran:
        judge, started = Judge(), time.monotonic()
        ended_by: BaseException | None = None
        try:
            judge = self._judge_for(control, testbed)
            own: dict[str, Any] = {"judge": judge, "allowed": self._allowed(control.id)}
            control.function(**{name: own[name] if name in own else _GIVES[name](testbed) for name in needs})
        except BaseException as error:  # noqa: BLE001 - raised again where the control's turn comes
            ended_by = error
        return Ran(judge, ended_by, time.monotonic() - started)


def may_run_apart(item: pytest.Item) -> bool:
    """Whether an item is a control that may run beside others, and nobody but us has a say in whether it runs at all."""
    control = packaged_control(getattr(item, "function", None))
    if control is None or not control.apart or not isinstance(item, pytest.Function):
        return False
    needs = set(inspect.signature(control.function).parameters)
    foreign = set(item.fixturenames) - guard.guarded_names() - {"request"}
    marked = any(item.get_closest_marker(name) for name in ("skip", "skipif", "xfail", "usefixtures"))
    return needs <= {*_GIVES, "judge", "allowed"} and not foreign and not marked and not _foreign_hooks(item)


def _foreign_hooks(item: pytest.Item) -> bool:
    """Whether somebody else's hook is asked before a test, as one that skips it would be."""
    known = (each for name in _HOOKS for each in getattr(item.ihook, name).get_hookimpls())
    return any(not each.function.__module__.startswith(_OF_PYTEST) for each in known)


@contextmanager
def replayed(item: pytest.Function, ran: Ran) -> Iterator[None]:
    """Let an item end as it did in the background, instead of running again."""
    judge = item.funcargs["judge"]
    assert isinstance(judge, Judge)
    judge.take_over(ran.judge)

    def replay(**_: object) -> None:
        if ran.ended_by is not None:
            raise ran.ended_by

    original = item.obj
    item.obj = replay
    try:
        yield
    finally:
        item.obj = original


_BACKGROUND = pytest.StashKey["Background"]()


def begin_apart(item: pytest.Function) -> None:
    """Begin what may run beside this item; at the first call of a stretch those that may are chosen."""
    config = item.config
    settings = config.stash[session.SETTINGS]
    held = session.begun_testbeds(config)
    if held is None or settings.serial or hasattr(config, "workerinput"):
        return
    if _BACKGROUND not in config.stash:
        stretch = _stretch(item)
        waiting = [each for each in stretch if may_run_apart(each) and isinstance(each, pytest.Function)]

        def judge_for(control: Control, testbed: Testbed) -> Judge:
            return new_judge(control, inspect.signature(control.function).parameters, lambda: testbed.stack, settings)

        config.stash[_BACKGROUND] = Background([each.nodeid for each in stretch], waiting, judge_for, settings.allowed)
    active = _active(item)
    testbed = held.testbed(active if active and active.needs_cluster else None)
    config.stash[_BACKGROUND].begin(testbed)
    if testbed.stands and (coming := _next_pack(item)) is not None and coming.needs_cluster:
        held.foresee(coming)


def _stretch(item: pytest.Item) -> list[pytest.Item]:
    """The item and those that come after it, up to the first for which another sabotage must be in force.

    A test of somebody else's ends it too: nobody knows what that does to the cluster meanwhile.
    """
    items = item.session.items
    if not _is_ours(item):
        return [item]
    return list(takewhile(lambda each: _is_ours(each) and _active(each) == _active(item), items[items.index(item) :]))


def _is_ours(item: pytest.Item) -> bool:
    return packaged_control(getattr(item, "function", None)) is not None


def _next_pack(item: pytest.Item) -> Pack | None:
    """The sabotages whose turn comes once the item's own have come and gone."""
    items = item.session.items
    packs = (phase.pack for each in items[items.index(item) :] if (phase := phase_of(each)) is not None)
    own = phase_of(item)
    return next((pack for pack in packs if pack is not None and (own is None or pack != own.pack)), None)


def _active(item: pytest.Item) -> Pack | None:
    """The sabotages that an item runs under."""
    phase = phase_of(item)
    return phase.active if phase else None


def end_stretch(item: pytest.Item) -> None:
    """Wait for what is in the background, where the coming item is not of the same stretch."""
    known = item.config.stash.get(_BACKGROUND, None)
    if known is not None and item.nodeid not in known.stretch:
        known.stop(patience=None)
        del item.config.stash[_BACKGROUND]


def take_apart(item: pytest.Item) -> Ran | None:
    """What became of an item in the background; None where it is to run now."""
    known = item.config.stash.get(_BACKGROUND, None)
    return known.take(item) if known is not None else None


def stop_apart(config: pytest.Config) -> None:
    """Nothing runs in the background any more, before what it runs on goes."""
    known = config.stash.get(_BACKGROUND, None)
    held = session.begun_testbeds(config)
    if known is not None:
        ours = held is not None and held.base.has_cluster and held.base.cluster.ours
        known.stop(patience=_PATIENCE if ours else None)
