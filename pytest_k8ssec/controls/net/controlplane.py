"""A workload of the stack reaches no port of the control plane and of the kubelets.

The API server, the kubelets and etcd each have locks of their own, and a pod that can talk to them can try every one,
with whatever token it finds and with the next flaw that is found in them. Hardly any workload has to. A twin of each
workload, on each node on which its pods stand, for which the same policies hold, connects to 6443, 10250 and 2379 at every
address of every node; to each other TCP port on which an API server, a kubelet, etcd, a controller manager or a scheduler
listens there, on more than loopback; and to the Service `kubernetes`, as some engines apply a policy to a Service's own
address. A pod of ours on the same node, for which no policy holds, shows which of them can be reached at that moment. The
others are reported as evidence, and give no verdict.

Workloads whose service account is declared a client of the API, by the annotation `k8ssec.dev/api-client`, may reach
the API servers; one that has to reach all is declared in `[tool.k8ssec.allow.net-controlplane]` as `"namespace/workload" =
"reason"`.

Remediation: a NetworkPolicy that denies egress by default (see net-egress-deny), with no exception that holds the
nodes' addresses: `0.0.0.0/0` for "the internet" holds them, so list them under `except`.

```yaml
# beside the policy that denies all egress
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: internet
spec:
  podSelector: {matchLabels: {app.kubernetes.io/name: shop}}
  policyTypes: [Egress]
  egress:
    - to:
        - ipBlock:
            cidr: 0.0.0.0/0
            except: [10.0.0.0/8, 100.64.0.0/10, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16]
      ports:
        - port: 443
```

Sources: https://kubernetes.io/docs/concepts/security/api-server-bypass-risks/;
https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_k8ssec.agent.tasks import Tcp
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.clusters.ports import API_SERVER_PORT, ETCD_PORT, KUBELET_PORT
from pytest_k8ssec.controls.net import WorkloadSuspect, tried, workloads_on_trial
from pytest_k8ssec.evidence import Evidence, Facts, got_through
from pytest_k8ssec.evidence.causes import Flow
from pytest_k8ssec.facts.node import heard_by_others
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.nodes_in_reach import nodes_to_judge
from pytest_k8ssec.probes.policy_enforcement import allow_egress
from pytest_k8ssec.sabotages.egress import let_out
from pytest_k8ssec.stack import Stack, Workload
from pytest_k8ssec.verdict import Judge

_API_SERVER = "kube-apiserver"
_SERVICE = "kubernetes"
"""Every cluster has it in the namespace default (https://kubernetes.io/docs/concepts/architecture/control-plane-node-communication/)."""
_SERVERS = (_API_SERVER, "kubelet", "etcd", "kube-controller", "kube-scheduler")
"""As far as the kernel tells names."""
_PORTS = {API_SERVER_PORT: _API_SERVER, KUBELET_PORT: "kubelet", ETCD_PORT: "etcd"}
"""Asked everywhere, as nobody tells what listens on a node that can't be entered."""


@control(
    severity=Severity.HIGH,
    subject="stack",
    others=("MS-TA9029",),
    dimensions=("workload", "source", "node", "address", "port"),
    blames=(Flow,),
)
def test_net_controlplane(judge: Judge, stack: Stack, pool: Pool, allowed: Mapping[str, str]) -> None:
    """Let a twin of each workload connect to each node's API server, kubelet and etcd."""
    clients = {str(account): account.api_client for account in stack.service_accounts if account.api_client}
    suspects = workloads_on_trial(judge, stack, pool, allowed)
    doors = _doors(pool.cluster, nodes_to_judge(judge, pool)) if suspects else {}

    def may_reach_them(suspect: WorkloadSuspect) -> str:
        account = f"{suspect.workload.namespace}/{suspect.workload.service_account}"
        return f"{account} is declared a client of the API: {clients[account]}" if account in clients else ""

    def ways(suspect: WorkloadSuspect) -> list[_Door]:
        but = _API_SERVER if may_reach_them(suspect) else ""
        return [door for door, by in doors.items() if by != but]

    for note in dict.fromkeys(filter(None, map(may_reach_them, suspects))):
        judge.note(note)
    for suspect in suspects:
        for door in ways(suspect):
            suspect.exists(judge, **door.at)
    for suspect, answers, shown in tried(suspects, lambda each: [Tcp(door.address, door.port) for door in ways(each)]):
        tried_here = [*zip(ways(suspect), answers, shown, strict=True)]
        # A Service leads to API servers alone: where nothing of any node was in reach, nobody knows of its doors.
        no_node = not any(got_through(known) for door, _, known in tried_here if not door.is_service)
        for door, answer, known in tried_here:
            case = judge.case(
                f"{suspect.name}: {answer.request} of {door.node}", required=no_node and not door.is_service
            )
            suspect.attack(case, "connect", answer, known, Tcp(door.address, door.port), **door.at)
            suspect.gated(case)


@dataclass(frozen=True, slots=True)
class _Door:
    """One port of the control plane at one address."""

    node: str
    """Or the Service that leads to nodes."""
    address: str
    port: int

    @property
    def is_service(self) -> bool:
        """Whether it leads to whichever API server there is, and not to a node's port."""
        return self.node == f"Service {_SERVICE}"

    @property
    def at(self) -> Facts:
        """Its values in the control's dimensions."""
        return {"node": self.node, "address": self.address, "port": self.port}


def _doors(cluster: Cluster, nodes: Sequence[Node]) -> dict[_Door, str]:
    """What there is to connect to, and whose it is.

    Raises:
        ProbeError: a node could not tell who listens.
        ClusterError: the API server did not answer as it should.
    """
    spec = cluster.api.get(f"/api/v1/namespaces/default/services/{_SERVICE}")["spec"]
    found = {
        _Door(f"Service {_SERVICE}", address, port["port"]): _API_SERVER
        for address in spec.get("clusterIPs") or [spec["clusterIP"]]
        for port in spec["ports"]
    }
    for node in nodes:
        heard = heard_by_others(cluster, node) if node.container else []
        ports = {**_PORTS, **{each.port: each.process for each in heard if each.process in _SERVERS}}
        found |= {_Door(node.name, address, port): by for address in node.addresses for port, by in ports.items()}
    return found


@sabotage(test_net_controlplane, kills={"blast-radius": ("-> endpoint:kubelet on",)})
def egress_allowed_to_nodes(cluster: Cluster, stack: Stack, twin: Callable[[Workload], Pod]) -> Iterator[Evidence]:
    """A policy that allows egress to the nodes' addresses is added to the namespaces of the stack."""
    addresses = [address for node in cluster.nodes for address in node.addresses]

    def policy(namespace: str) -> Body:
        return allow_egress(namespace, *addresses)

    with let_out(cluster.api, stack, twin, policy, lambda: Tcp(addresses[0], KUBELET_PORT)) as proof:
        yield proof
