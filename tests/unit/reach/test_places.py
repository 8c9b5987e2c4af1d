"""Who stands where, read from an API server and a node that answer as they are told."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, cast

import pytest

from pytest_k8ssec.agent.tasks import Tcp, Udp
from pytest_k8ssec.agent.vantage import PodVantage
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import K8ssecError, NoAccess, ProbeError
from pytest_k8ssec.evidence import Source
from pytest_k8ssec.facts import listening_ports as module
from pytest_k8ssec.facts.listening_ports import listening_ports, node_ports, running, targets
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.reach import origins
from pytest_k8ssec.reach.find_places import census
from pytest_k8ssec.reach.measure import Dial, measure_from
from pytest_k8ssec.reach.origins import Missing
from pytest_k8ssec.reach.places import Local, Places
from pytest_k8ssec.stack import Stack, Workload

CONTROL_PLANE, WORKER = Node("cp", "172.18.0.2", True, "c1"), Node("w", "172.18.0.3", False, "c2")
SOCKETS = {
    "shop-1": "t 0.0.0.0:8080\nt 127.0.0.1:6060\nt [::1]:6061\nu 0.0.0.0:53\nu 0.0.0.0:41000",
    "shop-2": "t *:8080",
    "db-0": "t [::]:5432\nu 0.0.0.0:50000",
    "proxy-1": "t *:9100",
}
NODE_SOCKETS = "node t 172.18.0.3:10250\nnode t 127.0.0.1:10248\nnode t *:10256\n"


def pod(name: str, app: str, address: str, **spec: Any) -> dict[str, Any]:
    """A running pod of namespace web."""
    labels = {"app": app, "pod-template-hash": "x"}
    return {
        "metadata": {"name": name, "namespace": "web", "uid": name, "labels": labels},
        "spec": {"nodeName": "w", "containers": [container({"name": "http", "containerPort": 8080})], **spec},
        "status": {
            "podIP": address,
            "phase": "Running",
            "containerStatuses": [{"name": "c", "ready": True, "state": {"running": {}}}],
        },
    }


def container(*ports: dict[str, Any]) -> dict[str, Any]:
    """One that declares these ports."""
    return {"name": "c", "ports": list(ports)}


DB_PORTS = container({"containerPort": 5432}, {"containerPort": 50000, "protocol": "UDP"})
PODS = [
    pod("shop-1", "shop", "10.244.1.1"),
    pod("shop-2", "shop", "10.244.1.2"),
    pod("db-0", "db", "10.244.1.3", containers=[DB_PORTS]),
    pod("proxy-1", "proxy", "172.18.0.3", hostNetwork=True, containers=[container()]),
]


def service(name: str, address: str, port: int, **more: Any) -> dict[str, Any]:
    """A Service of one port."""
    return {
        "metadata": {"name": name, "namespace": "web"},
        "spec": {"clusterIP": address, "ports": [{"name": "p", "port": port, "protocol": "TCP", **more}]},
    }


def endpoints(name: str, port: int, *addresses: str, ready: bool = True) -> dict[str, Any]:
    """What stands behind a Service."""
    return {
        "metadata": {"labels": {"kubernetes.io/service-name": name}},
        "ports": [{"name": "p", "port": port}],
        "endpoints": [{"addresses": [each], "conditions": {"ready": ready}} for each in addresses],
    }


SERVICES = [
    service("shop", "10.96.0.1", 80, nodePort=30080),
    service("db", "None", 5432),
    service("starting", "10.96.0.3", 80),
    service("foreign", "10.96.0.4", 80),
    service("wrong-port", "10.96.0.5", 80),
]
SLICES = [
    endpoints("shop", 8080, "10.244.1.1", "10.244.1.2"),
    endpoints("db", 5432, "10.244.1.3"),
    endpoints("starting", 8080, "10.244.1.1", ready=False),
    endpoints("foreign", 8080, "10.244.9.9"),
    endpoints("wrong-port", 9999, "10.244.1.1"),
]


@dataclass
class Lab:
    """A cluster, its API server and our pool of pods in one."""

    nodes: Sequence[Node] = (CONTROL_PLANE, WORKER)
    pods: Sequence[dict[str, Any]] = tuple(PODS)
    refused: str = ""
    """A namespace that takes no pod of ours."""
    by: type[K8ssecError] = ProbeError
    leased: list[PodSpec] = field(default_factory=list)
    selected: list[str] = field(default_factory=list)
    jobs: Sequence[dict[str, Any]] = ()
    services: Sequence[dict[str, Any]] = ()
    slices: Sequence[dict[str, Any]] = ()

    @property
    def api(self) -> Lab:
        """Itself."""
        return self

    @property
    def cluster(self) -> Lab:
        """Itself."""
        return self

    def get(self, path: str) -> dict[str, Any]:
        """A namespace."""
        return {"metadata": {"labels": {"kubernetes.io/metadata.name": path.rsplit("/", 1)[-1]}}}

    def list(self, path: str, labelSelector: str = "") -> list[dict[str, Any]]:  # noqa: N803 - as the API calls it
        """Pods by their app, or all Services, slices, policies."""
        if path.endswith("/pods"):
            self.selected.append(labelSelector)
            return [
                each
                for each in self.pods
                if not labelSelector or labelSelector.startswith(f"app={each['metadata']['labels']['app']}")
            ]
        if path.endswith("/jobs"):
            return list(self.jobs)
        return {
            "services": [*SERVICES, *self.services],
            "endpointslices": [*SLICES, *self.slices],
            "networkpolicies": [],
        }[path.rsplit("/", 1)[-1]]

    def on_node(self, _node: Node, argv: Sequence[str], **_: Any) -> Completed:
        """What listens in pods, or on the node."""
        uids = argv[4:]
        lines = [f"{uid} {line}" for uid in uids if uid in SOCKETS for line in ["-", *SOCKETS[uid].splitlines()]]
        return Completed(tuple(argv), 0, ("\n".join(lines) if uids else NODE_SOCKETS).encode(), b"")

    def namespace(self, purpose: str) -> str:
        """One of ours."""
        return f"k8ssec-{purpose}"

    def lease(self, *specs: PodSpec) -> Sequence[Pod]:
        """Pods of ours."""
        if any(spec.namespace == self.refused for spec in specs):
            raise self.by(f"pod {self.refused}/x: was refused: quota")
        self.leased += specs
        return [self._pod(spec) for spec in specs]

    def _pod(self, spec: PodSpec) -> Pod:
        number = len(spec.key()) % 200 + 10
        source = Source("pod", f"{spec.namespace}/{spec.purpose}", f"10.244.1.{number}", "w")
        return Pod(PodVantage(self.as_cluster(), spec.namespace, "x", "probe", source), "uid", "nonce")

    def as_cluster(self) -> Cluster:
        """Itself, as the type checker wants it."""
        return cast("Cluster", self)


def workload(name: str, **spec: Any) -> Workload:
    """A Deployment of namespace web."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c"}], **spec}}
    return Workload("Deployment", "web", name, labels, {"matchLabels": labels}, template)


class Declared:
    """As much of a stack as is asked."""

    namespaces = ("web",)

    def __init__(self, *more: Workload, deployed: bool = True) -> None:
        self.deployed = deployed
        self.more = more

    def workloads(self) -> tuple[Workload, ...]:
        """Three, and those that a test adds."""
        return (workload("shop"), workload("db"), workload("proxy", hostNetwork=True), *self.more)


def found(lab: Lab, *more: Workload, deployed: bool = True) -> Places:
    """All places of a lab."""
    return census(lab.as_cluster(), cast("Stack", Declared(*more, deployed=deployed)), cast("Pool", lab))


def ways(places: Places, way: str) -> list[tuple[str, str]]:
    """What is dialled by one way, by its subject."""
    return [(each.subject, str(each.dial)) for each in places.destinations if each.way == way]


def test_pods_are_reached_at_the_ports_on_which_they_listen() -> None:
    """Loopback is nobody's; a client's own UDP port is no listener, unless it is declared as one."""
    assert [
        ("web/shop:53/UDP", "UDP 10.244.1.1:53"),
        ("web/shop:8080/TCP", "TCP 10.244.1.1:8080"),
        ("web/shop:8080/TCP", "TCP 10.244.1.2:8080"),
        ("web/db:5432/TCP", "TCP 10.244.1.3:5432"),
        ("web/db:50000/UDP", "UDP 10.244.1.3:50000"),
        ("web/proxy:9100/TCP", "TCP 172.18.0.3:9100"),
    ] == ways(found(Lab()), "pod")


def test_services_lead_to_listeners_of_the_stack() -> None:
    """By address, by name, and by a port of every node; one that leads to nobody of the stack is left out."""
    places = found(Lab())
    assert [("web/shop:8080/TCP", "TCP 10.96.0.1:80")] == ways(places, "service")
    assert [("web/shop:8080/TCP", "TCP shop.web.svc:80"), ("web/db:5432/TCP", "TCP db.web.svc:5432")] == ways(
        places, "name"
    )
    assert [("web/shop:8080/TCP", "TCP 172.18.0.2:30080"), ("web/shop:8080/TCP", "TCP 172.18.0.3:30080")] == ways(
        places, "node"
    )[:2]
    (by_address,) = [each for each in places.destinations if each.way == "service"]
    assert (Dial("10.244.1.1", 8080), Dial("10.244.1.2", 8080)) == by_address.listeners
    assert {("http", "TCP", 8080)} == by_address.ends[0].named


def test_a_service_that_keeps_to_a_node_says_where_pods_stand_behind_it() -> None:
    """By its address and name for what comes from inside, by nodes' ports for the rest; not where it has no address."""
    keeps = {"externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local"}
    some = service("near", "10.96.0.9", 80, nodePort=30081), service("bare", "None", 5432)
    slices = endpoints("near", 8080, "10.244.1.1"), endpoints("bare", 5432, "10.244.1.3")
    for each in slices:
        for endpoint in each["endpoints"]:
            endpoint["nodeName"] = "w"
    local = [each | {"spec": each["spec"] | keeps} for each in some]
    found_there = [
        (each.way, each.node, each.local)
        for each in found(Lab(services=local, slices=slices)).destinations
        if "web/near" in each.words or "web/bare" in each.words
    ]
    inside, outside = (Local(f"{each}TrafficPolicy", frozenset({"w"})) for each in ("internal", "external"))
    assert [
        ("service", "", inside), ("name", "", inside), ("node", "cp", outside), ("node", "w", outside), ("name", "", None)
    ] == found_there  # fmt: skip
    assert {None} == {each.local for each in found(Lab()).destinations}


def test_nodes_are_reached_at_their_own_ports() -> None:
    """Those of the kubelet alone where a node can't be entered to look."""
    assert ("node/w:10256/TCP", "TCP 172.18.0.3:10256") in ways(found(Lab()), "node")
    shut = Lab(nodes=(CONTROL_PLANE, Node("w", "172.18.0.3", False)), pods=())
    assert [("node/w:10250/TCP", "TCP 172.18.0.3:10250")] == [
        each for each in ways(found(shut), "node") if each[0].startswith("node/w")
    ]


def test_everybody_who_can_send_is_found() -> None:
    """A twin of each workload, a pod without labels in each namespace, a foreign one, the nodes, the outside."""
    lab = Lab()
    places = found(lab)
    names = ["web/shop", "web/db", "web/proxy", "web/*", "elsewhere", "node/cp", "node/w", "outside"]
    assert names == [each.name for each in places.origins]
    shop, _, proxy, bare, elsewhere = places.origins[:5]
    assert shop.end.pod is not None
    assert ({"app": "shop"}, "web") == (shop.end.pod.labels, shop.end.pod.namespace)
    assert proxy.end.pod is None
    assert proxy.end.hosted is not None
    assert ({"app": "proxy"}, "web") == (proxy.end.hosted.labels, proxy.end.hosted.namespace)
    (target,) = [each.ends[0] for each in places.destinations if each.name == "web/proxy"]
    assert (None, "web") == (target.pod, target.hosted and target.hosted.namespace)
    assert bare.end.pod is not None
    assert {} == bare.end.pod.labels
    assert elsewhere.end.pod is not None
    assert "k8ssec-reach" == elsewhere.end.pod.namespace
    assert all(each.listener for each in places.origins[:5])
    assert () == places.notes


def test_where_the_stack_is_not_ours_no_pod_is_placed_in_it() -> None:
    """It is measured from what is left, and that is said."""
    lab = Lab()
    places = found(lab, deployed=False)
    assert ["elsewhere", "node/cp", "node/w", "outside"] == [each.name for each in places.origins]
    assert {"k8ssec-reach"} == {spec.namespace for spec in lab.leased}
    assert "did not deploy the stack" in places.notes[0]


@pytest.mark.parametrize("error", [ProbeError, NoAccess])
def test_a_pod_that_is_refused_keeps_no_other_from_measuring(error: type[K8ssecError]) -> None:
    """From there nothing is known, with the reason."""
    places = found(Lab(refused="web", by=error))
    shop = places.origins[0]
    assert ("web/shop", None) == (shop.name, shop.listener)
    assert "pod web/x: was refused: quota" == measure_from(shop.vantage, [Dial("10.0.0.1", 80)]).broken
    assert places.origins[4].listener is not None
    assert 4 == len(places.notes)


def test_a_pod_whose_process_is_not_found_is_an_error() -> None:
    """Its ports are unknown: none is not what it has."""
    ghost = pod("ghost", "shop", "10.244.1.9")
    with pytest.raises(ProbeError, match="no process of pod ghost was found"):
        listening_ports(Lab().as_cluster(), [ghost])


def started(one: dict[str, Any], phase: str = "Running", *, ready: bool = True, **state: Any) -> dict[str, Any]:
    """A pod whose container is in another state."""
    statuses = [{"name": "c", "ready": ready, "state": state}]
    return one | {"status": {"podIP": "10.244.1.8", "phase": phase, "containerStatuses": statuses}}


NEW = pod("shop-1", "shop", "10.244.1.8")
CRASHED = started(NEW, ready=False, waiting={"reason": "CrashLoopBackOff"})
PENDING = NEW | {"status": {"phase": "Pending"}}
UNREADY = started(NEW, ready=False, running={})


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a pod to start."""
    monkeypatch.setattr(module, "ROLLOUT_SECONDS", 0)
    monkeypatch.setattr(time, "sleep", lambda _: None)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("one", "why"),
    [
        (PENDING, "Deployment web/shop: pod shop-1 is Pending, so nobody knows what it would listen on"),
        (CRASHED, r"container c of pod shop-1 does not run \(CrashLoopBackOff\)"),
        (UNREADY, "container c of pod shop-1 is not ready"),
        (started(NEW, terminated={"reason": "Error", "exitCode": 1}), r"does not run \(Error\)"),
    ],
    ids=["pending", "crashed", "not-ready", "ended"],
)
def test_a_pod_that_does_not_run_is_an_error(one: dict[str, Any], why: str) -> None:
    """It is not a pod without ports."""
    with pytest.raises(ProbeError, match=why):
        found(Lab(pods=(*PODS, one)))


@pytest.mark.usefixtures("at_once")
def test_controls_attack_no_stack_whose_ports_are_unknown() -> None:
    """A container that crashes leaves a pod with an address and without a port; one that is not ready shows its ports."""
    for one in (PENDING, CRASHED):
        with pytest.raises(ProbeError, match="so nobody knows what it would listen on"):
            targets(Lab(pods=(*PODS, one)).as_cluster(), cast("Stack", Declared()))
    told: list[str] = []
    late = Lab(pods=(*PODS, one)).as_cluster()
    rest = targets(late, cast("Stack", Declared()), lambda workload, error: told.append(f"{workload}: {error}"))
    assert 1 == len(told)
    assert rest, "the others have ports all the same"
    assert 5 == len(targets(Lab(pods=(*PODS, UNREADY)).as_cluster(), cast("Stack", Declared())))


@pytest.mark.usefixtures("at_once")
def test_a_pod_that_has_ended_is_none() -> None:
    """It listens no more; where a workload has no other, that is said."""
    done = started(pod("job-1", "job", "10.244.1.8", restartPolicy="Never"), terminated={"exitCode": 0})
    being_removed = CRASHED | {"metadata": CRASHED["metadata"] | {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
    over = [started(NEW, "Succeeded"), started(NEW, "Failed"), being_removed]
    places = found(Lab(pods=(*PODS, *over)), workload("job"))
    assert 2 == sum(each.subject == "web/shop:8080/TCP" for each in places.destinations if each.way == "pod")
    assert ("to Deployment web/job nothing is sent: no pod of it runs",) == places.notes
    with pytest.raises(ProbeError, match="no process of pod job-1"):  # it runs, beside a container that has ended
        found(Lab(pods=(*PODS, done)), workload("job"))


def test_a_pod_that_starts_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollout may be under way."""
    lab = Lab(pods=(*PODS[1:], PENDING))
    monkeypatch.setattr(time, "sleep", lambda _: setattr(lab, "pods", PODS))
    assert ("web/shop:8080/TCP", "TCP 10.244.1.1:8080") in ways(found(lab), "pod")


def test_a_port_that_is_declared_only_is_tried_too() -> None:
    """Nobody can show that it listens, so no question about it is answered."""
    odd = pod("shop-1", "shop", "10.244.1.1", containers=[container({"containerPort": 8080}, {"containerPort": 9090})])
    (one,) = [each for each in found(Lab(pods=(odd, *PODS[1:]))).destinations if each.port == 9090]
    assert ("pod", Dial("10.244.1.1", 9090)) == (one.way, one.dial)
    assert "declares it and does not listen" in one.words


def test_pods_are_selected_as_the_workload_selects_them() -> None:
    """By expressions too."""
    expressions = [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "tier", "operator": "NotIn", "values": ["c"]},
        {"key": "x", "operator": "Exists"},
        {"key": "y", "operator": "DoesNotExist"},
    ]
    shop = workload("shop")
    lab = Lab()
    running(lab.as_cluster(), replace(shop, selector={**shop.selector, "matchExpressions": expressions}))
    assert ["app=shop,tier in (a,b),tier notin (c),x,!y"] == lab.selected


def test_a_cron_job_has_the_pods_of_its_jobs() -> None:
    """It has no selector; and often no pod."""
    nightly = Workload("CronJob", "web", "nightly", {}, {}, workload("nightly").template)
    lab = Lab()
    assert "to CronJob web/nightly nothing is sent: no pod of it runs" in found(lab, nightly).notes
    lab.jobs = [owned("nightly-1", "CronJob", "nightly"), owned("other-1", "CronJob", "other")]
    mine, other = (pod(f"{name}-x", "cron", "10.244.1.8") for name in ("nightly-1", "other-1"))
    for one, job in ((mine, "nightly-1"), (other, "other-1")):
        one["metadata"] |= owned("", "Job", job)["metadata"] | {"name": one["metadata"]["name"]}
    lab.pods = (*PODS, mine, other)
    assert [mine] == running(lab.as_cluster(), nightly)


def owned(name: str, kind: str, owner: str) -> dict[str, Any]:
    """Something that a controller made."""
    return {"metadata": {"name": name, "ownerReferences": [{"kind": kind, "name": owner}]}}


def test_two_workloads_of_one_name_both_send_and_are_both_reached() -> None:
    """A Deployment and a Job may be called the same: neither takes the other's place."""
    labels = {"app": "migration"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c"}]}}
    job = Workload("Job", "web", "shop", labels, {"matchLabels": labels}, template)
    other = pod("db-0", "migration", "10.244.1.7", containers=[DB_PORTS])
    places = found(Lab(pods=(*PODS[:2], PODS[3], other)), job)
    assert {"web/shop:8080/TCP", "web/shop:5432/TCP"} <= {subject for subject, _ in ways(places, "pod")}
    worn = [each.end.pod.labels for each in places.origins if each.name == "web/shop" and each.end.pod]
    assert [{"app": "shop"}, labels] == worn


def test_a_port_of_the_node_leads_to_its_pod() -> None:
    """No socket shows it; at another address than the node's own nobody tries."""
    declared = container(
        {"containerPort": 8080, "hostPort": 80},
        {"containerPort": 8080, "hostPort": 81, "hostIP": "0.0.0.0"},
        {"containerPort": 8080, "hostPort": 82, "hostIP": "203.0.113.1"},
    )
    in_front = pod("shop-1", "shop", "10.244.1.1", containers=[declared])
    places = found(Lab(pods=(in_front, *PODS[1:])))
    through = [each for each in places.destinations if "through port" in each.words]
    assert [Dial("172.18.0.3", 80), Dial("172.18.0.3", 81)] == [each.dial for each in through]
    assert {("web/shop", "node", 8080, (Dial("10.244.1.1", 8080),))} == {
        (each.name, each.way, each.port, each.listeners) for each in through
    }
    assert ("to web/shop nothing is sent at 203.0.113.1:82: only nodes' own addresses are tried",) == places.notes


def test_a_pod_is_a_target_at_each_of_its_addresses() -> None:
    """Where it has two, what policies keep from one may reach the other."""
    double = pod("shop-1", "shop", "10.244.1.1")
    double["status"]["podIPs"] = [{"ip": "10.244.1.1"}, {"ip": "fd00::1"}]
    told = targets(Lab(pods=(double, *PODS[1:])).as_cluster(), cast("Stack", Declared()))
    assert ["10.244.1.1", "fd00::1"] == [each.address for each in told if each.pod == "shop-1"]


def test_both_families_are_reached() -> None:
    """A pod's other address, and the Service's, which leads to pods of its own family."""
    double = pod("shop-1", "shop", "10.244.1.1")
    double["status"]["podIPs"] = [{"ip": "10.244.1.1"}, {"ip": "fd00::1"}]
    six = service("six", "10.96.0.7", 80)
    six["spec"]["clusterIPs"] = ["10.96.0.7", "fd00:1::7"]
    lab = Lab(pods=(double, *PODS[1:]), services=[six])
    SLICES.extend([endpoints("six", 8080, "10.244.1.1"), endpoints("six", 8080, "fd00::1")])
    try:
        places = found(lab)
    finally:
        del SLICES[-2:]
    assert ("web/shop:8080/TCP", "TCP [fd00::1]:8080") in ways(places, "pod")
    assert {"10.96.0.7": "10.244.1.1", "fd00:1::7": "fd00::1"} == {
        each.dial.host: each.listeners[0].host
        for each in places.destinations
        if each.way == "service" and each.words.endswith("/six")
    }
    assert Dial("fd00::1", 8080) in places.lives


def test_nobody_sends_to_addresses_that_may_be_elsewhere() -> None:
    """Those of load balancers, and external ones: they are told of."""
    wide = service("shop", "10.96.0.8", 80)
    wide["spec"]["externalIPs"] = ["203.0.113.5"]
    wide["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.6"}, {"hostname": "lb.example"}]}}
    places = found(Lab(services=[wide]))
    assert not any(each.dial.host.startswith("203.") for each in places.destinations)
    assert [
        f"Service web/shop can be reached at {each}:80 too: nothing is sent there"
        for each in ("203.0.113.5", "203.0.113.6", "lb.example")
    ] == list(places.notes)


# The scripts that look, with tools that answer as they are told

NSENTER = """#!/bin/sh
[ "$2" = 12 ] && { echo "cannot open /proc/12/ns/net" >&2; exit 1; }
shift 3; exec "$@"
"""
SS = """#!/bin/sh
[ -n "$SS_FAILS" ] && [ "$3" = "$SS_FAILS" ] && { echo "ss: no" >&2; exit 1; }
[ "$3" = -t ] && echo "LISTEN 0 5 *:8080 *:*"
exit 0
"""


USUAL = {"grep": "#!/bin/sh\nprintf '/proc/%s/cgroup\\n' 100 12\n", "nsenter": NSENTER, "ss": SS}


def looked(
    place: Path, script: str, *uids: str, tools: Mapping[str, str] = USUAL, **environment: str
) -> subprocess.CompletedProcess[str]:
    """What a script tells where these tools are found first."""
    for name, text in tools.items():
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    path = f"{place}:{os.environ['PATH']}"
    argv = ["sh", "-c", script, "sockets", *uids]
    return subprocess.run(argv, env={"PATH": path, **environment}, capture_output=True, text=True, check=False)


def test_a_process_that_ended_meanwhile_is_passed_over(tmp_path: Path) -> None:
    """The oldest is entered first; the next where that fails."""
    done = looked(tmp_path, module._SOCKETS, "u1")
    assert (0, "u1 -\nu1 t *:8080\n") == (done.returncode, done.stdout)
    assert "/proc/12/" in done.stderr


OWN = {
    "grep": """#!/bin/sh
case "$1" in -lE) [ "$2" = "pod(nobody|nobody)" ] || printf '/proc/%s/cgroup\\n' 100 12;; *) exec /usr/bin/grep "$@";; esac
""",
    "ss": """#!/bin/sh
[ -n "$SS_FAILS" ] && [ "$3" = "$SS_FAILS" ] && { echo "ss: no" >&2; exit 1; }
[ "$3" = -t ] && cat <<END
LISTEN 0 5 *:9100 *:* users:(("exporter",pid=12,fd=3))
LISTEN 0 5 *:10250 *:* users:(("kubelet",pid=1,fd=3))
LISTEN 0 5 *:8980 *:* users:(("python3",pid=121,fd=3))
LISTEN 0 5 *:9101 *:* users:(("sh",pid=7,fd=3),("exporter",pid=100,fd=4))
END
exit 0
""",
}


def test_a_pod_in_its_node_s_network_answers_for_its_own_processes(tmp_path: Path) -> None:
    """Not for the kubelet, and not for a listener of ours; what could not be looked at is missing."""
    script = module._OWN_SOCKETS
    done = looked(tmp_path, script, "u1", "nobody", tools=OWN)
    assert "u1 -\nu1 t *:9100\nu1 t *:9101\n" == done.stdout
    for kind in ("-t", "-u", "-S"):
        assert "" == looked(tmp_path, script, "u1", tools=OWN, SS_FAILS=kind).stdout


def test_each_pod_is_looked_at_as_its_network_is() -> None:
    """One script for those that share their node's, one for the others."""
    asked: dict[str, list[str]] = {}

    class Entered(Lab):
        """A lab whose nodes tell nothing but that they looked."""

        def on_node(self, _node: Node, argv: Sequence[str], **_: Any) -> Completed:
            asked[argv[2]] = [*argv[4:]]
            return Completed(tuple(argv), 0, "".join(f"{uid} -\n" for uid in argv[4:]).encode(), b"")

    own, host = pod("own", "web", "10.244.1.3"), pod("host", "web", "172.18.0.3")
    host["spec"]["hostNetwork"] = True
    listening_ports(Entered().as_cluster(), [own, host])
    assert {module._SOCKETS: [own["metadata"]["uid"]], module._OWN_SOCKETS: [host["metadata"]["uid"]]} == asked


@pytest.mark.parametrize("kind", ["-t", "-u", "-S"])
def test_what_could_not_be_looked_at_has_no_ports_and_is_missing(tmp_path: Path, kind: str) -> None:
    """Not even a part of them is told."""
    assert (0, "") == attrgetter("returncode", "stdout")(looked(tmp_path, module._SOCKETS, "u1", SS_FAILS=kind))
    assert (1, "") == attrgetter("returncode", "stdout")(looked(tmp_path, module._NODE_SOCKETS, SS_FAILS=kind))
    assert "node -\nnode t *:8080\n" == looked(tmp_path, module._NODE_SOCKETS).stdout


def test_where_a_node_is_shut_ports_are_those_declared() -> None:
    """Of each protocol; a pod that declares none for TCP is not let off."""
    lab = Lab(nodes=(Node("w", "172.18.0.3", False),))
    assert {"db-0": [(5432, "TCP"), (50000, "UDP")]} == listening_ports(lab.as_cluster(), PODS[2:3])
    with pytest.raises(ProbeError, match="declares no TCP port"):
        listening_ports(lab.as_cluster(), [pod("bare", "shop", "10.244.1.9", containers=[{"name": "c"}])])


def test_what_controls_attack_is_tcp() -> None:
    """They connect."""
    lab = Lab()
    assert [8080, 8080, 5432, 9100] == [each.port for each in targets(lab.as_cluster(), cast("Stack", Declared()))]
    assert [(10250, "TCP"), (10256, "TCP")] == node_ports(lab.as_cluster(), WORKER)
    both = targets(lab.as_cluster(), cast("Stack", Declared()), protocols=("TCP", "UDP"))
    datagrams = [each for each in both if each.protocol == "UDP"]
    assert len(both) == 4 + len(datagrams) > 4
    assert {(Udp, True, True)} == {
        (type(each.task), getattr(each.task, "any_answer", False), str(each).endswith("/UDP")) for each in datagrams
    }
    assert {(Tcp, False)} == {(type(each.task), "/UDP" in str(each)) for each in both if each not in datagrams}


def test_pods_are_asked_for_side_by_side_where_one_was_refused() -> None:
    """A pod that does not start is refused after a minute: two of them wait here for each other."""
    together = threading.Barrier(2)

    class Slow:
        def lease(self, *specs: PodSpec) -> list[Pod]:
            if len(specs) > 1:
                raise ProbeError("one of them")
            together.wait(10)
            raise ProbeError(f"pod {specs[0].namespace}: not running")

    notes: list[str] = []
    found = origins._leased(cast("Pool", Slow()), [("web/a", PodSpec("a")), ("web/b", PodSpec("b"))], notes)
    assert [True, True] == [isinstance(each, Missing) for each in found]
    assert [f"from web/{name} nothing is known: pod {name}: not running" for name in "ab"] == notes
