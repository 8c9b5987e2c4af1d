"""Controls of the family Network, and what those on egress share: each puts a twin of every workload on trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_k8ssec.agent.tasks import Task, Tcp, Udp
from pytest_k8ssec.agent.vantage import probe_all
from pytest_k8ssec.catalogue.declared import Declared, object_names
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Evidence, Outcome, got_through
from pytest_k8ssec.evidence.causes import Flow
from pytest_k8ssec.facts.containers import PodTemplate, pod_templates
from pytest_k8ssec.pods.absent import tell_absent
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.nodes_in_reach import nodes_in_reach
from pytest_k8ssec.probes.policy_enforcement import enforces, settle
from pytest_k8ssec.stack import Stack, Workload
from pytest_k8ssec.verdict import Case, Judge


@dataclass(frozen=True, slots=True)
class WorkloadSuspect:
    """One workload, seen from inside."""

    workload: Workload
    name: str
    """The workload, and which pod of it where its pods differ, as a case is named."""
    pod: Pod
    """A twin of it: the same policies hold for it."""
    free: Pod
    """A pod of ours on the same node, for which no policy holds: for positive controls."""
    gate: Evidence
    """That policies are enforced here."""

    def exists(self, judge: Judge, **at: Any) -> None:
        """Say that there is this way out to try; from each node on which such a pod stands there is a suspect that says so."""
        judge.coverage.exists(workload=self.name, source=self.pod.source.place, **at)

    def attack(self, case: Case, what: str, answer: Evidence, shown: Evidence, task: Task, **at: Any) -> None:
        """Record what came of leaving by one way, and what came of it from the pod for which no policy holds.

        Args:
            task: what left.
            at: which way that is, as :meth:`exists` was told.
        """
        tries = {"workload": self.name, "source": self.pod.source.place, **at}
        case.attack(what, answer, through=got_through(answer), at=tries, cause=self._flow(task))
        case.positive(f"{what}: a pod of ours on the same node gets through", shown, succeeded=got_through(shown))

    def _flow(self, task: Task) -> Sequence[Flow]:
        """What left, as policies see it; nothing where it is no connection."""
        if not isinstance(task, (Tcp, Udp)):
            return ()
        source = next((each for each in self.pod.addresses if (":" in each) == (":" in task.host)), self.pod.address)
        labels = tuple(sorted(self.workload.labels.items()))
        protocol = "UDP" if isinstance(task, Udp) else "TCP"
        return [Flow("Egress", self.workload.namespace, labels, source, task.host, task.port, protocol)]

    def gated(self, case: Case) -> None:
        """Record that policies are enforced here."""
        case.positive("policies are enforced here", self.gate, succeeded=self.gate.outcome is Outcome.DONE)


def workloads_on_trial(judge: Judge, stack: Stack, pool: Pool, allowed: Mapping[str, str]) -> list[WorkloadSuspect]:
    """Twins of each workload that is not declared, taken up by the policy engine; none where it enforces nothing.

    There is one on each node on which its pods stand, of those that can be looked at. One whose twin does not come to run is recorded as such, and is not among them.

    Raises:
        NoAccess: this run did not deploy the stack.
        ProbeError: a free pod was refused or did not start, or an exec broke.
        ClusterError: the API server did not list the workloads' pods.
    """
    declared = Declared(judge, allowed)
    workloads = [
        each for each in stack.workloads() if not declared.covers(*object_names(each.kind, each.namespace, each.name))
    ]
    declared.tell_unused()
    if not workloads:
        judge.not_applicable("the stack has no workload that is not declared")
        return []
    gate = enforces(pool)
    if gate.outcome is not Outcome.DONE:
        # A twin is a new pod, and a stopped engine lets new pods go: that is net-cni-enforces' finding, not the stack's.
        judge.case("the cluster's network").positive("policies are enforced here", gate, succeeded=False)
        return []
    wanted = {
        (f"{each}, {name}" if name else str(each), node): (
            each,
            PodSpec(each.namespace, template=template, live_network=True, purpose="twin"),
        )
        for each in workloads
        for name, made in pod_templates(pool.cluster, each).items()
        for node, template in _by_node(pool, made).items()
    }
    found = dict(zip(wanted, pool.lease_each(*(spec for _, spec in wanted.values())), strict=True))
    twins = {key: pod for key, pod in found.items() if isinstance(pod, Pod)}
    for (name, _), error in found.items():
        if isinstance(error, ProbeError):
            tell_absent(judge.case(name), error)
    if not twins:
        return []
    nodes = sorted({twin.source.node for twin in twins.values()})
    home = pool.namespace("attacker")
    free = dict(zip(nodes, pool.lease(*(PodSpec(home, node=node, purpose="free") for node in nodes)), strict=True))
    ids = [twin.uid for twin in twins.values()]
    pool.remember(f"settled: {ids}", lambda: settle([*twins.values()], next(iter(free.values()))))
    return [WorkloadSuspect(wanted[key][0], key[0], twin, free[twin.source.node], gate) for key, twin in twins.items()]


def _by_node(pool: Pool, made: PodTemplate) -> dict[str, Mapping[str, Any]]:
    """The template for each node on which such pods stand and that can be looked at; as it is where there is none."""
    answering = {node.name for node in nodes_in_reach(pool).answering} if len(made.nodes) > 1 else set()
    spec = made.template["spec"]
    found: dict[str, Mapping[str, Any]] = {
        name: {**made.template, "spec": {**spec, "nodeName": name}} for name in made.nodes if name in answering
    }
    return found or {"": made.template}


def tried(
    suspects: Sequence[WorkloadSuspect], ways: Callable[[WorkloadSuspect], Sequence[Task]]
) -> Iterator[tuple[WorkloadSuspect, list[Evidence], list[Evidence]]]:
    """What comes of each suspect's ways out, for itself and for the pod beside it; all go at the same time.

    Raises:
        ProbeError: an exec broke.
    """
    planned = [(suspect, ways(suspect)) for suspect in suspects]
    answers = probe_all([(pod.vantage, tasks) for each, tasks in planned for pod in (each.pod, each.free)])
    yield from zip(suspects, answers[::2], answers[1::2], strict=True)
