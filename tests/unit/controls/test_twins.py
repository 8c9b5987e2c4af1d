"""What controls do with twins: one that does not start is one case, and what nobody knows accuses nobody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.agent.tasks import Tcp
from pytest_k8ssec.attack.graph import Graph
from pytest_k8ssec.attack.walk import start_of
from pytest_k8ssec.catalogue.declared import Declared
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls import net
from pytest_k8ssec.controls.blast.radius import test_blast_radius as blast
from pytest_k8ssec.controls.net import workloads_on_trial
from pytest_k8ssec.controls.wl import ContainerSuspect, containers_on_trial
from pytest_k8ssec.controls.wl import __name__ as wl_name
from pytest_k8ssec.controls.wl.privilege import _itself
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.facts.containers import PodTemplate
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.probes import prove_listening as module
from pytest_k8ssec.probes.nodes_in_reach import NodesInReach
from pytest_k8ssec.stack import Workload
from pytest_k8ssec.verdict import Judge, Verdict
from tests.unit.fakes import evidence, judge_of

if TYPE_CHECKING:
    from pytest_k8ssec.attack.radius import BlastRadius
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.facts.listening_ports import Target
    from pytest_k8ssec.pods.manifests import PodSpec
    from pytest_k8ssec.pods.pool import Pool
    from pytest_k8ssec.stack import Stack

BROKEN = ProbeError("pod web/t: is not running", details="FailedScheduling: no room")


def workload(name: str, **spec: Any) -> Workload:
    """A Deployment of one container."""
    template = {"spec": {"automountServiceAccountToken": False, "containers": [{"name": "c"}], **spec}}
    return Workload("Deployment", "web", name, {"app": name}, {"matchLabels": {"app": name}}, template)


@dataclass
class World:
    """A stack, a cluster without live pods, and a pool in which the twin of ``bad`` does not start."""

    has: tuple[Workload, ...] = ()
    nodes: tuple[()] = ()
    asked: list[str] = field(default_factory=list)

    @property
    def cluster(self) -> World:
        """Itself."""
        return self

    @property
    def api(self) -> World:
        """Itself."""
        return self

    def workloads(self) -> tuple[Workload, ...]:
        """Those that it has."""
        return self.has

    def list(self, _path: str, **_: str) -> list[Any]:
        """No live pods."""
        return []

    def namespace(self, name: str) -> str:
        """One of ours."""
        return name

    def remember(self, what: str, _find_out: object) -> None:
        """Policies were given time."""
        self.asked.append(what)

    def lease(self, *specs: PodSpec) -> Sequence[Pod]:
        """A pod for each."""
        return [pod() for _ in specs]

    @contextmanager
    def lease_lots(self, *specs: PodSpec) -> Iterator[Iterator[dict[int, Pod | ProbeError]]]:
        """One for all."""
        yield iter([dict(enumerate(self.lease_each(*specs)))])

    def lease_each(self, *specs: PodSpec) -> Sequence[Pod | ProbeError]:
        """The same, but for the bad one."""
        return [BROKEN if (spec.template or {})["spec"].get("hostPID") else pod() for spec in specs]


def pod() -> Pod:
    """A pod on a node."""
    vantage = type("V", (), {"source": Source("pod", "web/t", "10.0.0.1", "n1")})
    return Pod(cast("Any", vantage), "uid", "nonce")


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Policies are enforced, and there is a pod that may do everything."""
    monkeypatch.setattr(net, "enforces", lambda _: evidence(Outcome.DONE))

    def free(_: object, nodes: Iterable[str]) -> dict[str, Pod]:
        return {node: pod() for node in nodes}

    monkeypatch.setattr(f"{wl_name}.unrestricted_pods", free)


def on_trial(family: str, *has: Workload, **allowed: str) -> tuple[Judge, list[Any]]:
    """What there is to attack."""
    judge, world = Judge(), World(has)
    exceptions = {f"Deployment web/{name.replace('__', '/')}": why for name, why in allowed.items()}
    stack, pool = cast("Stack", world), cast("Pool", world)
    if family == "wl":
        with containers_on_trial(judge, stack, pool, Declared(judge, exceptions)) as suspects:
            return judge, list(suspects)
    return judge, workloads_on_trial(judge, stack, pool, exceptions)


@pytest.mark.parametrize("family", ["wl", "net"])
def test_a_twin_that_does_not_start_is_one_case(family: str) -> None:
    """The others are on trial; and it can't be held by them."""
    judge, suspects = on_trial(family, workload("good"), workload("bad", hostPID=True), workload("too"))
    assert ["good", "too"] == [each.workload.name for each in suspects]
    (absent,) = (case for case in judge.cases if case.attacks)
    assert "web/bad" in absent.name
    verdict, why = absent.verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert "pod web/t: is not running: FailedScheduling: no room" in why


@pytest.mark.parametrize("family", ["wl", "net"])
def test_where_none_starts_nothing_else_is_asked_for(family: str) -> None:
    """And that there was nothing to attack is said where it is true, and nowhere else."""
    judge, suspects = on_trial(family, workload("bad", hostPID=True))
    assert [] == suspects
    assert Verdict.INCONCLUSIVE is judge.verdict()[0]
    assert "no workload" not in judge.verdict()[1]
    judge, suspects = on_trial(family)
    assert (Verdict.NOT_APPLICABLE, "the stack has no workload that is not declared") == judge.verdict()


@pytest.mark.parametrize(("family", "left"), [("wl", ["b"]), ("net", [])])
def test_one_container_may_be_excepted(family: str, left: list[str]) -> None:
    """The others of its workload are on trial; a network is a workload's, and has no container."""
    two = {"containers": [{"name": "a"}, {"name": "b"}]}
    _, suspects = on_trial(family, workload("shop", **two), **{"shop__a" if family == "wl" else "shop": "must be"})
    assert left == [each.template["spec"]["containers"][0]["name"] for each in suspects]


@pytest.mark.parametrize("family", ["wl", "net"])
def test_an_exception_for_nothing_is_told(family: str) -> None:
    """It may be mistyped, or its workload may be gone."""
    judge, suspects = on_trial(family, workload("shop"), other="x")
    assert ["shop"] == [each.workload.name for each in suspects]
    assert any("Deployment web/other is declared, and there is nothing" in note for note in judge.notes)


def test_a_workload_has_a_twin_on_each_node_that_its_pods_stand_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """One on a node that does not start is a case; of a workload on one node there is one, as it is."""
    here, nowhere = workload("shop"), workload("other")
    found = {
        "shop": {"": PodTemplate({"spec": {"nodeName": "n1"}}, ("n1", "n2", "silent"))},
        "other": {"": PodTemplate({"spec": {}}, ("n9",))},
    }
    monkeypatch.setattr(net, "pod_templates", lambda _, each: found[each.name])
    reach = NodesInReach(tuple(Node(name, "", control_plane=False) for name in ("n1", "n2")))
    monkeypatch.setattr(net, "nodes_in_reach", lambda _: reach)
    world = World((here, nowhere))
    leased: list[Any] = []

    def lease_each(*specs: PodSpec) -> list[Pod]:
        leased.extend((spec.template or {})["spec"].get("nodeName") for spec in specs)
        return [on_node(name or "n1") for name in leased]

    monkeypatch.setattr(world, "lease_each", lease_each, raising=False)
    suspects = workloads_on_trial(Judge(), cast("Stack", world), cast("Pool", world), {})
    assert ["n1", "n2", None] == leased
    shop = [each for each in suspects if each.workload is here]
    assert ["n1", "n2"] == [each.pod.source.node for each in shop]
    assert 1 == len({each.name for each in shop})


def on_node(node: str) -> Pod:
    """A pod there."""
    return Pod(cast("Any", type("V", (), {"source": Source("pod", "web/t", "10.0.0.1", node)})), "uid", "nonce")


ROOT = {"uid": 0, "effective": 1 << 13, "bounding": 1 << 13, "no_new_privileges": True, "seccomp": 2}
NOBODY = {**ROOT, "uid": 10001, "effective": 0}


def as_root(facts: dict[str, Any], container: dict[str, Any] | None = None, **security: Any) -> dict[str, bool | None]:
    """Which attacks of wl-privilege on a container get through, by their words, where its twin sees these facts."""
    judge = Judge()
    spec = {"securityContext": security, "containers": [{"name": "c", "securityContext": container or {}}]}
    case = judge.case("c")
    suspect = ContainerSuspect(workload("shop"), {"spec": spec}, case, pod(), pod())
    _itself(suspect, evidence(Outcome.DONE, facts=facts), Declared(judge, {}))
    return {attack.what.partition(":")[0]: attack.through for attack in judge.attacks}


@pytest.mark.parametrize("said", [{"container": {"runAsUser": 0}}, {"runAsUser": 0}])
def test_who_is_root_is_accused(said: dict[str, Any]) -> None:
    """By what the spec says, or by whom it was found to be started as, which is put there."""
    found = as_root(ROOT, **said)
    assert found["be root"] is True
    assert found["use capabilities"] is True


@pytest.mark.parametrize("said", [{"container": {"runAsUser": 10001}}, {"runAsNonRoot": True}])
def test_who_is_not_root_is_not(said: dict[str, Any]) -> None:
    """An image's USER counts; and where root is forbidden, whoever it is."""
    found = as_root(NOBODY, **said)
    assert (found["be root"], found["use a capability"]) == (False, False)


def test_whom_nobody_knows_is_neither_accused_nor_cleared() -> None:
    """The probe's image is root's, which says nothing of the workload's; that a root has no capability does."""
    found = as_root(ROOT)
    assert found["be root"] is None
    assert found["use capabilities"] is None
    assert as_root({**ROOT, "effective": 0})["use a capability"] is False


def test_where_no_twin_may_stand_the_node_shows_what_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that does not start leaves the targets to their node."""
    target = cast("Target", type("T", (), {"task": Tcp("10.0.0.9", 80), "node": "n1"}))
    node = type("N", (), {"name": "n1", "address": "172.18.0.2"})
    cluster = cast("Cluster", type("C", (), {"nodes": (node,)}))

    def refused(_: Workload) -> Pod:
        raise BROKEN

    def answer(vantage: Any, _tasks: object) -> list[Evidence]:
        assert vantage.node is node
        return [evidence(Outcome.OPEN)]

    monkeypatch.setattr(module, "probe", answer)
    found = module.prove_listening(cluster, [target], {target: workload("shop")}, refused)
    assert [Outcome.OPEN] == [each.outcome for each in found.values()]


class Walks:
    """A blast radius of workloads, of which the bad one's twin does not start."""

    baseline = None
    told_by_class = ""

    def prepare(self, workloads: Sequence[Workload]) -> None:
        """Side by side."""
        if any("hostPID" in each.template["spec"] for each in workloads):
            raise BROKEN

    def __call__(self, each: Workload) -> Graph:
        """A graph of nothing."""
        self.prepare([each])
        return Graph(start_of(each))

    def places(self, each: Workload) -> set[tuple[str, str]]:
        """Its container, wherever."""
        self.prepare([each])
        return {("", "c")}

    looked_round = places

    def shown(self, _: Workload) -> tuple[()]:
        """No canary."""
        return ()


def test_a_walk_whose_twin_does_not_start_is_one_case() -> None:
    """The others are walked all the same."""
    judge = judge_of(blast)
    stack = cast("Stack", World((workload("bad", hostPID=True), workload("good"))))
    blast(judge, stack, cast("BlastRadius", Walks()), {})
    bad, good = judge.cases
    assert "is not running" in bad.verdict()[1]
    assert [False, False] == [attack.through for attack in good.attacks][:2]


def test_a_container_on_a_node_that_nobody_looked_round_in_is_named() -> None:
    """What runs there is known apart from what the walk has seen."""

    class Some(Walks):
        """It stands on two nodes, and was looked at on one."""

        def places(self, _: Workload) -> set[tuple[str, str]]:
            """Those."""
            return {("n1", "c"), ("n2", "c")}

        def looked_round(self, _: Workload) -> set[tuple[str, str]]:
            """One of them."""
            return {("n1", "c"), ("", "c")}

    judge = judge_of(blast)
    blast(judge, cast("Stack", World((workload("shop"),))), cast("BlastRadius", Some()), {})
    named = "check become cluster-admin, container c, source pod on n2, workload Deployment web/shop"
    assert f"{named} (no attack tried it)" in judge.verdict()[1]
    whole = judge_of(blast)
    blast(whole, cast("Stack", World((workload("shop"),))), cast("BlastRadius", Walks()), {})
    assert "not tried" not in whole.verdict()[1]
    assert "2 of 2 combinations" in whole.coverage.words(whole.tried)
