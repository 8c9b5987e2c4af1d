"""A workload of the stack can send nothing to places that it has no need to reach.

An attacker in a container needs a way out: to fetch tools, to carry data away, to look round the cluster. Without a
default deny of egress nothing blocks it. A twin of each workload, for which the same policies hold, tries a pod of ours
in another namespace, over TCP and UDP, and a listener of ours outside the cluster: at a port of its own, at 53, 80 and
443, and at the first eight ports that an egress rule of its namespace names, as a policy may allow egress to everywhere
on one port. A pod of ours on the same node, for which no policy holds, must reach all of them at that moment, and the
twin must get an answer from DNS: so it is not merely cut off.

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

from collections.abc import Callable, Iterator, Mapping

from pytest_k8ssec.agent.tasks import Resolve, Task, Udp
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.controls.net import WorkloadSuspect, tried, workloads_on_trial
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.facts.listening_ports import Port
from pytest_k8ssec.facts.policies import egress_ports
from pytest_k8ssec.pods.manifests import CANARY_PORT, PodSpec
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.outside_listener import outside_listener
from pytest_k8ssec.probes.policy_enforcement import allow_egress
from pytest_k8ssec.sabotages.egress import let_out
from pytest_k8ssec.stack import Stack, Workload
from pytest_k8ssec.verdict import Judge

_ALWAYS = ((CANARY_PORT, "TCP"), (53, "TCP"), (53, "UDP"), (80, "TCP"), (443, "TCP"))
_FURTHER = 8
"""How many ports of a namespace's own rules are tried."""


@control(severity=Severity.HIGH, subject="stack", cis=("5.3.2",), others=("C-0030",))
def test_net_egress_deny(judge: Judge, cluster: Cluster, stack: Stack, pool: Pool, allowed: Mapping[str, str]) -> None:
    """Let a twin of each workload reach for a pod of another namespace, and for the outside."""
    suspects = workloads_on_trial(judge, stack, pool, allowed)
    (canary,) = pool.lease(PodSpec(pool.namespace("canary"), purpose="canary"))
    families = {":" in address for address in canary.addresses}
    named = {each: _named(cluster, each) for each in {suspect.workload.namespace for suspect in suspects}}
    outside = outside_listener(cluster, (*_ALWAYS, *(port for ports in named.values() for port in ports)))
    if lacking := families - {":" in task.host for tasks in outside.values() for task in tasks}:
        family = "IPv6" if True in lacking else "IPv4"
        raise ProbeError(f"listener outside the cluster: has no {family} address, and pods have one")

    def ways(suspect: WorkloadSuspect) -> dict[str, Task]:
        further = dict.fromkeys((*_ALWAYS, *named[suspect.workload.namespace]))
        return {
            **{
                f"a pod of another namespace, {type(task).__name__.upper()}{_by(task.host)}": task
                for address, tcp in zip(canary.addresses, canary.canaries, strict=True)
                for task in (tcp, Udp(address, CANARY_PORT))
            },
            **{
                f"the outside, {port}/{protocol}{_by(task.host)}": task
                for port, protocol in further
                for task in outside[port, protocol]
                if (":" in task.host) in families
            },
        }

    for suspect, (dns, *answers), (_, *shown) in tried(suspects, lambda each: (Resolve(), *ways(each).values())):
        case = judge.case(suspect.name)
        for what, answer, known in zip(ways(suspect), answers, shown, strict=True):
            suspect.attack(case, f"reach {what}", answer, known)
        case.positive("it gets an answer from DNS", dns, succeeded=dns.outcome is Outcome.DONE)
        suspect.gated(case)


def _by(address: str) -> str:
    return " by IPv6" if ":" in address else ""


def _named(cluster: Cluster, namespace: str) -> list[Port]:
    """The first ports that egress rules of a namespace name: where one of them lets out too far, that is by these."""
    policies = cluster.api.list(f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies")
    return [port for port in egress_ports(policies) if port[1] != "SCTP"][:_FURTHER]


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
