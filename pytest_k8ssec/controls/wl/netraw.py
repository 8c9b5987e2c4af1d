"""No process of the stack can forge or overhear packets.

With a raw socket a process writes packets that claim to come from others: ARP and DNS answers by which it gets its
neighbours' traffic. Runtimes give the capability for it, NET_RAW, to every container that does not drop it, though
hardly anything but ping uses it. A twin of each container of the stack opens a packet socket and a raw ICMP socket;
nothing is sent. And if the kernel lets the twin's programs gain privileges, none of them may gain NET_RAW when it is
started, as a setuid ping does for a user who is not root. A pod of ours on the same node that may do everything does
the same, and must get through.

Remediation: `capabilities.drop: [ALL]` (or `[NET_RAW]`) in each container's securityContext. A workload that needs it
is declared in `[tool.k8ssec.allow.wl-netraw]` as `"namespace/workload" = "reason"`.

```yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
spec:
  selector: {matchLabels: {app.kubernetes.io/name: shop}}
  template:
    metadata: {labels: {app.kubernetes.io/name: shop}}
    spec:
      containers:
        - name: shop
          image: registry.example.com/shop:1.0
          securityContext:
            capabilities: {drop: [ALL]}
```

Sources: CIS Kubernetes Benchmark 5.2.8; https://man7.org/linux/man-pages/man7/packet.7.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_k8ssec.agent.tasks import Privileges, RawSocket
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.catalogue.declared import Declared
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.controls.wl import CONTAINER_DIMENSIONS, containers_on_trial
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.evidence.causes import Fields
from pytest_k8ssec.facts.capabilities import names
from pytest_k8ssec.facts.culprits.template_fields import KEPT_CAPABILITIES, MAY_GAIN, MORE_CAPABILITIES, PRIVILEGED
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.sabotages.rollout import LOOSENED, deployment, weakened
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import Judge

_TASKS = (RawSocket("packet"), RawSocket("icmp"))
_ALL = (Privileges(), *_TASKS)
_GAIN = "gain NET_RAW by a program"
_CHECKS = ("open a raw socket (packet)", "open a raw socket (icmp)", _GAIN)
_THROUGH = {Outcome.DONE: True, Outcome.DENIED: False}


@control(
    severity=Severity.MEDIUM,
    subject="stack",
    cis=("5.2.8",),
    mitre=("T1557",),
    others=("C-0199", "KHV020", "KHV030"),
    dimensions=CONTAINER_DIMENSIONS,
    blames=(Fields,),
    finding="{case} can {attack}",
)
def test_wl_netraw(judge: Judge, stack: Stack, pool: Pool, allowed: Mapping[str, str]) -> None:
    """Let a twin of each container open raw sockets."""
    with containers_on_trial(judge, stack, pool, Declared(judge, allowed), _CHECKS) as suspects:
        for suspect in suspects:
            (seen, *answers), (free, *shown) = suspect.pod.probe(*_ALL), suspect.unrestricted.probe(*_ALL)
            for task, answer, known in zip(_TASKS, answers, shown, strict=True):
                through = _THROUGH.get(answer.outcome)
                if through and not suspect.user_is_known:
                    through = None  # its twin is root, and it may be nobody
                what = f"open a raw socket ({task.family})"
                given = suspect.set_wrong(PRIVILEGED, MORE_CAPABILITIES, KEPT_CAPABILITIES)
                suspect.case.attack(what, answer, through=through, at=suspect.at(what), cause=given)
                suspect.case.positive("an unrestricted pod does", known, succeeded=_THROUGH.get(known.outcome))
            given = suspect.set_wrong(PRIVILEGED, MORE_CAPABILITIES, KEPT_CAPABILITIES, MAY_GAIN)
            suspect.case.attack(_GAIN, seen, through=_gains(seen), at=suspect.at(_GAIN), cause=given)
            suspect.case.positive("an unrestricted pod may gain it", free, succeeded=_gains(free))


def _gains(seen: Evidence) -> bool | None:
    """Whether a setuid program, or one with capabilities of its own, could have it though the process itself has not."""
    if seen.outcome is not Outcome.DONE:
        return None
    return "NET_RAW" in names(seen.facts["bounding"]) and not seen.facts["no_new_privileges"]


@sabotage(test_wl_netraw, kills=("wl-privilege",), means=LOOSENED)
def net_raw_added(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """A workload of the stack has NET_RAW, and runs as root: added to a process that is not root it changes nothing."""
    security = {"runAsUser": 0, "runAsNonRoot": False, "capabilities": {"drop": ["ALL"], "add": ["NET_RAW"]}}
    with weakened(cluster.api, deployment(cluster.api, stack), container=security) as proof:
        yield proof
