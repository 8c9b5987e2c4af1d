"""The places that a survey sends from: twins and pods of ours, nodes, the outside."""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from pytest_k8ssec.agent.vantage import NetworkVantage
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import NoAccess, ProbeError
from pytest_k8ssec.evidence import JSON, Source
from pytest_k8ssec.facts.pod_classes import NO_PORT, pod_classes
from pytest_k8ssec.facts.policies import End, Peer, Policy
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.reach.destinations import addresses_of
from pytest_k8ssec.reach.measure import Dial
from pytest_k8ssec.reach.places import ELSEWHERE, NODE, OUTSIDE, PURPOSE, Origin
from pytest_k8ssec.reach.sampling import Sampling, kin_of
from pytest_k8ssec.stack import Stack, Workload

_TOGETHER = 8
"""Pods that are asked for at the same time."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A place where no probe can run: nothing is known from there."""

    source: Source
    why: str

    def execute(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Completed:  # noqa: ARG002 - as a Vantage
        """Raises ProbeError, always."""
        raise ProbeError(self.why)


@dataclass(frozen=True, slots=True)
class _Sender:
    """A pod of ours that is to send, or that another one stands for."""

    name: str
    spec: PodSpec
    peer: Peer
    model: End | None = None
    """A pod of the stack like it, on the same node, where many are sampled."""
    key: Hashable = None
    """What must be equal for two to be one class."""
    in_nodes_network: bool = False


def pods_to_send_from(
    pool: Pool,
    stack: Stack,
    pods: Sequence[tuple[Workload, Sequence[Body]]],
    labels: Mapping[str, Mapping[str, str]],
    notes: list[str],
    sampled: tuple[Sampling, Sequence[Policy]] | None = None,
) -> Iterator[Origin]:
    """Twins of the workloads and bare pods beside them, if this run deployed the stack; a pod in a foreign namespace.

    A pod that can't be made is noted, and nothing is known from there.

    Args:
        pods: each workload's running pods.
        sampled: how to choose the twins that are made, and the policies that tell classes apart. There is a twin then for each
            node that a workload runs on. None makes one for each workload, wherever it is placed.

    Raises:
        ValueError: an address, or a block of addresses, is none.
    """
    home = pool.namespace(PURPOSE)
    wanted: list[_Sender] = []
    if stack.deployed:
        # By no name: a Deployment and a Job may have one in common, and each sends.
        if sampled is None:
            wanted += [_twin(each, labels) for each, _ in pods]
        else:
            wanted += _at_each_node(pods, labels, sampled[1])
        with_pods = dict.fromkeys(each.namespace for each, _ in pods)
        wanted += [
            _Sender(f"{name}/*", PodSpec(name, purpose=PURPOSE), Peer(name, labels[name], {})) for name in with_pods
        ]
    else:
        notes.append("this run did not deploy the stack: no pod of ours stands in for its workloads and namespaces")
    wanted.append(_Sender(ELSEWHERE, PodSpec(home, purpose=PURPOSE), Peer(home, labels_of(pool.cluster, home), {})))
    if sampled is None:
        yield from _made(pool, wanted, notes)
        return
    sampling, policies = sampled
    models = [number for number, each in enumerate(wanted) if each.model is not None]
    chosen = sampling.chosen([wanted[number].key for number in models], "sources")
    left = {number for at, number in enumerate(models) if at not in chosen}
    sent = _made(pool, [each for number, each in enumerate(wanted) if number not in left], notes)
    yield from _with_classes(wanted, left, iter(sent), policies, notes)


def _twin(workload: Workload, labels: Mapping[str, Mapping[str, str]], model: End | None = None) -> _Sender:
    """A twin of a workload; on the node of one of its pods, if there is a model."""
    peer = Peer(workload.namespace, labels[workload.namespace], workload.labels)
    template = workload.template
    if model is not None:
        # Past the scheduler, which might choose another node: a pod of the workload runs there.
        template = {**template, "spec": {**template["spec"], "nodeName": model.node}}
    spec = PodSpec(workload.namespace, template=template, purpose="twin")
    return _Sender(workload_name(workload), spec, peer, model, in_nodes_network=bool(_spec_of(spec).get("hostNetwork")))


def _spec_of(spec: PodSpec) -> Mapping[str, JSON]:
    found: Mapping[str, JSON] = (spec.template or {}).get("spec", {})
    return found


def _at_each_node(
    pods: Sequence[tuple[Workload, Sequence[Body]]],
    labels: Mapping[str, Mapping[str, str]],
    policies: Sequence[Policy],
) -> Iterator[_Sender]:
    """For each workload a twin on each node that it runs on, and for each of its pods that blocks of addresses tell apart.

    A workload without a pod has one wherever it is placed, which is always made: nothing tells where it would be.
    """
    models: list[tuple[Workload, list[End]]] = []
    for workload, found in pods:
        for pod in found:
            peer = Peer(workload.namespace, labels[workload.namespace], workload.labels)
            node, hosted = pod["spec"]["nodeName"], bool(pod["spec"].get("hostNetwork"))
            ends = [End.of(address, node, peer, hosted=hosted) for address in addresses_of(pod)]
            models.append((workload, ends))
    classes = iter(pod_classes(policies, [(end, *NO_PORT) for _, ends in models for end in ends]))
    seen: set[Hashable] = set()
    for workload, ends in models:
        key = (kin_of(workload.namespace, ends, workload.template["spec"]), *(next(classes) for _ in ends))
        mine = (workload.kind, workload.namespace, workload.name, key)
        if mine not in seen:
            seen.add(mine)
            yield replace(_twin(workload, labels, ends[0]), key=key)
    yield from (_twin(workload, labels) for workload, found in pods if not found)


def _made(pool: Pool, wanted: Sequence[_Sender], notes: list[str]) -> list[Origin]:
    """A pod for each."""
    found: list[Origin] = []
    for each, got in zip(wanted, _leased(pool, [(one.name, one.spec) for one in wanted], notes), strict=True):
        if isinstance(got, Missing):
            found.append(Origin(each.name, End.of("", "", each.peer, hosted=each.in_nodes_network), got))
            continue
        end = End.of(got.address, got.source.node, each.peer, hosted=each.in_nodes_network)
        found.append(Origin(each.name, end, got.vantage, Dial(got.address, got.port), each.spec, got.since))
    return found


def _with_classes(
    wanted: Sequence[_Sender],
    left: Container[int],
    sent: Iterator[Origin],
    policies: Sequence[Policy],
    notes: list[str],
) -> Iterator[Origin]:
    """The sources in their order: those that send, each with its class if it is of it; and those that do not.

    A twin has an address of its own. Where a block tells it from the pod that it was to be like, it is of no class.
    """
    made = [None if number in left else next(sent) for number in range(len(wanted))]
    pairs = [
        (number, one.model, origin.end)
        for number, (one, origin) in enumerate(zip(wanted, made, strict=True))
        if one.model is not None and origin is not None and origin.end.address
    ]
    told = pod_classes(policies, [(end, *NO_PORT) for _, model, own in pairs for end in (model, own)])
    alike = {
        number
        for at, (number, model, own) in enumerate(pairs)
        if told[2 * at] == told[2 * at + 1] and model.node == own.node
    }
    stands = {wanted[number].key: origin.end for number, origin in enumerate(made) if origin and number in alike}
    numbers: dict[Hashable, int] = {}
    for number, (one, origin) in enumerate(zip(wanted, made, strict=True)):
        kin = numbers.setdefault(one.key, len(numbers)) if one.key in stands else None
        if origin is not None:
            yield replace(origin, kin=kin if number in alike else None)
            continue
        assert one.model is not None
        # Where a twin of its class stands: with the address of the workload's own pod it would be that pod to itself.
        end = stands.get(one.key, End("", one.model.node))
        unsent = Missing(Source("pod", one.name, node=one.model.node), "not measured")
        itself = End.of(end.address, end.node, one.peer, end.named, hosted=one.in_nodes_network)
        yield Origin(one.name, itself, unsent, kin=kin, measured=False)
    if lone := dict.fromkeys(wanted[number].name for number, *_ in pairs if number not in alike):
        notes.append(
            f"no twin stands for others of its class, as a block of addresses tells it apart: {', '.join(lone)}"
        )


def _leased(pool: Pool, wanted: Sequence[tuple[str, PodSpec]], notes: list[str]) -> list[Pod | Missing]:
    """A pod for each, side by side; where one of them is refused, each by itself, so that the others are had."""
    try:
        return list(pool.lease(*(spec for _, spec in wanted)))
    except (ProbeError, NoAccess):
        # Side by side as well: it may be refused after a minute only, and so may many.
        with ThreadPoolExecutor(_TOGETHER) as threads:
            found = list(threads.map(lambda one: _one(pool, *one), wanted))
    notes += [f"from {each.source.name} nothing is known: {each.why}" for each in found if isinstance(each, Missing)]
    return found


def _one(pool: Pool, name: str, spec: PodSpec) -> Pod | Missing:
    try:
        return pool.lease(spec)[0]
    except (ProbeError, NoAccess) as error:
        return Missing(Source("pod", name), error.message)


def machines(cluster: Cluster) -> Iterator[Origin]:
    """The nodes that can be entered, and the outside."""
    for node in cluster.nodes:
        if node.container:
            yield Origin(f"{NODE}/{node.name}", End(node.address, node.name), NetworkVantage(cluster, node))
    yield Origin(OUTSIDE, End(""), NetworkVantage(cluster, None))


def workload_name(workload: Workload) -> str:
    """``namespace/name``: its name in a survey."""
    return f"{workload.namespace}/{workload.name}"


def labels_of(cluster: Cluster, namespace: str) -> Mapping[str, str]:
    """Labels of a namespace. Raises ClusterError."""
    found: Mapping[str, str] = cluster.api.get(f"/api/v1/namespaces/{namespace}")["metadata"].get("labels", {})
    return found
