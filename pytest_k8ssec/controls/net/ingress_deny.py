"""A pod of a foreign namespace reaches no port of the stack's pods.

Without a default deny every pod of the cluster can talk to every other, so one compromised container has the whole
platform in reach. Each port that a pod of the stack really listens on is tried from a namespace that is not the
stack's: by a bare pod on each node, as a policy may name the addresses of one node's pods, and by one that wears the
labels of a client that the policies let in, as a policy that forgets to name the namespace lets such a pod in. Over TCP a connection is a breach, over UDP any answer. Pod addresses
are tried, not Services, which an attacker does not need. Where that would be more than 400 connections, the labels that
are worn are one set of each class that the policies tell apart from there, and twelve more by chance; a note says how
many are told by class. Where policies of other kinds are in force (for the whole cluster, or of the network's own kinds), the
labels of every workload are worn.

A pod in its node's network answers for the ports of its own processes, and for no other ones of the node.

A refused connection and no answer both mean blocked once the listener is proven, and neither does before. Proven means:
at that moment a twin of an allowed client, or else the pod's own node, got through to the same port. A port of UDP that
answers neither of them says nothing: a note names it, and no verdict is given on it.

Remediation: give each namespace a NetworkPolicy that selects all pods and lists `Ingress` without any rule, and name the
exceptions by namespace *and* pod labels. Policies add up: one that allows all ingress undoes all others. A port that is
meant for everybody is declared in `[tool.k8ssec.allow.net-ingress-deny]` as `"namespace/workload:port" = "reason"`.

```yaml
# kubectl apply -n NAMESPACE -f ingress.yaml
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny-ingress
spec:
  podSelector: {}
  policyTypes: [Ingress]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: api
spec:
  podSelector: {matchLabels: {app.kubernetes.io/name: api}}
  policyTypes: [Ingress]
  ingress:
    - from:
        - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: web}}
          podSelector: {matchLabels: {app.kubernetes.io/name: storefront}}
      ports:
        - port: 8080
```

Sources: CIS Kubernetes Benchmark 5.3.2; https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product

from pytest_k8ssec.agent.vantage import probe_all
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.catalogue.declared import Declared, object_names
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import ProbeError, SabotageError
from pytest_k8ssec.evidence import STOPPED, Evidence, Outcome, got_through
from pytest_k8ssec.evidence.causes import Flow
from pytest_k8ssec.facts.listening_ports import Target, named_ports, protocol_suffix, targets
from pytest_k8ssec.facts.policies.kinds import other_policies
from pytest_k8ssec.facts.policies.network import End, Labels, Peer, Policy, lets_in
from pytest_k8ssec.plain import few
from pytest_k8ssec.pods.absent import tell_absent
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.nodes_in_reach import nodes_in_reach
from pytest_k8ssec.probes.policy_enforcement import allow_all_ingress, await_canary, enforces
from pytest_k8ssec.probes.prove_listening import prove_listening
from pytest_k8ssec.reach.sampling import Sampling
from pytest_k8ssec.reach.worn_labels import worn
from pytest_k8ssec.sabotages.proofs import changing, object_of
from pytest_k8ssec.stack import Stack, Workload
from pytest_k8ssec.verdict import Judge

_BARE = "bare"


@control(
    severity=Severity.HIGH,
    subject="stack",
    cis=("5.3.2",),
    others=("C-0206", "C-0260", "MS-TA9034"),
    dimensions=("source", "labels", "pod", "address", "port"),
    blames=(Flow,),
)
def test_net_ingress_deny(
    judge: Judge,
    cluster: Cluster,
    stack: Stack,
    pool: Pool,
    twin: Callable[[Workload], Pod],
    allowed: Mapping[str, str],
    k8ssec_sampling: Sampling,
) -> None:
    """Try each listening port of each pod from a foreign namespace, bare and with the labels of an allowed client."""

    def missing(workload: Workload, error: ProbeError) -> None:
        tell_absent(judge.case(str(workload)), error, tried="find out what it listens on")

    declared = Declared(judge, allowed, "open to everybody")
    wanted = [
        target
        for target in targets(cluster, stack, missing, protocols=("TCP", "UDP"))
        if not declared.covers(target.subject, f"{target.workload.kind} {target.subject}")
    ]
    declared.tell_unused()
    if not wanted:
        judge.not_applicable("no pod of the stack listens on a port that is not declared open")
        return
    gate = enforces(pool)
    policies = _policies(cluster, stack)
    clients = _clients(cluster, stack, wanted, policies)
    home = pool.namespace("attacker")
    others = other_policies(cluster.api)
    labels = {str(each): each.labels for found in clients.values() for each in found}
    if others:
        # Whom these let in, or leave out where they deny, may be anybody: by labels that no NetworkPolicy names.
        judge.note(f"other policies are in force, so the labels of every workload are worn: {others}")
        labels = {str(each): each.labels for each in stack.workloads()}
    every = [policy for found in policies.values() for policy in found]
    wear, rest = worn(labels, len(wanted), every, (home, _labels(cluster, home)), k8ssec_sampling, others)
    if rest:
        judge.note(rest)
    nodes = [node.name for node in nodes_in_reach(pool).answering]
    _exist(judge, nodes, wear, wanted)
    sources, canary = _sources(pool, home, wear, nodes)
    by_twin = {target: workload for target, (workload, *_) in clients.items() if stack.deployed}
    listening = prove_listening(cluster, wanted, by_twin, twin)
    mute = {target for target in wanted if target.protocol == "UDP" and listening[target].outcome in STOPPED}
    if mute:
        # What ignores a datagram of ours from its own node may be open to everybody: nobody can tell.
        words = few(sorted(map(str, mute)))
        judge.note(
            f"{len(mute)} ports of UDP answer nothing that is sent from where that is allowed, so no verdict: {words}"
        )
    cases = {
        target: judge.case(str(target), required=target not in mute, subjects=_subjects(target)) for target in wanted
    }
    tasks = [*canary.canaries, *(target.task for target in wanted)]
    answers = probe_all([(source.vantage, tasks) for _, source in sources])
    first = len(canary.canaries)
    for (worn_labels, source), found in zip(sources, answers, strict=True):
        words = worn_labels if worn_labels == _BARE else f"wearing the labels of {worn_labels}"
        by_family = {":" in address: answer for address, answer in zip(canary.addresses, found[:first], strict=True)}
        for target, answer in zip(wanted, found[first:], strict=True):
            through = None if target in mute and answer.outcome in STOPPED else got_through(answer)
            at = {"source": source.source.place, "labels": worn_labels, **_at(target)}
            flow = _flow(source, target)
            cases[target].attack(f"connect, {words}", answer, through=through, at=at, cause=flow)
            shown = by_family.get(":" in target.address, found[0])
            reached = shown.outcome is Outcome.OPEN
            cases[target].positive(f"the attacker, {words}, reaches a canary", shown, succeeded=reached)
    for target, case in cases.items():
        case.positive(
            "it listens at this moment", listening[target], succeeded=listening[target].outcome is Outcome.OPEN
        )
        case.positive("policies are enforced here", gate, succeeded=gate.outcome is Outcome.DONE)


def _subjects(target: Target) -> tuple[str, ...]:
    """The names by which a pod's port may be waived: its workload's, with the port or without; ``:53/UDP`` is one of UDP."""
    workload, port = target.workload, f":{target.port}{protocol_suffix(target.protocol)}"
    return object_names(workload.kind, workload.namespace, workload.name, [port])


def _flow(source: Pod, target: Target) -> Flow:
    """What came in, as policies see it."""
    mine = next((each for each in source.addresses if (":" in each) == (":" in target.address)), source.address)
    labels = tuple(sorted(target.workload.labels.items()))
    return Flow("Ingress", target.workload.namespace, labels, mine, target.address, target.port, target.protocol)


def _exist(judge: Judge, nodes: Sequence[str], wear: Iterable[str], wanted: Sequence[Target]) -> None:
    """Say what there is to try.

    Which node labels are worn on makes no difference: a peer of a policy is either labels or addresses, and whom a policy
    lets in by the address alone gets in bare.
    """
    for target, node in product(wanted, nodes):
        at = {"source": f"pod on {node}", **_at(target)}
        judge.coverage.exists(labels=_BARE, **at)
        for who in wear:
            judge.coverage.exists(alike=f"{who} to {target}", labels=who, **at)


def _at(target: Target) -> dict[str, str]:
    pod = f"{target.workload.namespace}/{target.pod}"
    return {"pod": pod, "address": target.address, "port": f"{target.port}/{target.protocol}"}


def _sources(
    pool: Pool, home: str, wear: Mapping[str, Labels], nodes: Sequence[str]
) -> tuple[list[tuple[str, Pod]], Pod]:
    """The attackers, with whose labels they wear, and a canary in another namespace: all started side by side."""
    specs = [
        *((_BARE, PodSpec(home, node=node, purpose="attacker")) for node in nodes),
        *((who, PodSpec(home, labels=labels, purpose="attacker")) for who, labels in wear.items()),
    ]
    canary, *pods = pool.lease(PodSpec(pool.namespace("canary"), purpose="canary"), *(spec for _, spec in specs))
    return [(who, pod) for (who, _), pod in zip(specs, pods, strict=True)], canary


def _labels(cluster: Cluster, namespace: str) -> Labels:
    labels: Labels = cluster.api.get(f"/api/v1/namespaces/{namespace}")["metadata"]["labels"]
    return labels


def _policies(cluster: Cluster, stack: Stack) -> dict[str, list[Policy]]:
    """The policies of each namespace of the stack."""
    path = "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies"
    return {name: [*cluster.api.list(path.format(name))] for name in stack.namespaces}


def _clients(
    cluster: Cluster, stack: Stack, wanted: list[Target], policies: Mapping[str, list[Policy]]
) -> dict[Target, list[Workload]]:
    """The workloads that the policies let in, for each target that has some."""
    labels = {name: _labels(cluster, name) for name in stack.namespaces}
    workloads = stack.workloads()
    found: dict[Target, list[Workload]] = {}
    for target in wanted:
        here = target.workload.namespace
        peer = Peer(here, labels[here], target.workload.labels)
        end = End(target.address, target.node, peer, named_ports(target.workload.template))
        for workload in workloads:
            source = Peer(workload.namespace, labels[workload.namespace], workload.labels)
            if lets_in(policies[here], end, target.port, source, target.protocol):
                found.setdefault(target, []).append(workload)
    return found


@sabotage(test_net_ingress_deny)
def ingress_allowed_to_all(
    cluster: Cluster, stack: Stack, attacker: Callable[..., Pod], twin: Callable[[Workload], Pod]
) -> Iterator[Evidence]:
    """A policy that allows all ingress is added to the namespaces of the stack: policies add up."""
    workloads = {workload.namespace: workload for workload in stack.workloads()}

    def await_twins(*, reachable: bool) -> Evidence:
        """A twin stands under the same policies as its workload: what is true of it is in force."""
        for proof in [await_canary(attacker(), twin(each), reachable=reachable) for each in workloads.values()]:
            if (proof.outcome is Outcome.OPEN) is not reachable:
                raise SabotageError(
                    f"allow-all policy: {'not in force' if reachable else 'removed, and still in force'}: {proof}"
                )
        return proof

    policies = [allow_all_ingress(name) for name in workloads]
    with cluster.api.applied(*policies):
        yield changing(await_twins(reachable=True), *map(object_of, policies))
    await_twins(reachable=False)
