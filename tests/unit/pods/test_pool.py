"""Pods of one request start side by side, and what two threads ask for is one pod."""

from __future__ import annotations

import _thread
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from pytest_k8ssec.agent.resident import Resident
from pytest_k8ssec.agent.tasks import Task
from pytest_k8ssec.agent.vantage import PodVantage
from pytest_k8ssec.clusters.api import Body, Response
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import ClusterError, ProbeError
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.pods.live_network import ENTER, LiveNetwork, LivePod
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.pods.places import SPARE, lots
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.stack import Workload
from tests.unit.fakes import evidence

LONG = 10


@dataclass
class Server:
    """An API server whose pods run once they are let."""

    made: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    before_running: Callable[[], object] = lambda: None
    refuse: bool = False
    name: str = "k8ssec-1"
    ours: bool = True
    probe_image: str = "probe"
    nodes: tuple[object, ...] = ()
    lock: threading.Lock = field(default_factory=threading.Lock)
    lists: dict[str, list[Body]] = field(default_factory=dict)
    """What is in the namespace of the stack, by plural."""
    manifests: list[Body] = field(default_factory=list)
    """Of the pods that were created."""
    starts: bool = True
    ends: Body = field(default_factory=dict)
    """The status of a pod that comes to nothing."""

    @property
    def api(self) -> Server:
        """Itself."""
        return self

    def request(self, method: str, path: str, *, body: Body) -> Response:
        """A namespace."""
        with self.lock:
            self.made.append(f"{body['kind']} {body['metadata']['name']}")
        return Response(201, body, 1.0)

    def create(self, manifest: Body) -> Body:
        """An object."""
        if self.refuse:
            raise ClusterError("quota")
        with self.lock:
            self.made.append(manifest["kind"])
            self.manifests += [manifest] if manifest["kind"] == "Pod" else []
        return {**manifest, "metadata": {**manifest["metadata"], "uid": "u"}}

    def wait(self, path: str, name: str, ready: Callable[[Body | None], bool], **_: Any) -> Body:
        """A pod runs."""
        if path.endswith("/pods"):
            self.before_running()
            if not self.starts:
                raise ClusterError(f"pod {name}: is not running")
        found = {
            "metadata": {"uid": name},
            "spec": {"nodeName": "worker", "containers": [{"name": "probe"}]},
            "status": {"podIP": "10.0.0.1", "containerStatuses": [{"state": {"running": {}}}], **self.ends},
        }
        assert ready(found)
        return found

    def list(self, path: str, **_: Any) -> list[Body]:
        """What is there."""
        return self.lists.get(path.rpartition("/")[2], [])

    def delete(self, path: str, **_: Any) -> None:
        """Any object."""
        self.deleted.append(path)


@pytest.fixture(autouse=True)
def reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pod's listener answers."""

    def probe(_: Pod, *tasks: Task) -> list[Evidence]:
        return [evidence(Outcome.OPEN) for _ in tasks]

    monkeypatch.setattr(Pod, "probe", probe)


def pool(server: Server, *, overlap: bool = True) -> Pool:
    """A pool of that server's pods."""
    return Pool(cast("Cluster", server), "run", lambda: ("web",), overlap=overlap)


def specs(count: int) -> list[PodSpec]:
    """So many pods that are not alike."""
    return [PodSpec("web", labels={"number": str(number)}) for number in range(count)]


def test_pods_of_one_request_start_side_by_side() -> None:
    """None waits until the one before it runs: each of them waits here for the other two."""
    together = threading.Barrier(3)
    server = Server(before_running=lambda: together.wait(LONG))
    found = pool(server).lease(*specs(3))
    assert len({each.uid for each in found}) == 3


def test_serially_one_starts_after_the_other() -> None:
    """Nothing overlaps, and no agent stays."""
    under_way: list[int] = []

    def alone() -> None:
        assert not under_way
        under_way.append(1)
        under_way.clear()

    found = pool(Server(before_running=alone), overlap=False).lease(*specs(3))
    assert [None] * 3 == [each.vantage.resident for each in found]


def test_an_agent_stays_in_each_pod_until_the_pods_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they were made under has changed then."""
    pods = pool(Server())
    (pod,) = pods.lease(*specs(1))
    ended: list[object] = []

    def close(stays: Resident) -> None:
        ended.append(stays)

    monkeypatch.setattr(Resident, "close", close)
    pods.refresh()
    assert [pod.vantage.resident] == ended
    pods.lease(*specs(1))
    pods.close()
    assert len(ended) == 2


def test_two_threads_that_ask_for_the_same_get_one_pod() -> None:
    """The second waits for the first, and makes none; so it is with namespaces and with what is remembered."""
    asked, let = threading.Event(), threading.Event()

    def running() -> None:
        asked.set()
        assert let.wait(LONG)

    server = Server(before_running=running)
    pods = pool(server)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(pods.lease, *specs(1))
        assert asked.wait(LONG)
        second = threads.submit(pods.lease, *specs(2))
        let.set()
        assert first.result(LONG)[0] is second.result(LONG)[0]
    assert ["Pod", "Pod"] == server.made


def test_one_that_is_asked_for_twice_is_one() -> None:
    """In one request as well."""
    server = Server()
    first, second = pool(server).lease(*specs(1), *specs(1))
    assert first is second
    assert ["Pod"] == server.made


def test_what_was_refused_is_tried_again() -> None:
    """The room of a quota may be there later."""
    server = Server(refuse=True)
    pods = pool(server)
    with pytest.raises(ProbeError, match="was refused: quota"):
        pods.lease(*specs(1))
    server.refuse = False
    assert pods.lease(*specs(1))


def test_ctrl_c_does_not_wait_for_pods() -> None:
    """The clean-up that follows it takes them along."""
    let, asked = threading.Event(), threading.Lock()

    def running() -> None:
        if asked.acquire(blocking=False):
            _thread.interrupt_main()  # who waits for the pods, whichever of them it waits for
        assert let.wait(LONG)

    with pytest.raises(KeyboardInterrupt):
        pool(Server(before_running=running)).lease(*specs(3))
    assert not let.is_set()
    let.set()


def test_a_namespace_is_made_once_and_twins_share_an_owner() -> None:
    """Whoever asks first, and however many at once."""
    server = Server()
    pods = pool(server)
    empty: dict[str, Any] = {"metadata": {}, "spec": {"containers": [{}]}}
    twins = [PodSpec("web", template=empty, labels={"number": str(number)}) for number in range(4)]
    pods.lease(*twins)
    assert {pods.namespace("own") for _ in range(3)} == {"k8ssec-run-own"}
    assert 1 == server.made.count("ConfigMap") == server.made.count("Namespace k8ssec-run-own")


def test_a_pod_on_a_shunned_node_is_given_up_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exec there would take half a minute to fail; once the cluster has changed it is tried again."""
    asked: list[Pod] = []

    def probe(pod: Pod, *tasks: Task) -> list[Evidence]:
        asked.append(pod)
        return [evidence(Outcome.OPEN) for _ in tasks]

    monkeypatch.setattr(Pod, "probe", probe)
    pods = pool(Server())
    pods.shun(["worker"])
    with pytest.raises(ProbeError, match="is placed on worker, whose kubelet answers nobody"):
        pods.lease(*specs(1))
    assert [] == asked
    pods.refresh()
    assert pods.lease(*specs(1))


def test_a_pod_waits_for_no_kubelet_of_a_node_that_can_not_be_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of such nodes there may be hundreds that answer nobody, each with its own timeout, in each of many tries."""
    dialled: list[str] = []

    def probe(_: Pod, *tasks: Task) -> list[Evidence]:
        dialled.extend(str(task) for task in tasks)
        return [evidence(Outcome.OPEN) for _ in tasks]

    monkeypatch.setattr(Pod, "probe", probe)
    near, far = (Node(name, name, control_plane=False, container=box) for name, box in (("near", "c"), ("far", "")))
    pods = pool(Server(nodes=(near, far)))
    pods.lease(PodSpec(pods.namespace("own")))
    assert ["TCP 10.0.0.1:8980", "TCP near:10250"] == dialled


def template(**spec: Any) -> dict[str, Any]:
    """A workload's, of one container."""
    return {"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [{"name": "shop"}], **spec}}


def twin(**spec: Any) -> PodSpec:
    """A twin of such a workload."""
    return PodSpec("web", template=template(**spec), purpose="twin")


def test_one_that_does_not_start_is_an_error_in_its_place() -> None:
    """The others are had; and who asks for all of them gets none."""
    server = Server(before_running=lambda: None)
    pods = pool(server)
    bad = twin(hostPID=True)
    server.starts = False
    pods.lease_each(bad)
    server.starts = True
    first, second = pods.lease_each(bad, twin())
    assert isinstance(first, ProbeError)
    assert isinstance(second, Pod)
    with pytest.raises(ProbeError, match="is not running"):
        pods.lease(bad, twin())


def test_a_start_that_failed_is_not_waited_for_again() -> None:
    """Not by the next control either; once the cluster has changed it is tried anew. It leaves no pod behind."""
    server = Server(starts=False)
    pods = pool(server)
    for _ in range(3):
        with pytest.raises(ProbeError, match="is not running"):
            pods.lease(twin())
    assert ["ConfigMap", "Pod"] == server.made
    assert [f"/api/v1/namespaces/web/pods/{server.manifests[0]['metadata']['name']}"] == server.deleted
    server.starts = True
    pods.refresh()
    assert pods.lease(twin())


def test_a_node_that_has_no_room_is_believed_at_once() -> None:
    """Its kubelet says so: the pod has failed, and never runs."""
    server = Server(ends={"phase": "Failed", "reason": "OutOfpods", "podIP": "", "containerStatuses": []})
    with pytest.raises(ProbeError, match="its node does not let it run: OutOfpods"):
        pool(server).lease(twin())


def test_pods_in_their_node_s_network_listen_at_ports_of_their_own() -> None:
    """Two of them may stand on one node, beside whatever listens there; any other pod has its network to itself."""
    server = Server()
    first, second, third = pool(server).lease(twin(hostNetwork=True), twin(hostNetwork=True, hostPID=True), twin())
    assert 3 == len({first.port, second.port, third.port})
    assert 8980 == third.port == third.canary.port == third.plain_http.port
    for pod in (first, second):
        assert 20000 <= pod.port < 30000
        assert pod.port == pod.canary.port == pod.plain_http.port
    ports = {manifest["spec"]["containers"][0]["command"][-1] for manifest in server.manifests}
    assert {str(pod.port) for pod in (first, second, third)} == ports


def test_a_twin_fits_its_namespace() -> None:
    """Its LimitRange, and what its quota leaves; in a namespace of ours nothing is asked."""
    small = {"spec": {"limits": [{"type": "Container", "max": {"cpu": "200m", "memory": "64Mi"}}]}}
    server = Server(lists={"limitranges": [small]})
    pods = pool(server)
    pods.lease(twin(), PodSpec("web"))
    for manifest in server.manifests:
        assert {"cpu": "200m", "memory": str(64 * 1024**2)} == manifest["spec"]["containers"][0]["resources"]["limits"]
    server.manifests.clear()
    pods.lease(PodSpec(pods.namespace("own")))
    assert "500m" == server.manifests[0]["spec"]["containers"][0]["resources"]["limits"]["cpu"]


def test_a_twin_of_live_pods_is_made_of_what_they_are() -> None:
    """Whoever asks for the twin of a workload gets that one."""
    server = Server()
    live = template(nodeName="n2")
    made = Pool(cast("Cluster", server), "run", lambda: ("web",), template_of=lambda _: live)
    made.twin(Workload("Deployment", "web", "shop", {}, {}, template()))
    assert "n2" == server.manifests[0]["spec"]["nodeName"]


@pytest.mark.parametrize("labels_matter", [True, False])
def test_where_labels_do_not_matter_traffic_keeps_no_twin_away(labels_matter: bool) -> None:
    """One that draws it is left out then, though policies know it; where they matter there is no twin."""
    service = {"metadata": {"name": "db"}, "spec": {"selector": {"app": "shop"}, "publishNotReadyAddresses": True}}
    policy = {"spec": {"podSelector": {"matchLabels": {"app": "shop"}}}}
    server = Server(lists={"services": [service], "networkpolicies": [policy]})
    spec = PodSpec("web", template=template(), labels_matter=labels_matter, purpose="twin")
    (found,) = pool(server).lease_each(spec)
    assert isinstance(found, ProbeError) is labels_matter
    assert all("app" not in manifest["metadata"]["labels"] for manifest in server.manifests)


def test_whether_labels_matter_makes_no_second_twin() -> None:
    """As long as one does for both."""
    server = Server()
    pods = pool(server)
    one, other = (PodSpec("web", template=template(), labels_matter=each, purpose="twin") for each in (False, True))
    assert pods.lease(one) == pods.lease(other)
    assert 1 == len(server.manifests)


SERVED = {"metadata": {"name": "db"}, "spec": {"selector": {"app": "shop"}, "publishNotReadyAddresses": True}}
SELECTS = {"spec": {"podSelector": {"matchLabels": {"app": "shop"}}}}


def live(**changes: Any) -> Body:
    """A live pod of that workload."""
    found: Body = {
        "metadata": {"name": "shop-0", "namespace": "web", "uid": "u-0", "labels": {"app": "shop", "hash": "x"}},
        "spec": {"nodeName": "worker", "containers": [{"name": "shop"}]},
        "status": {"phase": "Running", "podIP": "10.0.0.9"},
    }
    for part, fields in changes.items():
        found[part] = {**found[part], **fields}
    return found


def lending(*pods: Body, policies: tuple[Body, ...] = (SELECTS,)) -> Server:
    """A namespace whose Service publishes whoever is not ready, and whose policies know the label that it selects by."""
    return Server(lists={"services": [SERVED], "networkpolicies": [*policies], "pods": [*pods]})


SENDS = PodSpec("web", template=template(), live_network=True, purpose="twin")


def test_where_a_twin_would_be_served_a_live_pod_lends_its_network() -> None:
    """The twin itself has not the label; an unrestricted pod on the live one's node enters its network."""
    server = lending(live())
    (twin,) = pool(server).lease(SENDS)
    ours, unrestricted = server.manifests
    assert "app" not in ours["metadata"]["labels"]
    assert "worker" == ours["spec"]["nodeName"] == unrestricted["spec"]["nodeName"]
    assert unrestricted["spec"]["hostPID"] is True
    assert twin.vantage.network is not None
    lent = twin.vantage.network.source
    assert ("web/shop-0 (in its network)", "10.0.0.9", "worker") == (lent.name, lent.address, lent.node)
    assert "10.0.0.1" == twin.address, "what is sent to the twin goes to the twin"


def test_a_twin_that_nobody_serves_borrows_nothing() -> None:
    """It is the same pod that others have."""
    server = Server()
    pods = pool(server)
    assert pods.lease(SENDS) == pods.lease(PodSpec("web", template=template(), purpose="twin"))
    assert 1 == len(server.manifests)


@pytest.mark.parametrize(
    "pod",
    [
        live(metadata={"labels": {"app": "shop", "tier": "data"}}),
        live(metadata={"labels": {"app": "other"}}),
        live(metadata={"labels": {"app": "shop", "k8ssec.dev/run": "x"}}),
        live(metadata={"deletionTimestamp": "2030-01-02T03:04:05Z"}),
        live(status={"phase": "Pending"}),
        live(status={"podIP": ""}),
        live(spec={"serviceAccountName": "admin"}),
        live(spec={"hostNetwork": True}),
    ],
    ids=["further-label", "other-label", "ours", "leaves", "pending", "no-address", "other-account", "node-s-network"],
)
def test_no_network_is_borrowed_of_a_pod_under_other_policies(pod: Body) -> None:
    """Nor of one of ours, nor of one that does not run: then nothing is known, and the error says why."""
    by_tier = {"spec": {"podSelector": {"matchLabels": {"tier": "data"}}}}
    server = lending(pod, policies=(SELECTS, by_tier))
    (found,) = pool(server).lease_each(SENDS)
    assert isinstance(found, ProbeError)
    assert "would be an endpoint of Service web/db" in str(found)
    assert [] == server.manifests


def test_a_network_is_borrowed_on_the_node_that_is_asked_for() -> None:
    """What a walk compares with is on that node too."""
    elsewhere = replace(SENDS, template=template(nodeName="far"))
    (found,) = pool(lending(live())).lease_each(elsewhere)
    assert isinstance(found, ProbeError)


def test_the_lent_network_is_entered_by_uid_and_address() -> None:
    """Whatever command then runs, runs there."""
    told: list[Sequence[str]] = []

    class Host:
        def execute(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Completed:
            told.append(argv)
            return Completed(tuple(argv), 0, stdin, str(deadline).encode())

    network = LiveNetwork(cast("PodVantage", Host()), LivePod("web/shop-0", "u-0", "10.0.0.9", "worker"))
    network.execute(["python3", "-"], b"", 1)
    assert [["python3", "-c", ENTER, "u-0", "10.0.0.9", "python3", "-"]] == told


def test_without_a_process_of_the_pod_nothing_is_run() -> None:
    """What would be sent from another network proves nothing."""
    argv = [sys.executable, "-c", ENTER, "no-such-uid", "192.0.2.1", "echo", "ran"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (1, "") == (done.returncode, done.stdout)
    assert "no process of the pod" in done.stderr


def test_a_pod_has_all_its_addresses() -> None:
    """Each with a listener: a policy may hold for one family only."""
    server = Server(ends={"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]})
    (pod,) = pool(server).lease(*specs(1))
    assert ("10.0.0.1", "fd00::1") == pod.addresses
    assert ["10.0.0.1", "fd00::1"] == [each.host for each in pod.canaries]


@dataclass
class Crowded(Server):
    """One node that takes some pods beside what stays free, and counts what stands there."""

    places: int = 12
    standing: int = 0
    most: int = 0

    def create(self, manifest: Body) -> Body:
        """A pod takes a place."""
        made = super().create(manifest)
        if manifest["kind"] == "Pod":
            with self.lock:
                self.standing += 1
                self.most = max(self.most, self.standing)
        return made

    def delete(self, path: str, **more: Any) -> None:
        """And gives it back."""
        super().delete(path, **more)
        with self.lock:
            self.standing -= "/pods/" in path

    def list(self, path: str, **_: Any) -> list[Body]:
        """The node, and its pods."""
        if path == "/api/v1/nodes":
            return [{"metadata": {"name": "n1"}, "status": {"allocatable": {"pods": str(self.places + SPARE)}}}]
        return [{"spec": {"nodeName": "n1"}}] * self.standing if path == "/api/v1/pods" else []


def test_more_pods_than_nodes_have_room_for_come_in_lots() -> None:
    """Those of a lot are gone once the next one is asked for; each is had once."""
    server = Crowded()
    with pool(server).lease_lots(*specs(30)) as lots_of_pods:
        found = [*lots_of_pods]
    assert [12, 12, 6] == [len(lot) for lot in found]
    assert list(range(30)) == sorted(number for lot in found for number in lot)
    assert len({pod.uid for lot in found for pod in lot.values() if isinstance(pod, Pod)}) == 30
    assert (12, 0) == (server.most, server.standing)


def test_pods_that_fit_are_one_lot_and_stay() -> None:
    """Others need them too; so it is of a few, where nobody asks how much room there is."""
    server = Crowded(places=40)
    pods = pool(server)
    for count in (30, 5):
        with pods.lease_lots(*specs(count)) as lots_of_pods:
            (lot,) = lots_of_pods
        assert count == len(lot)
    assert 30 == server.standing


def test_a_lot_leaves_what_others_have() -> None:
    """Who asked for a pod without a lot keeps it: before, or while the lot is had."""
    server = Crowded()
    pods = pool(server)
    (before,) = pods.lease(*specs(1))
    with pods.lease_lots(*specs(30)) as under_way:
        lot = next(under_way)
        assert lot[0] is before
        meanwhile = pods.lease(*specs(3))
        assert [lot[0], lot[1], lot[2]] == meanwhile
        assert 30 == len(lot) + sum(map(len, under_way))
    assert 3 == server.standing
    assert meanwhile == pods.lease(*specs(3))


def test_two_who_need_lots_have_them_one_after_the_other() -> None:
    """Else each would wait for the room that the other has; and who breaks off leaves nothing behind."""
    server = Crowded()
    pods = pool(server)

    def other() -> list[int]:
        with pods.lease_lots(*specs(30)) as found:
            return [len(lot) for lot in found]

    with ThreadPoolExecutor(1) as thread:
        with pytest.raises(KeyError), pods.lease_lots(*specs(30)) as under_way:
            next(under_way)
            waits = thread.submit(other)
            assert [] == server.deleted
            raise KeyError
        assert [12, 12, 6] == waits.result(LONG)
    assert (12, 0) == (server.most, server.standing)


def test_a_node_that_is_named_has_room_of_its_own() -> None:
    """A lot ends where it is full, whatever others have; one that fits nowhere is tried all the same."""
    named = [PodSpec("web", node=name) for name in ("a", "a", "b", "a", "", "c")]
    assert [[0, 1, 2], [3, 4], [5]] == lots(named, {"a": 2, "b": 2})
    assert [[0], [1], [2]] == lots(named[:3], {})
    assert [] == lots([], {"a": 1})


@pytest.mark.parametrize(
    ("first", "after", "starts"),
    [
        (Outcome.REFUSED, 25.0, True),  # its Python is still being started
        (Outcome.REFUSED, 35.0, False),
        (Outcome.NO_ANSWER, 5.0, True),  # its network is not there yet
        (Outcome.NO_ANSWER, 12.0, False),
        (Outcome.ERROR, 12.0, False),  # no exec gets into it
    ],
)
def test_a_listener_is_waited_for(monkeypatch: pytest.MonkeyPatch, first: Outcome, after: float, starts: bool) -> None:
    """By the clock, as a busy machine makes each step slow; what never comes is an error."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    monkeypatch.setattr(Pod, "probe", lambda _, *__: [evidence(Outcome.OPEN if now[0] >= after else first)])
    pods = pool(Server(), overlap=False)
    if starts:
        assert pods.lease(*specs(1))
    else:
        with pytest.raises(ProbeError, match="its own listener does not answer it"):
            pods.lease(*specs(1))
