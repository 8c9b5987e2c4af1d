"""The kubelet answers nobody without credentials.

A kubelet that lets anonymous requests in and authorises all of them runs commands in every container of its node for
anybody who can reach port 10250. One that lets them in and then forbids them (403) gives nothing away, and is one wrong binding
away from that, so it counts as breached, of severity medium: only 401 shows that anonymous requests are off. The list of pods is asked for without credentials on
every node, from a pod; the body is not read.

Remediation: set `authentication.anonymous.enabled: false` and `authorization.mode: Webhook` in every node's
KubeletConfiguration.

```yaml
# kind.yaml
kubeadmConfigPatches:
  - |
    kind: KubeletConfiguration
    authentication:
      anonymous:
        enabled: false
      webhook:
        enabled: true
    authorization:
      mode: Webhook
```

Sources: CIS Kubernetes Benchmark 4.2.1; https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pytest_k8ssec.agent.tasks import Http
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.clusters.ports import KUBELET_PORT
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.evidence.causes import FieldCheck, Setting
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.identities import auditor
from pytest_k8ssec.probes.kubelets import configured, kubelet_request
from pytest_k8ssec.probes.nodes_in_reach import nodes_to_judge
from pytest_k8ssec.verdict import Judge

_THROUGH = {200: True, 401: False}
_LET_IN = "is taken for system:anonymous instead of being turned away by 401; only its authoriser refuses"


_SET_WRONG = Setting("kubelet", FieldCheck((("authentication", "anonymous", "enabled"),), bad=(True,)))


@control(
    severity=Severity.CRITICAL,
    subject="cluster",
    cis=("4.2.1",),
    others=("KHV036", "KHV052", "C-0172", "MS-TA9030"),
    apart=True,
    dimensions=("node", "address"),
    blames=(Setting,),
)
def test_kubelet_anon(judge: Judge, pool: Pool, attacker: Callable[..., Pod]) -> None:
    """Ask every node's kubelet for its pods, without credentials and as somebody who may."""
    reader = auditor(pool)
    doors = [(node, address) for node in nodes_to_judge(judge, pool) for address in node.addresses]
    tasks = [
        task
        for node, address in doors
        for task in (
            Http(address, KUBELET_PORT, "/pods"),
            kubelet_request(address, "/pods", reader, "as our auditor"),
        )
    ]
    for node, address in doors:
        judge.coverage.exists(node=node.name, address=address)
    answers = attacker().probe(*tasks)
    for (node, address), anonymous, authorised in zip(doors, answers[::2], answers[1::2], strict=True):
        at = {"node": node.name, "address": address}
        case = judge.case(f"kubelet on {node.name} ({address})", causes=[_SET_WRONG])
        case.positive(
            "an authorised client gets the list from the same pod", authorised, succeeded=authorised.status == 200
        )
        if anonymous.status == 403:
            told = replace(anonymous, detail=_LET_IN)
            case.attack(
                "send an anonymous request at all (CIS 4.2.1)", told, through=True, severity=Severity.MEDIUM, at=at
            )
        else:
            case.attack("GET /pods", anonymous, through=_THROUGH.get(anonymous.status or 0), at=at)


def _lets_anonymous_in(cluster: Cluster) -> Evidence:
    enabled, evidence = configured(cluster, cluster.nodes[-1], "authentication", "anonymous", "enabled")
    if enabled is not True:
        raise SabotageError(f"kubelet on {cluster.nodes[-1].name}: anonymous requests are not enabled")
    return evidence


@sabotage(
    test_kubelet_anon,
    shows=("send an anonymous request at all",),
    hidden_by=("kubelet-allows-always",),
    proof=_lets_anonymous_in,
)
def anonymous_kubelet(config: KindConfig) -> None:
    """Every kubelet lets anonymous requests in."""
    config.kubelet(authentication={"anonymous": {"enabled": True}})
