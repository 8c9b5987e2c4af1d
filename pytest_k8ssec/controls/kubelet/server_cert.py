"""Each kubelet proves who it is by a certificate of the cluster's CA.

By default a kubelet signs its serving certificate itself, and then nobody can tell it from an impostor: whoever gets
between the API server and a node reads what `exec`, `logs` and `port-forward` carry, and the tokens that clients send. A
client that trusts the cluster's CA and nothing else, and insists on the address it called, shakes hands with every kubelet
from a pod, at each of its node's addresses. A certificate that does not convince it is a breach.

The API server of the same cluster must convince this client at the same moment, which shows that it can be convinced.
The same kubelet must not convince a client that trusts a made-up CA, which shows that certificates are checked. Whether
the API server itself checks (`--kubelet-certificate-authority`, CIS 1.2.5) is not shown by this: it can't before
kubelets have such certificates.

Remediation: set `serverTLSBootstrap: true` in every node's KubeletConfiguration, and have something approve the nodes'
requests (signer kubernetes.io/kubelet-serving): until then logs and exec do not work.

```yaml
# kind.yaml
kubeadmConfigPatches:
  - |
    kind: KubeletConfiguration
    serverTLSBootstrap: true
---
# kind-after.yaml, beside kind.yaml: what k8ssec does once all nodes have joined
steps:
  - approve-kubelet-serving-certificates
```

Sources: CIS Kubernetes Benchmark 4.2.11;
https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/#certificate-rotation
"""

from __future__ import annotations

from collections.abc import Callable

from pytest_k8ssec.agent.tasks import Trust
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.clusters.ports import API_SERVER_PORT, KUBELET_PORT
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.evidence.causes import FieldCheck, Setting
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.certificates import foreign_certificate
from pytest_k8ssec.probes.kubelets import configured
from pytest_k8ssec.probes.nodes_in_reach import nodes_to_judge
from pytest_k8ssec.verdict import Judge

_CONVINCED = {Outcome.OPEN: True, Outcome.ABSENT: False}


_SET_WRONG = Setting("kubelet", FieldCheck((("serverTLSBootstrap",),), bad=(False,), unset=True))


@control(
    severity=Severity.MEDIUM,
    subject="cluster",
    cis=("4.2.11",),
    mitre=("T1557",),
    others=("C-0183",),
    apart=True,
    dimensions=("node", "address"),
    blames=(Setting,),
)
def test_kubelet_server_cert(judge: Judge, cluster: Cluster, pool: Pool, attacker: Callable[..., Pod]) -> None:
    """Shake hands with every kubelet as a client that trusts the cluster's CA only, from a pod."""
    ca, made_up = cluster.api.ca_file.read_text(), foreign_certificate().certificate
    shown = attacker().probe(
        *(Trust(node.address, API_SERVER_PORT, ca, "the cluster's CA") for node in cluster.nodes if node.control_plane)
    )
    doors = [(node, address) for node in nodes_to_judge(judge, pool) for address in node.addresses]
    for node, address in doors:
        judge.coverage.exists(node=node.name, address=address)
    trusting = ((ca, "the cluster's CA"), (made_up, "a made-up CA"))
    told = attacker().probe(*(Trust(address, KUBELET_PORT, *whom) for _, address in doors for whom in trusting))
    for (node, address), answer, fooled in zip(doors, told[::2], told[1::2], strict=True):
        case = judge.case(f"kubelet on {node.name} ({address})", causes=[_SET_WRONG])
        for each in shown:
            case.positive("the API server convinces this client", each, succeeded=_CONVINCED.get(each.outcome))
        case.positive(
            "nobody convinces one that trusts a made-up CA", fooled, succeeded=fooled.outcome is Outcome.ABSENT
        )
        convinced = _CONVINCED.get(answer.outcome)
        at = {"node": node.name, "address": address}
        case.attack("pass for this kubelet without such a certificate", answer, through=_opposite(convinced), at=at)


def _opposite(convinced: bool | None) -> bool | None:  # noqa: FBT001 - the value that is recorded
    """What a client is content with that the kubelet's own certificate does not give, an impostor gives as well."""
    return None if convinced is None else not convinced


def _signs_itself(cluster: Cluster) -> Evidence:
    asks, evidence = configured(cluster, cluster.nodes[-1], "serverTLSBootstrap")
    if asks:
        raise SabotageError(f"kubelet on {cluster.nodes[-1].name}: still asks the cluster's CA for its certificate")
    return evidence


@sabotage(test_kubelet_server_cert, proof=_signs_itself)
def self_signed_kubelet(config: KindConfig) -> None:
    """Every kubelet signs its serving certificate itself."""
    config.kubelet(serverTLSBootstrap=False)
