"""A workload of the stack does not reach the cloud's metadata service.

At 169.254.169.254 most clouds describe a machine to every process on it, and give out the machine's own credentials: a
pod gets those of its node. One request leads from a container to the cloud account. A twin of each workload, on each
node on which its pods stand, for which the same policies hold, connects there, and by IPv6 at fd00:ec2::254 where pods have
such addresses; nothing is asked. Where a pod of ours on the same node, for which no policy
holds, does not get through at that moment, nothing is known.

On clusters that the run made a listener of ours stands in for the service while the control runs, as kind's nodes have
none, or reach that of their host, which is not part of the cluster. On others the control is not applicable where
nothing answers.

Remediation: deny egress by default (see net-egress-deny), with no exception that holds 169.254.169.254, and have the
cloud answer machines only (on AWS: IMDSv2 with a hop limit of 1), or give pods identities of their own.

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
            except: [169.254.0.0/16, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16]
      ports:
        - port: 443
```

Sources: https://hackingthe.cloud/aws/exploitation/ec2-metadata-ssrf/;
https://docs.aws.amazon.com/eks/latest/best-practices/identity-and-access-management.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.controls.net import tried, workloads_on_trial
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.evidence.causes import Flow
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.cloud_metadata import ADDRESS, ADDRESS_V6, metadata, served
from pytest_k8ssec.probes.policy_enforcement import allow_egress
from pytest_k8ssec.sabotages.egress import let_out
from pytest_k8ssec.stack import Stack, Workload
from pytest_k8ssec.verdict import Judge


@control(
    severity=Severity.HIGH,
    subject="stack",
    mitre=("T1552.005",),
    owasp=("K08:2025",),
    others=("C-0052", "KHV003", "KHV053"),
    dimensions=("workload", "source", "address"),
    blames=(Flow,),
    finding="{case} can {attack}",
)
def test_net_metadata(judge: Judge, cluster: Cluster, stack: Stack, pool: Pool, allowed: Mapping[str, str]) -> None:
    """Let a twin of each workload connect to the metadata service."""
    suspects = workloads_on_trial(judge, stack, pool, allowed)
    free = {suspect.free.source.node: suspect.free for suspect in suspects}
    for suspect in suspects:
        for address in suspect.free.addresses:
            suspect.exists(judge, address=ADDRESS_V6 if ":" in address else ADDRESS)
    with ExitStack() as services:
        for node in (node for node in cluster.nodes if node.name in free):
            judge.note(services.enter_context(served(cluster, node, free[node.name])))
        for suspect, answers, known in tried(suspects, lambda each: metadata(each.free.addresses)):
            case = judge.case(suspect.name)
            for task, answer, shown in zip(metadata(suspect.free.addresses), answers, known, strict=True):
                suspect.attack(case, f"connect to {task.host}", answer, shown, task, address=task.host)
            suspect.gated(case)


@sabotage(test_net_metadata, kills={"blast-radius": ("new edge metadata:",)})
def egress_allowed_to_metadata(
    cluster: Cluster, stack: Stack, attacker: Callable[..., Pod], twin: Callable[[Workload], Pod]
) -> Iterator[Evidence]:
    """A policy that allows egress to the metadata service is added to the namespaces of the stack."""
    with ExitStack() as services:
        for node in cluster.nodes:
            services.enter_context(served(cluster, node, attacker(node=node.name)))
        ways = metadata(attacker().addresses)

        def to_metadata(namespace: str) -> Body:
            return allow_egress(namespace, *(task.host for task in ways))

        with let_out(cluster.api, stack, twin, to_metadata, lambda: ways[0]) as proof:
            yield proof
