"""A pod that asks for no seccomp profile runs under one.

Without a profile a container may make every system call there is, and most ways out of a container begin with a call
that no service needs. Kubernetes starts a pod that asks for no profile without one, unless the kubelet is told to give
it the runtime's profile. On each node a pod of ours without a profile reads from the kernel what it runs under
(`Seccomp: 2` in /proc/self/status means a filter); another one, which asks to be unconfined, must be seen to be so.

Privileged containers are never confined, whatever the kubelet does: admission keeps those out.

Remediation: set `seccompDefault: true` in every node's KubeletConfiguration.

```yaml
# kind.yaml
kubeadmConfigPatches:
  - |
    kind: KubeletConfiguration
    seccompDefault: true
```

Sources: CIS Kubernetes Benchmark 4.2.14, 5.6.2; https://kubernetes.io/docs/tutorials/security/seccomp/
"""

from __future__ import annotations

from pytest_k8ssec.agent.tasks import Privileges
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.evidence.causes import FieldCheck, Setting
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.identities import api_evidence
from pytest_k8ssec.probes.nodes_in_reach import nodes_to_judge
from pytest_k8ssec.verdict import Judge

_UNCONFINED, _FILTERED = 0, 2
"""Seccomp modes (https://man7.org/linux/man-pages/man5/proc_pid_status.5.html)."""


_SET_WRONG = Setting("kubelet", FieldCheck((("seccompDefault",),), bad=(False,), unset=True))


@control(
    severity=Severity.MEDIUM,
    subject="cluster",
    cis=("4.2.14", "5.6.2"),
    nsa=("N1",),
    mitre=("T1611",),
    others=("C-0210",),
    apart=True,
    dimensions=("node",),
    blames=(Setting,),
)
def test_node_seccomp(judge: Judge, pool: Pool) -> None:
    """On each node, read what a pod without a profile runs under, and one that asks to be unconfined."""
    namespace, nodes = pool.namespace("canary"), nodes_to_judge(judge, pool)
    for node in nodes:
        judge.coverage.exists(node=node.name)
    specs = [
        PodSpec(namespace, node=node.name, seccomp=profile, purpose="seccomp")
        for node in nodes
        for profile in ("", "Unconfined")
    ]
    pods = pool.lease(*specs)
    for node, silent, unconfined in zip(nodes, pods[::2], pods[1::2], strict=True):
        (seen,), (found,) = unconfined.probe(Privileges()), silent.probe(Privileges())
        case = judge.case(f"kubelet on {node.name}", causes=[_SET_WRONG])
        case.positive("a pod that asks to be unconfined is seen to be", seen, succeeded=_mode(seen) == _UNCONFINED)
        through = {_UNCONFINED: True, _FILTERED: False}.get(_mode(found))
        case.attack("run without a profile", found, through=through, at={"node": node.name})


def _mode(answer: Evidence) -> int:
    """What a process runs under; -1 where it could not tell."""
    return int(answer.facts.get("seccomp", -1))


def _no_default(cluster: Cluster) -> Evidence:
    name = cluster.nodes[-1].name
    path = f"/api/v1/nodes/{name}/proxy/configz"
    answer = cluster.api.request("GET", path)
    if answer.body.get("kubeletconfig", {}).get("seccompDefault", False) is not False or not answer.ok:
        raise SabotageError(f"kubelet on {name}: still has a default seccomp profile")
    return api_evidence("", f"GET {path}: seccompDefault false", answer)


@sabotage(test_node_seccomp, proof=_no_default)
def unconfined_by_default(config: KindConfig) -> None:
    """The kubelets start pods that ask for no profile without one."""
    config.kubelet(seccompDefault=False)
