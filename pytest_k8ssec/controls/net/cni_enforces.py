"""The cluster's network enforces NetworkPolicies.

Every API server accepts NetworkPolicy objects; whether anything enforces them is up to the network plugin. A cluster
whose plugin does not, or whose policy engine has stopped, looks perfectly segmented and is flat. Two canary namespaces of
ours are cut off from each other and joined again, with traffic sent at each step: TCP and UDP, on each node and from each
node to the next, ingress and egress. All other controls of the network rest on this one.

How long enforcement took is in the evidence. A policy engine that has stopped leaves its rules in place for the pods it
knew: only new pods show it, so the canaries are new ones.

Remediation: use a network plugin that enforces NetworkPolicies (kindnet, Calico, Cilium, kube-router, ...), run its
policy engine on every node, and alert when one of its pods is not ready.

```yaml
# kind.yaml: kind's own network plugin enforces policies; `true` where another one is installed that does
networking:
  disableDefaultCNI: false
```

Sources: CIS Kubernetes Benchmark 5.3.1; https://kubernetes.io/docs/concepts/services-networking/network-policies/#prerequisites
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.api import Body, KubeApi
from pytest_k8ssec.clusters.headers import MERGE_PATCH
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence, got_through
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.identities import api_evidence
from pytest_k8ssec.probes.nodes_in_reach import nodes_to_judge
from pytest_k8ssec.probes.policy_enforcement import (
    ACROSS,
    DENY_EGRESS,
    DENY_INGRESS,
    NEAR,
    CanaryPath,
    PolicyStep,
    enforcement,
)
from pytest_k8ssec.verdict import Judge

_SYSTEM = "/apis/apps/v1/namespaces/kube-system/daemonsets"
_ENGINES = ("kube-router", "kindnet", "calico-node", "cilium")
_NOWHERE = {"k8ssec.dev/nowhere": "true"}
_SECONDS = 60


_DIRECTIONS = {DENY_INGRESS: "ingress", DENY_EGRESS: "egress"}


@control(
    severity=Severity.CRITICAL,
    subject="cluster",
    cis=("5.3.1",),
    others=("C-0205",),
    slow=True,
    apart=True,
    dimensions=("node", "direction", "route", "protocol", "family"),
)
def test_net_cni_enforces(judge: Judge, pool: Pool) -> None:
    """Traffic between canaries stops under a policy and flows again without it."""
    steps = enforcement(pool)
    nodes = nodes_to_judge(judge, pool)  # each has an engine of its own, and those that answer nobody were not tried
    families = {":" in address for address in pool.attacker().addresses}
    routes = (NEAR, ACROSS) if len(nodes) > 1 else (NEAR,)
    for node, direction, route, protocol, v6 in product(nodes, _DIRECTIONS.values(), routes, ("TCP", "UDP"), families):
        judge.coverage.exists(node=node.name, direction=direction, route=route, protocol=protocol, family=_family(v6))
    case = judge.case("two canary namespaces")
    for step in steps:
        for path, evidence in step.attempts:
            what = f"{step.name}: {path}"  # how long it took is in the note: no two runs have that in common
            if step.open_expected:
                case.positive(what, evidence, succeeded=got_through(evidence))
            else:
                case.attack(what, evidence, through=got_through(evidence), at=_at(step, path))
    judge.note("; ".join(f"{step.name}: {step.milliseconds:.0f} ms" for step in steps))


def _family(v6: bool) -> str:  # noqa: FBT001 - a key of what it names
    return "IPv6" if v6 else "IPv4"


def _at(step: PolicyStep, path: CanaryPath) -> dict[str, str]:
    """Whose engine a step tries: for ingress that of the target's node, for egress that of the source's."""
    direction = _DIRECTIONS[step.name]
    node = path.target if direction == "ingress" else path.source
    rest = {"route": path.route, "protocol": path.protocol, "family": _family(path.v6)}
    return {"node": node, "direction": direction, **rest}


@sabotage(
    test_net_cni_enforces,
    kills=("blast-radius",),
    blinds=("net-controlplane", "net-egress-deny", "net-ingress-deny", "net-metadata"),
    alone=True,
)
def policy_engine_stopped(cluster: Cluster) -> Iterator[Evidence]:
    """The network plugin's policy engine runs on no node any more: rules stay for old pods, new pods go free."""
    engine = _engine(cluster.api)
    _place(cluster.api, engine, _NOWHERE)
    try:
        yield api_evidence(
            "", f"read daemonset kube-system/{engine}", cluster.api.request("GET", f"{_SYSTEM}/{engine}")
        )
    finally:
        _place(cluster.api, engine, dict.fromkeys(_NOWHERE))


def _engine(api: KubeApi) -> str:
    found = [each["metadata"]["name"] for each in api.list(_SYSTEM) if each["metadata"]["name"] in _ENGINES]
    if not found:
        raise SabotageError(f"policy engine: none of {', '.join(_ENGINES)} runs in kube-system")
    return str(found[0])


def _place(api: KubeApi, engine: str, selector: dict[str, str] | dict[str, None]) -> None:
    """Change where the engine may run, and wait until its pods have followed."""
    patch = {"spec": {"template": {"spec": {"nodeSelector": selector}}}}
    headers = MERGE_PATCH
    changed = api.call("PATCH", f"{_SYSTEM}/{engine}", body=patch, headers=headers)

    def settled(found: Body | None) -> bool:
        status = (found or {}).get("status", {})
        if status.get("observedGeneration", 0) < changed["metadata"]["generation"]:
            return False
        wanted, ready = status.get("desiredNumberScheduled", 0), status.get("numberReady", 0)
        gone = None in selector.values() or status.get("currentNumberScheduled", 0) == 0
        return bool(wanted == ready and status.get("updatedNumberScheduled", 0) == wanted and gone)

    api.wait(_SYSTEM, engine, settled, deadline=_SECONDS, what=f"daemonset {engine}: did not follow its node selector")
