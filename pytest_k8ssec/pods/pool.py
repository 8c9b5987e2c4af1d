"""A session's pods to probe from: made when first asked for, shared after that, so that a control costs only its tasks."""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar, cast

from pytest_k8ssec.agent.tasks import Http, Task, Tcp
from pytest_k8ssec.agent.vantage import Answer, PodVantage, ask, resident
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.clusters.ports import KUBELET_PORT
from pytest_k8ssec.errors import ClusterError, NoAccess, ProbeError, as_probe_error
from pytest_k8ssec.evidence import JSON, Evidence, Outcome, Source
from pytest_k8ssec.machine.once import Once
from pytest_k8ssec.pods import manifests
from pytest_k8ssec.pods.claims import without_lone_claims
from pytest_k8ssec.pods.live_network import LiveNetwork, live_like
from pytest_k8ssec.pods.manifests import CANARY_PORT, PodSpec
from pytest_k8ssec.pods.never_served import WouldBeServed, unserved_labels
from pytest_k8ssec.pods.places import free_places, lots
from pytest_k8ssec.pods.resources import shaped
from pytest_k8ssec.pods.unrestricted import unrestricted_pods
from pytest_k8ssec.stack import Workload

POD_START_SECONDS = 60
_LISTEN_SECONDS = 30
"""So long a container may run before its listener listens: a busy node starts a Python slowly."""
_NETWORK_SECONDS = 8
"""So long a pod's network may take to be there, once the pod runs."""
_FIRST_NODE_PORT, _NODE_PORTS = 20000, 9000
"""Where pods of ours listen that are in their node's network: below node ports and those of clients."""
_TOGETHER = 8
"""Pods of one request that are started at the same time."""
_FEW = 20
"""So many are started without asking how much room there is."""
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Pod:
    """A running pod of ours: a place to probe from, and a listener that others can be pointed at."""

    vantage: PodVantage
    uid: str
    nonce: str
    port: int = CANARY_PORT
    """Where it listens: where that is its node's network, at a port of its own."""
    since: float = field(default_factory=time.monotonic)
    """When it was seen to run, by this process's monotonic clock."""
    further: tuple[str, ...] = ()
    """Its addresses besides the first one: that of the other family, where the cluster has two."""

    @property
    def source(self) -> Source:
        """How evidence names it."""
        return self.vantage.source

    @property
    def address(self) -> str:
        """Its pod address."""
        return self.vantage.source.address

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its pod addresses, one of each family that it has."""
        return (self.address, *self.further)

    @property
    def canaries(self) -> tuple[Tcp, ...]:
        """The tasks that reach its TCP listener, one for each of its addresses."""
        return tuple(Tcp(address, self.port, expect=self.nonce) for address in self.addresses)

    @property
    def canary(self) -> Tcp:
        """The task that reaches its TCP listener and makes sure that it was this pod that answered."""
        return Tcp(self.address, self.port, expect=self.nonce)

    @property
    def plain_http(self) -> Http:
        """The task that gets an HTTP answer from its listener."""
        return Http(self.address, self.port, "/", tls=False, identity="of our own canary")

    def ask(self, *tasks: Task) -> list[Answer]:
        """Do tasks from within it, all in one exec. Raises ProbeError."""
        return ask(self.vantage, tasks)

    def probe(self, *tasks: Task) -> list[Evidence]:
        """Like :meth:`ask`, only the evidence. Raises ProbeError."""
        return [answer.evidence for answer in self.ask(*tasks)]


class Attacker(Protocol):
    """``attacker(...)``: a pod to probe from, as :meth:`Pool.attacker` makes it."""

    def __call__(
        self,
        namespace: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        service_account: str = "default",
        automount: bool | None = False,
        node: str = "",
        seccomp: str = "RuntimeDefault",
    ) -> Pod:
        """See :meth:`Pool.attacker`."""


class Pool:
    """Makes and keeps pods of ours in one cluster.

    Pods go into namespaces of our own, and into a stack's namespaces only where this run deployed the stack.

    Args:
        run_id: part of every name.
        stack_namespaces: returns where pods may be placed besides our own namespaces; called only when needed.
        template_of: what a workload's twin is made of; its pod template, unless its live pods tell more.
        overlap: whether pods start side by side, and an agent stays in each; else one by one, and each question sends one anew.
    """

    def __init__(
        self,
        cluster: Cluster,
        run_id: str,
        stack_namespaces: Callable[[], Sequence[str]],
        *,
        template_of: Callable[[Workload], Mapping[str, JSON]] = lambda workload: workload.template,
        overlap: bool = True,
    ) -> None:
        self._cluster = cluster
        self._run_id = run_id
        self._stack_namespaces = stack_namespaces
        self._template_of = template_of
        self._overlap = overlap
        self._failed: dict[str, ProbeError] = {}
        self._node_ports = itertools.count(_FIRST_NODE_PORT + secrets.randbelow(_NODE_PORTS))
        self._namespaces = Once[str]()
        self._outside: list[str] = []
        self._owners = Once[Body]()
        self._leased = Once[Pod]()
        self._remembered = Once[object]()
        self._lock = threading.Lock()
        self._kept: set[str] = set()
        self._in_lots = threading.Lock()
        self._shunned: frozenset[str] = frozenset()

    @property
    def cluster(self) -> Cluster:
        """The cluster that its pods are in."""
        return self._cluster

    @property
    def run_id(self) -> str:
        """Part of every name that it gives."""
        return self._run_id

    def namespace(self, purpose: str, labels: Mapping[str, str] | None = None) -> str:
        """A namespace of our own, created when first asked for.

        Args:
            purpose: tells it apart from our others.
            labels: of the namespace; used only when it is created.
        """
        return self._namespaces.get(purpose, lambda: self._made_namespace(purpose, labels or {}))

    def lease(self, *specs: PodSpec) -> list[Pod]:
        """One running pod for each spec: one that exists already, or a new one. New ones are started side by side.

        Raises:
            NoAccess: a pod would have to be placed where we may not write.
            ProbeError: a pod was refused or did not start.
        """
        return [_or_raise(found) for found in self.lease_each(*specs, at_once=True)]

    def lease_each(self, *specs: PodSpec, at_once: bool = False) -> list[Pod | ProbeError]:
        """Like :meth:`lease`, but one that was refused or did not start is an error in its place: others may go on.

        Args:
            at_once: raise the first error as soon as it comes; no further pod is started then.

        Raises:
            NoAccess: a pod would have to be placed where we may not write.
        """
        with self._lock:
            self._kept.update(key for spec in specs for key in _keys(spec))
        return self._leased_each(*specs, at_once=at_once)

    def _leased_each(self, *specs: PodSpec, at_once: bool = False) -> list[Pod | ProbeError]:
        distinct = {spec.key(): spec for spec in specs}
        threads = ThreadPoolExecutor(max_workers=max(1, min(_TOGETHER if self._overlap else 1, len(distinct))))
        try:
            pods = threads.map(lambda key: self._one(distinct[key], at_once=at_once), distinct)
            found = dict(zip(distinct, pods, strict=True))
        except BaseException as error:
            # Ctrl-C does not wait for pods; any other error does, so that none starts once it was raised.
            threads.shutdown(wait=isinstance(error, Exception), cancel_futures=True)
            raise
        threads.shutdown()
        return [found[spec.key()] for spec in specs]

    @contextmanager
    def lease_lots(self, *specs: PodSpec) -> Iterator[Iterator[dict[int, Pod | ProbeError]]]:
        """Like :meth:`lease_each`, in lots where nodes have no room for all at the same time.

        Each lot is what was asked for by its place in the request. Where all fit, there is one lot, and its pods stay; else
        the pods that a lot needed are gone once the next one is asked for.

        Raises:
            NoAccess: a pod would have to be placed where we may not write.
            ClusterError: the API server did not say how much room there is.
        """
        with closing(self._in_turn(specs)) as found:  # also where who uses them breaks off
            yield found

    def _in_turn(self, specs: Sequence[PodSpec]) -> Generator[dict[int, Pod | ProbeError], None, None]:
        if len(specs) <= _FEW:
            yield dict(enumerate(self.lease_each(*specs)))
            return
        with self._in_lots:  # two who share what room there is would each wait in vain for what the other has
            fresh = [number for number, spec in enumerate(specs) if not self._has(spec)]
            cut = lots([specs[number] for number in fresh], free_places(self._cluster.api))
            if len(cut) < 2:
                yield dict(enumerate(self.lease_each(*specs)))
                return
            later = [[fresh[at] for at in lot] for lot in cut[1:]]
            first = sorted({*range(len(specs))} - {number for lot in later for number in lot})
            for lot in (first, *later):
                wanted = [specs[number] for number in lot]
                with self._dismissed(wanted):
                    yield dict(zip(lot, self._leased_each(*wanted), strict=True))

    def _has(self, spec: PodSpec) -> bool:
        return any(self._leased.knows(key) for key in _keys(spec))

    @contextmanager
    def _dismissed(self, specs: Sequence[PodSpec]) -> Iterator[None]:
        """Have pods gone at the end that nobody has asked for to keep; who needs one again gets another."""
        try:
            yield
        finally:
            with self._lock:
                idle = {key for spec in specs for key in _keys(spec)} - self._kept
                gone = [pod for key in idle for pod in self._leased.forget(key)]
            for pod in gone:
                if pod.vantage.resident is not None:
                    pod.vantage.resident.close()
                self._cluster.api.delete(f"/api/v1/namespaces/{pod.vantage.namespace}/pods/{pod.vantage.pod}", grace=0)

    def _one(self, spec: PodSpec, *, at_once: bool) -> Pod | ProbeError:
        labelled = replace(spec, labels_matter=True, live_network=False)
        try:
            try:
                return self._leased.get(labelled.key(), lambda: self._made_pod(labelled))
            except WouldBeServed as error:
                if spec.live_network:
                    served = error
                    return self._leased.get(spec.key(), lambda: self._beside_live(spec, served))
                if spec.labels_matter:
                    raise
                return self._leased.get(spec.key(), lambda: self._made_pod(spec))
        except ProbeError as error:
            if at_once:
                raise
            return error

    def attacker(
        self,
        namespace: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        service_account: str = "default",
        automount: bool | None = False,
        node: str = "",
        seccomp: str = "RuntimeDefault",
    ) -> Pod:
        """A bare pod to probe from; without a namespace it stands in one of our own. Its options are those of ``PodSpec``."""
        where = namespace or self.namespace("attacker")
        spec = PodSpec(where, labels or {}, service_account, automount, node, seccomp, purpose="attacker")
        return self.lease(spec)[0]

    def twin(self, workload: Workload) -> Pod:
        """A pod with a workload's labels, account, volumes and security context that runs our listener."""
        return self.lease(PodSpec(workload.namespace, template=self._template_of(workload), purpose="twin"))[0]

    def remember(self, what: str, find_out: Callable[[], _Found]) -> _Found:
        """Find something out about the cluster once, and remember it until the cluster changes."""
        return cast("_Found", self._remembered.get(what, find_out))

    def shun(self, nodes: Iterable[str]) -> None:
        """Give up at once on a pod that is placed on one of these nodes, until the cluster changes: nothing answers there."""
        self._shunned = frozenset(nodes)

    def refresh(self) -> None:
        """Give up all pods, and forget what was found out: the cluster has changed."""
        self.dismiss()
        for pod in self._leased.values:
            self._cluster.api.delete(f"/api/v1/namespaces/{pod.vantage.namespace}/pods/{pod.vantage.pod}", grace=0)
        self._leased.clear()
        self._failed.clear()
        self._remembered.clear()
        self._shunned = frozenset()

    def owns(self, path: str) -> None:
        """Note something that is about to be made outside of our namespaces, so that :meth:`close` removes it."""
        self._outside.append(path)

    def close(self) -> None:
        """Remove what was made, if the cluster outlives the run."""
        self.dismiss()
        if not self._cluster.ours:
            for path in (
                *reversed(self._outside),
                *(f"/api/v1/namespaces/{name}" for name in self._namespaces.values),
            ):
                self._cluster.api.delete(path)

    def dismiss(self) -> None:
        """End the agents that stay in pods; the pods stay."""
        for pod in self._leased.values:
            if pod.vantage.resident is not None:
                pod.vantage.resident.close()

    def _made_namespace(self, purpose: str, labels: Mapping[str, str]) -> str:
        name = f"k8ssec-{self._run_id}-{purpose}"
        manifest = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {**labels, manifests.OBJECT_LABEL: self._run_id}},
        }
        made = self._cluster.api.request("POST", "/api/v1/namespaces", body=manifest)
        # There already: made by an earlier call, that waited for its account in vain. Nobody else has its name.
        if not made.ok and made.reason != "AlreadyExists":
            raise ClusterError(f"namespace {name}: not created: HTTP {made.status}: {made.message or made.reason}")
        # The default account comes a moment after its namespace; until then no pod is admitted.
        accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
        self._cluster.api.wait(accounts, "default", lambda found: found is not None, deadline=60,
                               what=f"namespace {name}: no default service account")  # fmt: skip
        return name

    def _made_pod(self, spec: PodSpec) -> Pod:
        known = self._failed.get(spec.key())
        if known is not None:  # it was waited for in vain: nobody waits again, until the cluster changes
            raise ProbeError(known.message, fix=known.fix, details=known.details)
        name, nonce, port = self._start(spec)
        try:
            return self._running(spec, name, nonce, port)
        except BaseException as error:
            if isinstance(error, ProbeError):
                self._failed[spec.key()] = error
            # It would take room, and might start when nobody knows of it any more.
            with suppress(ClusterError):
                self._cluster.api.delete(f"/api/v1/namespaces/{spec.namespace}/pods/{name}", grace=0)
            raise

    def _beside_live(self, spec: PodSpec, error: WouldBeServed) -> Pod:
        """A twin without a label that draws traffic, on the node of a live pod of its workload, which lends its network.

        Raises:
            NoAccess: no pod of ours may be placed there.
            ProbeError: no live pod is there whose network would do, or a pod was refused or did not start.
        """
        with as_probe_error():
            live = live_like(self._cluster.api, spec)
        if live is None or spec.template is None:
            raise error
        there = {**spec.template, "spec": {**spec.template["spec"], "nodeName": live.node}}
        plain = replace(spec, template=there, labels_matter=False, live_network=False)
        twin = self._leased.get(plain.key(), lambda: self._made_pod(plain))
        host = unrestricted_pods(self, [live.node])[live.node]
        return replace(twin, vantage=replace(twin.vantage, network=LiveNetwork(host.vantage, live)))

    def _start(self, spec: PodSpec) -> tuple[str, str, int]:
        ours = spec.namespace in self._namespaces.values
        if not ours and spec.namespace not in self._stack_namespaces():
            raise NoAccess(f"namespace {spec.namespace}: this run did not deploy it, so no pod of ours is placed there")
        name = f"k8ssec-{spec.purpose}-{secrets.token_hex(3)}"
        nonce = secrets.token_hex(8)
        on_node = bool((spec.template or {}).get("spec", {}).get("hostNetwork"))
        port = next(self._node_ports) if on_node else CANARY_PORT
        owner = self._owner(spec.namespace) if spec.template is not None else None
        with as_probe_error(creating=f"pod {spec.namespace}/{name}"):
            room = manifests.ROOM if ours else self._room(spec.namespace)
            manifest = manifests.probe_pod(
                spec, name, self._cluster.probe_image, nonce, self._run_id, owner, port=port, resources=room
            )
            if spec.template is not None and not ours:
                self._fit(manifest, any_label=not spec.labels_matter)
            self._cluster.api.create(manifest)
        return name, nonce, port

    def _room(self, namespace: str) -> Mapping[str, JSON]:
        """What a pod there may ask for. Raises ClusterError."""
        api, path = self._cluster.api, f"/api/v1/namespaces/{namespace}"
        return shaped(manifests.ROOM, api.list(f"{path}/limitranges"), api.list(f"{path}/resourcequotas"))

    def _fit(self, manifest: dict[str, JSON], *, any_label: bool) -> None:
        """Have a twin take nothing from the workload: no claim, and no traffic. Raises ClusterError, WouldBeServed."""
        meta, api = manifest["metadata"], self._cluster.api
        manifest["spec"] = without_lone_claims(api, meta["namespace"], manifest["spec"])
        meta["labels"] = unserved_labels(api, meta["namespace"], meta["labels"], known_ones=any_label)

    def _running(self, spec: PodSpec, name: str, nonce: str, port: int) -> Pod:
        pods = f"/api/v1/namespaces/{spec.namespace}/pods"
        try:
            found = self._cluster.api.wait(pods, name, _runs, deadline=POD_START_SECONDS,
                                           what=f"pod {spec.namespace}/{name}: is not running")  # fmt: skip
        except ClusterError as error:
            raise ProbeError(error.message, details=_why(self._cluster, spec.namespace, name)) from error
        assert found is not None
        if found["status"].get("phase") == "Failed":
            words = found["status"].get("message") or found["status"].get("reason") or "failed"
            raise ProbeError(f"pod {spec.namespace}/{name}: its node does not let it run: {words}")
        node = found["spec"]["nodeName"]
        if node in self._shunned:  # who asks for an exec there waits for half a minute in vain
            raise ProbeError(f"pod {spec.namespace}/{name}: is placed on {node}, whose kubelet answers nobody")
        source = Source("pod", f"{spec.namespace}/{name}", found["status"]["podIP"], node)
        guessed = spec.template is not None and manifests.user_is_guessed(spec.template)
        container = found["spec"]["containers"][0]["name"]
        vantage = PodVantage(self._cluster, spec.namespace, name, container, source, user_is_guessed=guessed)
        further = tuple(each["ip"] for each in found["status"].get("podIPs") or () if each["ip"] != source.address)
        pod = Pod(
            resident(vantage) if self._overlap else vantage, found["metadata"]["uid"], nonce, port, further=further
        )
        _listens(pod, self._cluster.nodes if spec.namespace in self._namespaces.values else ())
        return pod

    def _owner(self, namespace: str) -> dict[str, JSON]:
        """A controller reference to a ConfigMap of ours, so that no controller of the stack adopts a twin."""
        made = self._owners.get(namespace, lambda: self._made_owner(namespace))["metadata"]
        return {"apiVersion": "v1", "kind": "ConfigMap", "name": made["name"], "uid": made["uid"], "controller": True}

    def _made_owner(self, namespace: str) -> Body:
        name = f"k8ssec-{self._run_id}"
        manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace, "labels": {manifests.OBJECT_LABEL: self._run_id}},
        }
        with as_probe_error(creating=f"configmap {namespace}/{name}"):
            return self._cluster.api.create(manifest)


def _keys(spec: PodSpec) -> set[str]:
    """What the pod of a spec goes by: one whose labels don't matter is the one whose labels do, if it may have them."""
    return {spec.key(), replace(spec, labels_matter=True).key()}


def _or_raise(found: Pod | ProbeError) -> Pod:
    assert isinstance(found, Pod)  # an error was raised when it came
    return found


def _runs(pod: Body | None) -> bool:
    """Whether it runs, or never will."""
    status = (pod or {}).get("status", {})
    if status.get("phase") == "Failed":  # a node that has no room for it says so at once
        return True
    states = status.get("containerStatuses", [])
    return bool(status.get("podIP")) and bool(states) and all("running" in state["state"] for state in states)


def _listens(pod: Pod, reaches: Sequence[Node]) -> None:
    """Wait until the pod's own listener answers the pod itself, and until its network is there.

    A container is running a moment before its listener listens, and in a young cluster a node can be ready a moment before
    its pods' packets find their way to other nodes: nobody announces either, so it is tried.

    Args:
        reaches: nodes whose kubelets nothing keeps the pod from. Those that can't be entered are not waited for: they may
            answer nobody, and there may be many. Patience ends without an error: positive controls tell what did not work.

    Raises:
        ProbeError: its own listener does not answer.
    """
    kubelets = [
        Tcp(address, KUBELET_PORT, timeout=1) for node in reaches if node.container for address in node.addresses
    ]
    began = time.monotonic()
    while True:
        own, *others = pod.probe(pod.canary, *kubelets)
        if all(each.outcome is Outcome.OPEN for each in (own, *others)):
            return
        if time.monotonic() - began > (_LISTEN_SECONDS if own.outcome is Outcome.REFUSED else _NETWORK_SECONDS):
            break
        time.sleep(0.2)
    if own.outcome is not Outcome.OPEN:
        raise ProbeError(f"{pod.source}: its own listener does not answer it: {own}")


def _why(cluster: Cluster, namespace: str, name: str) -> str:
    """A pod's events, for the error that it did not start."""
    events = cluster.api.list(f"/api/v1/namespaces/{namespace}/events", fieldSelector=f"involvedObject.name={name}")
    return "\n".join(f"{event.get('reason')}: {event.get('message')}" for event in events)
