"""One survey of a cluster: places found, measured in three steps, and what may be concluded from it.

First the machines send, which shows what listens; then the pods; then the machines once more, to what some source could
not reach. So each "no connection" lies between two moments at which the listener answered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import STOPPED, Outcome
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.nodes_in_reach import nodes_in_reach
from pytest_k8ssec.probes.policy_enforcement import SETTLE_SECONDS
from pytest_k8ssec.reach.find_places import census
from pytest_k8ssec.reach.job import sharded
from pytest_k8ssec.reach.matrix import Reachability, Witnesses
from pytest_k8ssec.reach.measure import MANNER, Dial, Manner, Row, run_plan
from pytest_k8ssec.reach.packet_loss import losses, lost, uncounted
from pytest_k8ssec.reach.places import NODE, OUTSIDE, PURPOSE, Origin, Places
from pytest_k8ssec.reach.pod_identity import lives
from pytest_k8ssec.reach.routes import SILENT, Route, Routes, unshown_in_words
from pytest_k8ssec.reach.sampling import sampling_of
from pytest_k8ssec.stack import Stack

Heard = Callable[[Origin, Row], None]
"""Called with each origin's row as it comes."""


def survey(
    cluster: Cluster,
    stack: Stack,
    pool: Pool,
    *,
    manner: Manner = MANNER,
    heard: Heard = lambda _origin, _row: None,
    limit: float | None = None,
    seed: int | None = None,
) -> Reachability:
    """Measure who reaches whom now.

    Args:
        limit: with more pods than this, some of each class are measured, and the others are told by their class. Infinity
            measures all, always; None is :data:`pytest_k8ssec.reach.sampling.LIMIT`.
        seed: chooses which; None for one by chance, which the result names.

    Raises:
        K8ssecError: it can't be found out what there is to measure.
    """
    nodes_in_reach(pool)  # before a twin is placed on one that answers nobody
    share_out = partial(sharded, pool, manner=manner)

    def beacon(node: str) -> Pod:
        if node in {each.name for each in nodes_in_reach(pool).silent}:
            raise ProbeError(f"node {node}: its kubelet answers nobody, so no pod of ours can be entered there")
        return pool.lease(PodSpec(pool.namespace(PURPOSE), node=node, purpose=PURPOSE))[0]

    return Survey(
        census(cluster, stack, pool, sampling_of(limit, seed)), manner, heard, share_out, cluster, beacon
    ).take()


class Survey:
    """A survey under way."""

    def __init__(
        self,
        places: Places,
        manner: Manner,
        heard: Heard,
        share_out: Callable[[PodSpec, Sequence[Dial]], Row] | None = None,
        cluster: Cluster | None = None,
        beacon: Callable[[str], Pod] | None = None,
    ) -> None:
        self.cluster = cluster
        self.beacon = beacon
        self.places = places
        self.share_out = share_out
        self.manner = manner
        self.heard = heard
        self.witnesses = Witnesses()
        self.rows: dict[int, Row] = {}
        self.linked: dict[int, str] = {}
        self.execs = 0
        self.born = places.born
        self.notes: list[str] = list(places.notes)

    def take(self) -> Reachability:
        """All three steps."""
        begun, before = time.monotonic(), losses(self.cluster)
        machines = [at for at, origin in enumerate(self.places.origins) if origin.namespace in (NODE, OUTSIDE)]
        senders = [at for at, origin in enumerate(self.places.origins) if origin.measured]
        pods = [at for at in senders if at not in machines]
        # Of those that do not send there is no answer.
        self.rows |= {at: Row.unknown(0, "", begun) for at in range(len(self.places.origins)) if at not in senders}
        self._measure(machines)
        self._measure(pods)
        self._await_policies(pods, begun)
        unshown = self._along_routes(lambda: self._once_more(machines))
        self._still_there()
        self._links()
        after = losses(self.cluster)
        if words := lost(before, after):
            self._distrust(f"the kernel lost packets meanwhile: {words}")
        if words := uncounted(before, after):
            self.notes.append(f"whether the kernel lost packets is not known in full: {words} can't be read")
        rows = tuple(self.rows[at] for at in range(len(self.places.origins)))
        links = tuple(self.linked.get(at, "") for at in range(len(self.places.origins)))
        seconds = time.monotonic() - begun
        return Reachability(
            self.places,
            rows,
            links,
            self.witnesses,
            round(seconds, 2),
            self.execs,
            tuple(self.notes),
            unshown=unshown,
        )

    def _dials(self, origin: Origin) -> list[Dial]:
        return [self.places.destinations[at].dial for at in self.places.asked(origin)]

    def _measure(self, origins: Sequence[int]) -> None:
        """Ask some origins about all that they are asked about; the last answer counts."""
        plan: list[tuple[int, list[Dial]]] = []
        for at in origins:
            origin = self.places.origins[at]
            dials = self._dials(origin) + self._beside(origin)
            if self.share_out is not None and origin.spec is not None and len(dials) > self.manner.exec_targets:
                fresh = at not in self.rows
                self._took(at, dials, self.share_out(origin.spec, dials))
                if fresh:
                    self.born = time.monotonic()  # its pods were made for this
            else:
                plan.append((at, dials))
        for number, row in run_plan([(self.places.origins[at].vantage, dials) for at, dials in plan], self.manner):
            self.execs += 1
            self._took(*plan[number], row)

    def _took(self, at: int, dials: Sequence[Dial], row: Row) -> None:
        """Keep a row."""
        origin = self.places.origins[at]
        self.witnesses.saw(dials, row, origin.name)
        self.rows[at] = row
        self.heard(origin, row)

    def _beside(self, machine: Origin) -> list[Dial]:
        """The listeners of ours that a node is pointed at besides: those of the pods of ours that it runs."""
        if machine.namespace != NODE:
            return []
        here = (each for each in self.places.origins if each.end.node == machine.end.node)
        return [each.listener for each in here if each.listener is not None]

    def _await_policies(self, pods: Iterable[int], begun: float) -> None:
        """Ask those again that are not as the policies say, for as long as an engine may need to take up a new pod.

        Where nothing is new any more, nobody is: what was open was open. Nothing follows from how it ends: what comes last
        is what was measured. An agreement must come twice, and is noted, as a policy that holds only now and then would
        look the same.
        """
        late = first = [at for at in pods if self._surprises(at)]
        while late and time.monotonic() < self.born + SETTLE_SECONDS:
            self._measure(late)
            late = [at for at in late if self._surprises(at)]
        settled = [at for at in first if at not in late]
        self._measure(settled)
        again = [at for at in settled if self._surprises(at)]
        if lasting := [self.places.origins[at].name for at in settled if at not in again]:
            seconds = time.monotonic() - begun
            self.notes.append(
                f"as the policies say only when asked again, within {seconds:.1f} s: {', '.join(lasting)}"
            )
        if again:
            names = ", ".join(self.places.origins[at].name for at in again)
            self.notes.append(f"as the policies say only now and then: {names}")

    def _along_routes(self, last_look: Callable[[], None]) -> frozenset[Route]:
        """The ways between nodes that nothing was seen to take while silence was the answer on them.

        Where ours get along one that nobody else showed, those whom it was silent for are asked again, and it is walked
        once more after that: a network that was broken and has recovered since is no wall.
        """
        routes = Routes(self.places, self.beacon)
        lacking = routes.lacking(self.rows)
        before = routes.walked(lacking, self.manner)
        self._measure(sorted({at for route in before for at in lacking[route]}))
        last_look()
        still = routes.lacking(self.rows)
        unshown = frozenset(still) - (before & routes.walked(before & set(still), self.manner))
        self.execs += routes.execs
        self.notes += unshown_in_words(unshown)
        return unshown

    def _surprises(self, at: int) -> bool:
        row, expected = self.rows[at], self.places.expected(at)
        for position, number in enumerate(self.places.asked(self.places.origins[at])):
            wanted, outcome = expected[number], row.outcome(position)
            if wanted is not None and outcome is not Outcome.ERROR and (outcome is Outcome.OPEN) is not wanted:
                return True
        return False

    def _once_more(self, machines: Sequence[int]) -> None:
        """Let the machines show that what somebody could not reach still listens."""
        wanted = self._stopped()
        plan, names = [], []
        for at in machines:
            origin = self.places.origins[at]
            reached = [
                dial for number, dial in enumerate(self._dials(origin)) if self.rows[at].outcome(number) is Outcome.OPEN
            ]
            dials = [dial for dial in dict.fromkeys(reached) if dial in wanted] + self._beside(origin)
            if dials:
                plan.append((origin.vantage, dials))
                names.append(origin.name)
        for number, row in run_plan(plan, self.manner):
            self.execs += 1
            self.witnesses.looked_last(plan[number][1], row, names[number])

    def _still_there(self) -> None:
        """Take back what is shown by listeners of pods that are gone, or have started anew."""
        if self.cluster is None or not self.places.lives:
            return
        now = lives(self.cluster.api, {each.namespace for each in self.places.destinations} - {NODE})
        gone = {dial for dial, all_of_them in self.places.lives.items() if not all_of_them <= now}
        self.witnesses.gone |= gone
        if names := dict.fromkeys(each.subject for each in self.places.destinations if each.dial in gone):
            self.notes.append(f"gone, or started anew, while it was measured: {', '.join(names)}")

    def _stopped(self) -> set[Dial]:
        """What somebody could not reach, and what stands behind it."""
        found: set[Dial] = set()
        for at, origin in enumerate(self.places.origins):
            for position, number in enumerate(self.places.asked(origin)):
                if self.rows[at].outcome(position) in STOPPED:
                    destination = self.places.destinations[number]
                    found |= {destination.dial, *destination.listeners}
        return found

    def _links(self) -> None:
        """Who shows that an origin's network works: its node, which reaches it, or itself, by reaching something."""
        for at, origin in enumerate(self.places.origins):
            by_node = self.witnesses.beside(origin.listener, self.rows[at]) if origin.listener else ""
            asked = self.places.asked(origin)
            reached = any(
                self.rows[at].outcome(position) is Outcome.OPEN
                and all(end.address != origin.end.address for end in self.places.destinations[number].ends)
                for position, number in enumerate(asked)
            )
            self.linked[at] = by_node or (origin.name if reached else "")

    def _distrust(self, why: str) -> None:
        """Silence proves nothing any more."""
        self.notes.append(why)
        for row in self.rows.values():
            for number in range(len(row.codes)):
                if row.outcome(number) in SILENT:
                    row.forget(number, why)
