"""A workload of the stack can send nothing to places that it has no need to reach.

An attacker in a container needs a way out: to fetch tools, to carry data away, to look round the cluster. Without a
default deny of egress nothing blocks it. A twin of each workload, on each node on which its pods stand, for which the same policies hold,
tries pods of ours in another namespace, one on each node, over TCP and UDP, and a listener of ours outside the cluster, at 53, 80 and 443
too. A policy may let out on one port only: so each port that an egress rule of its namespace names, by number or by name,
and the first and the last of each range, is tried at all of them, where listeners of ours stand on it. Ports of SCTP are
not tried; a note names them. Where policies of other kinds are in force (for the whole cluster, or of the network's own
kinds), which may deny as well, the ports next to those that they name are tried too. A pod of ours on the same node, for which no policy holds, must reach all of them at that
moment, and the twin must get an answer from DNS: so it is not merely cut off.

A twin is a new pod, and policy engines take a moment to know it: the control waits for that. The listener has a private
address, so a policy that allows egress to public addresses only (`0.0.0.0/0` with the private ones under `except`) is
not noticed.

Remediation: give each namespace a NetworkPolicy that selects all pods and lists `Egress` without any rule, and name the
exceptions, DNS among them, by namespace and pod labels. Policies add up: one that allows all egress undoes all others.
A workload that has to reach everything is declared in `[tool.k8ssec.allow.net-egress-deny]` as `"namespace/workload" =
"reason"`.

```yaml
# kubectl apply -n NAMESPACE -f egress.yaml
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny-egress
spec:
  podSelector: {}
  policyTypes: [Egress]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: dns
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
    - to:
        - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
          podSelector: {matchLabels: {k8s-app: kube-dns}}
      ports:
        - {port: 53, protocol: UDP}
        - {port: 53, protocol: TCP}
```

Sources: CIS Kubernetes Benchmark 5.3.2; https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass

from pytest_k8ssec.agent.tasks import Resolve, Task, Tcp, Udp
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.controls.net import WorkloadSuspect, tried, workloads_on_trial
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.evidence.causes import Flow
from pytest_k8ssec.facts.listening_ports import Port
from pytest_k8ssec.facts.policies.kinds import OtherPolicies, other_policies
from pytest_k8ssec.facts.policies.network import egress_port_names, egress_ports
from pytest_k8ssec.pods.absent import tell_absent
from pytest_k8ssec.pods.manifests import CANARY_PORT, PodSpec
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.nodes_in_reach import nodes_in_reach
from pytest_k8ssec.probes.outside_listener import outside_listener
from pytest_k8ssec.probes.policy_enforcement import allow_egress, allow_egress_to_pods
from pytest_k8ssec.sabotages.egress import let_out
from pytest_k8ssec.stack import Stack, Workload
from pytest_k8ssec.verdict import Judge

_ALWAYS = ((CANARY_PORT, "TCP"), (53, "TCP"), (53, "UDP"), (80, "TCP"), (443, "TCP"))
_IN_CLUSTER = ((CANARY_PORT, "TCP"), (CANARY_PORT, "UDP"))
_FIRST_NAMED = CANARY_PORT + 1
"""From here on canaries listen on ports that rules name by name."""
_SABOTAGED = 5432


_OUTSIDE = "outside"


@control(
    severity=Severity.HIGH,
    subject="stack",
    cis=("5.3.2",),
    others=("C-0030",),
    dimensions=("workload", "source", "destination", "family", "port"),
    blames=(Flow,),
    finding="{case} can {attack}",
)
def test_net_egress_deny(judge: Judge, cluster: Cluster, stack: Stack, pool: Pool, allowed: Mapping[str, str]) -> None:
    """Let a twin of each workload reach for a pod of another namespace, and for the outside."""
    suspects = workloads_on_trial(judge, stack, pool, allowed)
    if not suspects:
        return
    others = other_policies(cluster.api)
    if others:
        judge.note(f"other policies are in force, so the ports are tried where what they say begins and ends: {others}")
    named = {name: _named(judge, cluster, name, others) for name in {each.workload.namespace for each in suspects}}
    by_name = _numbered(judge, named.values())
    canaries = _canaries(judge, pool, {port for ports in named.values() for port, _ in ports.numbers}, by_name)
    families = {":" in address for canary in canaries for address in canary.addresses}
    outside = outside_listener(cluster, (*_ALWAYS, *(port for ports in named.values() for port in ports.numbers)))
    if lacking := families - {":" in task.host for tasks in outside.values() for task in tasks}:
        family = "IPv6" if True in lacking else "IPv4"
        raise ProbeError(f"listener outside the cluster: has no {family} address, and pods have one")

    def ways(suspect: WorkloadSuspect) -> dict[_Way, Task]:
        ports = named[suspect.workload.namespace]
        inside = {f"{port}/{protocol}": (port, protocol) for port, protocol in (*_IN_CLUSTER, *ports.numbers)}
        inside |= {f"port {'/'.join(each)}": (by_name[each], each[1]) for each in ports.names if each in by_name}
        return {
            **{
                _Way(canary.source.place, words, v6=":" in address): _at(canary, address, *port)
                for canary in canaries
                for address in canary.addresses
                for words, port in inside.items()
            },
            **{
                _Way(_OUTSIDE, f"{port}/{protocol}", v6=":" in task.host): task
                for port, protocol in dict.fromkeys((*_ALWAYS, *ports.numbers))
                for task in outside[port, protocol]
                if (":" in task.host) in families
            },
        }

    for suspect in suspects:
        _exist(judge, suspect, named[suspect.workload.namespace], by_name, canaries, families)
    for suspect, (dns, *answers), (_, *shown) in tried(suspects, lambda each: (Resolve(), *ways(each).values())):
        case = judge.case(suspect.name)
        for (way, task), answer, known in zip(ways(suspect).items(), answers, shown, strict=True):
            suspect.attack(case, f"reach {way}", answer, known, task, **way.at)
        case.positive("it gets an answer from DNS", dns, succeeded=dns.outcome is Outcome.DONE)
        suspect.gated(case)


@dataclass(frozen=True, slots=True)
class _Way:
    """One way out."""

    destination: str
    """Where the pod of ours stands, as ``Source.place`` says it, or :data:`_OUTSIDE`."""
    port: str
    """With its protocol, and by its name where a rule names it so."""
    _: KW_ONLY
    v6: bool

    def __str__(self) -> str:
        where = "the outside" if self.destination == _OUTSIDE else f"a {self.destination}"
        where = where.replace("a pod on", "a pod of another namespace on")
        return f"{where}, {self.port}{' by IPv6' if self.v6 else ''}"

    @property
    def at(self) -> dict[str, str]:
        """Its values in the control's dimensions."""
        return {"destination": self.destination, "port": self.port, "family": "IPv6" if self.v6 else "IPv4"}


def _exist(
    judge: Judge,
    suspect: WorkloadSuspect,
    named: _Named,
    by_name: Collection[tuple[str, str]],
    canaries: Sequence[Pod],
    families: Collection[bool],
) -> None:
    """Say what there is to try: by each family that pods have, each port that stands for all or that a rule names."""
    numbers = [f"{port}/{protocol}" for port, protocol in named.numbers]
    names = [f"port {'/'.join(each)}" for each in named.names if each in by_name]
    inside = [*(f"{port}/{protocol}" for port, protocol in _IN_CLUSTER), *numbers, *names]
    outside = [*(f"{port}/{protocol}" for port, protocol in _ALWAYS), *numbers]
    places = {f"pod on {canary.source.node}": inside for canary in canaries} | {_OUTSIDE: outside}
    for place, ports in places.items():
        for port in ports:
            for v6 in families:
                suspect.exists(judge, **_Way(place, port, v6=v6).at)


@dataclass(frozen=True, slots=True)
class _Named:
    """The ports that egress rules of a namespace name: where one of them lets out too far, that is by these."""

    numbers: tuple[Port, ...]
    names: tuple[tuple[str, str], ...]


def _named(judge: Judge, cluster: Cluster, namespace: str, others: OtherPolicies) -> _Named:
    """Those that can be tried; a note tells of the others."""
    policies = cluster.api.list(f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies")
    numbers = sorted({*egress_ports(policies), *others.edges()})
    names = sorted({*egress_port_names(policies), *others.names()})
    if sctp := [str(port) for port, protocol in (*numbers, *names) if protocol == "SCTP"]:
        judge.note(f"namespace {namespace}: egress rules name ports of SCTP, which are not tried: {', '.join(sctp)}")
    return _Named(
        tuple(each for each in numbers if each[1] != "SCTP"), tuple(each for each in names if each[1] != "SCTP")
    )


def _numbered(judge: Judge, named: Collection[_Named]) -> dict[tuple[str, str], int]:
    """A number of ours for each port that is named by name, which no rule names by number; a name is for one protocol."""
    taken = {port for each in named for port, _ in each.numbers}
    free = (port for port in itertools.count(_FIRST_NAMED) if port not in taken)
    found: dict[str, str] = {}
    for name, protocol in sorted({name for each in named for name in each.names}):
        if found.setdefault(name, protocol) != protocol:
            judge.note(f"egress rules name port {name} of {found[name]} and of {protocol}: only the first one is tried")
    return dict(zip(found.items(), free, strict=False))


def _canaries(judge: Judge, pool: Pool, ports: Iterable[int], by_name: Mapping[tuple[str, str], int]) -> list[Pod]:
    """A pod of ours on each node, in a namespace that is none of the stack's, that listens on all of these.

    One that does not come to run is recorded as such.
    """
    listens = (
        *((port, "", "") for port in sorted(ports)),
        *((port, protocol, name) for (name, protocol), port in by_name.items()),
    )
    home = pool.namespace("canary")
    specs = {
        node.name: PodSpec(home, node=node.name, ports=listens, purpose="canary")
        for node in nodes_in_reach(pool).answering
    }
    found = dict(zip(specs, pool.lease_each(*specs.values()), strict=True))
    for node, error in found.items():
        if isinstance(error, ProbeError):
            tell_absent(judge.case(f"a pod of another namespace on {node}"), error, tried="reach it")
    return [pod for pod in found.values() if isinstance(pod, Pod)]


def _at(canary: Pod, address: str, port: int, protocol: str) -> Task:
    return Udp(address, port) if protocol == "UDP" else Tcp(address, port, expect=canary.nonce)


@sabotage(
    test_net_egress_deny,
    kills={"blast-radius": ("-> endpoint:kubelet on",), "net-controlplane": (), "net-metadata": ()},
)
def egress_allowed_to_all(
    cluster: Cluster, stack: Stack, attacker: Callable[..., Pod], twin: Callable[[Workload], Pod]
) -> Iterator[Evidence]:
    """A policy that allows all egress is added to the namespaces of the stack: policies add up."""
    with let_out(cluster.api, stack, twin, allow_egress, lambda: attacker().canary) as proof:
        yield proof


@sabotage(test_net_egress_deny, shows=(f", {_SABOTAGED}/TCP",))
def egress_allowed_by_one_port(
    cluster: Cluster, stack: Stack, pool: Pool, twin: Callable[[Workload], Pod]
) -> Iterator[Evidence]:
    """A policy that allows egress to all pods of the cluster, on one port, is added to the namespaces of the stack."""
    listens = PodSpec(pool.namespace("canary"), ports=((_SABOTAGED, "", ""),), purpose="canary")

    def task() -> Task:
        (canary,) = pool.lease(listens)
        return _at(canary, canary.address, _SABOTAGED, "TCP")

    with let_out(cluster.api, stack, twin, lambda name: allow_egress_to_pods(name, _SABOTAGED), task) as proof:
        yield proof
