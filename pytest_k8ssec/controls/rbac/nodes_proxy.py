"""No service account of the stack reaches the kubelets' own API.

The right to `nodes/proxy`, often given for metrics, is the right to everything that a kubelet does: to run commands in
every container of its node, past admission and past the API server's audit log. `get` alone is enough, as a WebSocket
begins with a GET. Each of the stack's service accounts asks every node's kubelet, at each of its addresses, with a token of
its own and from a pod, to run a command in a pod that does not exist: 404 means that it might, 403 that it may not. It also asks through
the API server's proxy. Our auditor, who may, sends the same requests from the same place.

Remediation: take `nodes/proxy` (and `nodes/*`, `*`) out of the role that the account is bound to; what reads metrics,
logs or statistics needs `nodes/metrics`, `nodes/log`, `nodes/stats`. An agent that needs it is declared in
`[tool.k8ssec.allow.rbac-nodes-proxy]` as `"namespace/serviceaccount" = "reason"`.

```yaml
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: node-metrics
rules:
  - apiGroups: [""]
    resources: [nodes/metrics, nodes/stats]
    verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: node-metrics
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: node-metrics}
subjects:
  - {kind: ServiceAccount, name: metrics, namespace: monitoring}
```

Sources: CIS Kubernetes Benchmark 5.1.10; https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pytest_k8ssec.agent.tasks import Http
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.clusters.ports import KUBELET_PORT
from pytest_k8ssec.clusters.rbac_objects import rule
from pytest_k8ssec.controls.rbac import accounts_on_trial
from pytest_k8ssec.evidence import Evidence, Facts
from pytest_k8ssec.evidence.causes import Right
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.escalation import has_the_right
from pytest_k8ssec.probes.identities import NOBODY, Identity, auditor
from pytest_k8ssec.probes.nodes_in_reach import nodes_to_judge
from pytest_k8ssec.sabotages.grants import default_account, granted
from pytest_k8ssec.stack import ServiceAccount, Stack
from pytest_k8ssec.verdict import Case, Judge

_RUN = f"/exec/default/{NOBODY}/{NOBODY}?command=true&output=1"
_THROUGH = {200: True, 400: True, 404: True, 403: False}
_METHODS = ("GET", "POST")
_PROXY = "through the API server"


@control(
    severity=Severity.HIGH,
    subject="stack",
    cis=("5.1.10",),
    mitre=("T1609",),
    others=("C-0279", "KSV-0047"),
    apart=True,
    dimensions=("account", "node", "address", "method"),
    blames=(Right,),
)
def test_rbac_nodes_proxy(
    judge: Judge,
    cluster: Cluster,
    stack: Stack,
    pool: Pool,
    attacker: Callable[..., Pod],
    allowed: Mapping[str, str],
) -> None:
    """Let each service account ask each kubelet to run a command, directly and through the API server."""
    nodes = nodes_to_judge(judge, pool)
    exist = [_at(node, address, method) for node in nodes for address in node.addresses for method in _METHODS]
    exist += [_at(node, _PROXY, "GET") for node in nodes]
    may, trials = auditor(pool), list(accounts_on_trial(judge, cluster, stack, allowed, exist))
    ways = [(node, address, method) for node in nodes for address in node.addresses for method in _METHODS]
    everybody = [may, *(identity for _, identity, _ in trials)]
    answers = iter(attacker().probe(*(_directly(who, *way) for who in everybody for way in ways)))
    shown, *told = [dict(zip(ways, answers, strict=False)) for _ in everybody]
    for (account, identity, case), heard in zip(trials, told, strict=True):
        for (node, address, method), answer in heard.items():
            what = f"{method} a command at the kubelet on {node.name}{_by(node, address)}"
            at = {"account": account, **_at(node, address, method)}
            asked = Right(identity.user, "get" if method == "GET" else "create", "nodes/proxy", name=node.name)
            case.attack(what, answer, through=_through(answer), at=at, cause=asked)
        for known in (answer for (*_, method), answer in shown.items() if method == "GET"):
            case.positive("our auditor gets through from the same pod", known, succeeded=_through(known))
        for node in nodes:
            _proxied(case, account, identity, may, node)


def _at(node: Node, address: str, method: str) -> Facts:
    return {"node": node.name, "address": address, "method": method}


def _by(node: Node, address: str) -> str:
    """Which of its addresses, where that is not the first."""
    return f", {address}" if address != node.address else ""


def _proxied(case: Case, account: ServiceAccount, identity: Identity, may: Identity, node: Node) -> None:
    """Through the API server, which asks whether the caller may and then calls the kubelet as itself."""
    path = f"/api/v1/nodes/{node.name}/proxy/healthz"
    answer, known = identity.attempt("GET", path), may.attempt("GET", path)
    at = {"account": account, **_at(node, _PROXY, "GET")}
    case.attack(f"the kubelet on {node.name} through the API server", answer, through=has_the_right(answer), at=at)
    case.positive("our auditor gets through the API server", known, succeeded=_through(known))


def _directly(identity: Identity, _node: Node, address: str, method: str) -> Http:
    return Http(address, KUBELET_PORT, _RUN, method=method, headers=identity.bearer, identity=f"as {identity.user}")


def _through(answer: Evidence) -> bool | None:
    return _THROUGH.get(answer.status or 0)


@sabotage(test_rbac_nodes_proxy)
def default_account_reaches_kubelets(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The default service account of one of the stack's namespaces may `get` nodes/proxy."""
    account = default_account(stack)
    with granted(cluster, account, rule("get", "nodes/proxy")) as proof:
        yield proof
