"""The walk's positive control: a pod of ours with every weakness, whose way to cluster-admin the same walk must find.

It mounts the token of an account of ours that has every right the walk looks for, and it may do everything on its node. The
rights are granted for the walk alone, and taken away in every ending.
"""

from __future__ import annotations

from typing import Any

from pytest_k8ssec.attack.graph import Graph, Status
from pytest_k8ssec.attack.meter import Bounds
from pytest_k8ssec.attack.placement import Scene
from pytest_k8ssec.attack.walk import Walker, start_of
from pytest_k8ssec.clusters.headers import MERGE_PATCH
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.rbac_objects import RBAC, rule
from pytest_k8ssec.errors import ProbeError, as_probe_error
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.pods.unrestricted import unrestricted_namespace, unrestricted_template
from pytest_k8ssec.probes.escalation import in_cluster, in_namespace, to_cluster_admin
from pytest_k8ssec.probes.identities import service_account
from pytest_k8ssec.probes.nodes_in_reach import nodes_in_reach
from pytest_k8ssec.probes.rights_table import further_ways
from pytest_k8ssec.sabotages.grants import lent
from pytest_k8ssec.stack import ServiceAccount, Workload

_BOUNDS = Bounds(requests=400, per_second=200)
"""Its token is no found one: nobody minds how fast it asks, and it has every right that is asked for."""
_A_DAY = 86400
"""Seconds that a planted token is good for: a canary is walked as often as a workload of its node is."""

ALWAYS_SHOWN = (
    "enter",
    "volume-discover",
    "host-read",
    "host-write",
    "token-paths",
    "host-namespace",
    "cri-socket",
    "core-pattern",
    "endpoint",
)
"""Kinds of edges that every canary proves live from inside its container."""
SHOWN_BY_RIGHTS = (
    "token-steal", "credential-use", "permission-discover", "secrets-list", "secrets-get", "role-bind", "role-escalate", "pod-create",
    "pod-privileged", "pod-patch", "pod-exec", "token-request", "impersonate", "certificate-approve", "webhook-create",
    "volume-create", "kubelet-exec", "token-make", "role-take", "pod-attach", "api-proxy", "policy-write", "api-answer",
    "defence-undo",
)  # fmt: skip
"""Kinds of edges that it finds by its rights."""


class Canary:
    """Pods of ours with every weakness, one on each node that is asked for."""

    def __init__(self, cluster: Cluster, pool: Pool) -> None:
        self._cluster = cluster
        self._pool = pool

    def pod(self, node: str) -> Pod:
        """The canary on a node.

        Raises:
            ProbeError: it was refused, or did not start.
        """
        return self._pool.lease(self._spec(node))[0]

    def walked(self, node: str) -> Graph:
        """The graph that the walk finds from it; walked once.

        Raises:
            ProbeError: its pod did not start, or a probe broke.
            SabotageError: its rights did not come into force.
        """
        return self._pool.remember(f"blast canary on {node}", lambda: self._walk(node))

    def _walk(self, node: str) -> Graph:
        template = self._template(node)
        workload = Workload("Pod", self._account.namespace, "canary", {}, {}, template)
        scene = Scene(self._cluster, (self._account.namespace,), ours=True, reach=nodes_in_reach(self._pool))
        start = start_of(workload)
        walker = Walker(self._cluster, self._pool, scene, {start: [workload]}, self.pod,
                        frozenset({workload.namespace}), _BOUNDS, thorough=True)  # fmt: skip
        self.pod(node)
        rules = [rule(verb, "secrets") for verb in ("list", "get")]
        steps = (*in_cluster(), *in_namespace(self._account, self._account.namespace, self._cluster.probe_image))
        ways = (*further_ways(self._account.namespace), *further_ways(""))
        rules += [each for step in (*steps, *ways, to_cluster_admin(self._account)) for each in step.rules]
        with lent(self._cluster, self._account, *rules, rule("get", "nodes/proxy")):
            return walker.walk(start)

    def _spec(self, node: str) -> PodSpec:
        return PodSpec(self._account.namespace, template=self._template(node), purpose="twin")

    def _template(self, node: str) -> dict[str, Any]:
        """That of a pod that may do everything, with a mount of the node that may not be written before the one that may."""
        template = unrestricted_template(node, self._account.name)
        spec = template["spec"]
        (container,) = spec["containers"]
        first = {"name": "first", "mountPath": "/first", "readOnly": True}
        key = {"name": self._account.name, "key": "token"}
        mounts = {
            "volumeMounts": [first, *container["volumeMounts"]],
            "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": key}}],
        }
        volumes = [*spec["volumes"], {"name": "first", "hostPath": {"path": "/etc"}}]
        return {"spec": {**spec, "volumes": volumes, "containers": [{**container, **mounts}]}}

    @property
    def _account(self) -> ServiceAccount:
        return self._pool.remember("blast canary's account", self._made)

    def _made(self) -> ServiceAccount:
        """An account of ours that has no right as yet, a Secret with a token of it beside it, and a Role of no rules."""
        name, namespace = f"k8ssec-{self._pool.run_id}-canary", unrestricted_namespace(self._pool)
        for kind, version, plural in (
            ("Role", f"apis/{RBAC}/v1", "roles"),
            ("ServiceAccount", "api/v1", "serviceaccounts"),
            ("Secret", "api/v1", "secrets"),
        ):
            path = f"/{version}/namespaces/{namespace}/{plural}"
            meta = {"name": name, "namespace": namespace}
            manifest = {"apiVersion": version.partition("/")[2], "kind": kind, "metadata": meta}
            with as_probe_error():
                answer = self._cluster.api.request("POST", path, body=manifest)
            if not answer.ok and answer.status != 409:
                raise ProbeError(f"POST {path}: HTTP {answer.status}: {answer.message}")
        held = {"stringData": {"token": service_account(self._cluster, namespace, name, seconds=_A_DAY).token}}
        with as_probe_error():
            self._cluster.api.call("PATCH", f"{path}/{name}", body=held, headers=MERGE_PATCH)
        return ServiceAccount(namespace, name)


def kinds_shown(graph: Graph) -> frozenset[str]:
    """Names of the kinds of edges that lead on from a canary."""
    return frozenset(edge.kind.name for edge in graph.radius)


def shows_the_way(graph: Graph) -> bool:
    """Whether cluster-admin was found, over proven edges alone."""
    return bool(graph.path()) and all(edge.status is Status.PROVEN for edge in graph.path())
