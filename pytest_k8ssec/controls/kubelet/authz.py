"""The kubelet lets nobody in who merely has a token.

A kubelet that authorises every authenticated request (`authorization.mode: AlwaysAllow`) lists the pods of its node and
runs commands in each of their containers for whoever holds any token of the cluster: every pod that mounts one. On every
node, at each of its addresses, the token of a service account without any right asks for the list of pods, for what else
the kubelet authorises by itself (metrics, statistics, logs, its configuration), and to run `true` in a container that
does not exist: 403 comes before the kubelet looks for the container, 404 or 400 after the kubelet has authorised the
request.

Only 403 is a refusal. 401 would mean that the kubelet can't check tokens at all, so it gives no verdict. An identity
that may read the list, and gets it from the same pod at the same moment, shows that the kubelet can check them.

Remediation: set `authorization.mode: Webhook` in every node's KubeletConfiguration, and bind nothing that grants
`nodes/proxy` to groups such as system:authenticated or system:serviceaccounts.

```yaml
# kind.yaml
kubeadmConfigPatches:
  - |
    kind: KubeletConfiguration
    authorization:
      mode: Webhook
```

Sources: CIS Kubernetes Benchmark 4.2.2;
https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/#kubelet-authorization
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, product

from pytest_k8ssec.agent.tasks import Task
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.evidence.causes import FieldCheck, Setting
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.identities import Identity, auditor, nobody
from pytest_k8ssec.probes.kubelets import configured, kubelet_request
from pytest_k8ssec.probes.nodes_in_reach import nodes_to_judge
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import Judge

_PODS = "/pods"
_TRIED = {
    "list its pods": _PODS,
    "read its metrics": "/metrics",
    "read the statistics of its pods": "/stats/summary",
    "look at its logs": "/logs/",
    "read its configuration": "/configz",
    "run a command in a container that does not exist": "/exec/kube-system/k8ssec-nope/nope?command=true&output=1",
}
"""One for each subresource of nodes that a kubelet may ask an authoriser for: a binding may give one alone."""
_THROUGH = {200: True, 400: True, 404: True, 403: False}


_SET_WRONG = Setting("kubelet", FieldCheck((("authorization", "mode"),), bad=("AlwaysAllow",)))


@control(
    severity=Severity.CRITICAL,
    subject="cluster",
    cis=("4.2.2",),
    others=("KHV039", "KHV040", "C-0173"),
    apart=True,
    dimensions=("node", "address", "request"),
    blames=(Setting,),
)
def test_kubelet_authz(
    judge: Judge,
    deployed: Stack | None,  # noqa: ARG001 - what a stack grants to every service account is judged too
    pool: Pool,
    attacker: Callable[..., Pod],
) -> None:
    """Ask every node's kubelet with the token of an account without rights, from a pod."""
    stranger, reader = nobody(pool), auditor(pool)
    known = stranger.who_am_i()
    doors = [(node, address) for node in nodes_to_judge(judge, pool) for address in node.addresses]
    for (node, address), what in product(doors, _TRIED):
        judge.coverage.exists(node=node.name, address=address, request=what)
    told = iter(attacker().probe(*(task for _, address in doors for task in _asked(address, stranger, reader))))
    for node, address in doors:
        authorised, *answers = islice(told, 1 + len(_TRIED))
        case = judge.case(f"kubelet on {node.name} ({address})", causes=[_SET_WRONG])
        case.positive("the token is valid", known, succeeded=stranger.is_itself(known))
        case.positive(
            "it checks tokens: one that may read gets the list", authorised, succeeded=authorised.status == 200
        )
        for what, answer in zip(_TRIED, answers, strict=True):
            at = {"node": node.name, "address": address, "request": what}
            case.attack(what, answer, through=_THROUGH.get(answer.status or 0), at=at)


def _asked(address: str, stranger: Identity, reader: Identity) -> Iterator[Task]:
    """The list of pods by who may read it, then all that is tried by who may nothing."""
    yield kubelet_request(address, _PODS, reader, "as our auditor")
    for path in _TRIED.values():
        yield kubelet_request(address, path, stranger, "as an account without rights")


def _allows_always(cluster: Cluster) -> Evidence:
    mode, evidence = configured(cluster, cluster.nodes[-1], "authorization", "mode")
    if mode != "AlwaysAllow":
        raise SabotageError(f"kubelet on {cluster.nodes[-1].name}: its authorization mode is {mode}")
    return evidence


@sabotage(test_kubelet_authz, proof=_allows_always)
def kubelet_allows_always(config: KindConfig) -> None:
    """Every kubelet authorises whoever is authenticated."""
    config.kubelet(authorization={"mode": "AlwaysAllow"})
