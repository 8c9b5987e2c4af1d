"""What controls are given on the one cluster of a pytest run, so that a test can break it."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pytest_k8ssec.agent.vantage import NetworkVantage
from pytest_k8ssec.attack.radius import BlastRadius
from pytest_k8ssec.catalogue.control import Control
from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.clusters.kind import KindCluster
from pytest_k8ssec.errors import K8ssecError
from pytest_k8ssec.facts.node import hosts
from pytest_k8ssec.pods.manifests import OBJECT_LABEL
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.reach.sampling import EVERYTHING
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import Judge, Verdict


@dataclass
class World:
    """What a control is given: the real cluster and stack, or broken copies of them."""

    cluster: KindCluster
    stack: Stack
    pool: Pool

    @classmethod
    def of(cls, cluster: KindCluster, stack: Stack) -> World:
        """A world with pods of its own."""
        return cls(cluster, stack, Pool(cluster, f"fault-{secrets.token_hex(3)}", lambda: stack.namespaces))

    def recorded(self, control: Control, judge: Judge) -> None:
        """Run a control as the plugin would, and let a judge have what it records. Raises K8ssecError."""
        given: dict[str, Any] = {
            "judge": judge,
            "cluster": self.cluster,
            "stack": self.stack,
            "deployed": self.stack,
            "pool": self.pool,
            "attacker": self.pool.attacker,
            "twin": self.pool.twin,
            "outside": NetworkVantage(self.cluster, None),
            "allowed": {},
            "blast_radius": BlastRadius(self.cluster, self.stack, self.pool),
            "nodes": hosts(self.cluster),
            "k8ssec_sampling": EVERYTHING,
        }
        control.function(**{name: given[name] for name in inspect.signature(control.function).parameters})

    def judge(self, control: Control) -> tuple[Verdict, str]:
        """What comes of a control; an error of ours ends it early."""
        judge = Judge(control.dimensions)
        try:
            self.recorded(control, judge)
        except K8ssecError as error:
            verdict, _ = judge.verdict()
            return (verdict if verdict is Verdict.BREACHED else Verdict.INCONCLUSIVE), str(error)
        return judge.verdict()

    def with_api(self, api: KubeApi) -> World:
        """The same cluster, asked by another client."""
        broken = copy.copy(self.cluster)
        broken.__dict__["api"] = api
        return World.of(broken, dataclasses.replace(self.stack, api=api))


@contextmanager
def lone_world(cluster: KindCluster, stack: Stack, pool: Pool) -> Iterator[World]:
    """The cluster with the stack on it, no pods of other tests' there, and at the end none of this one's."""
    assert stack.deployed, "run these with --k8ssec-stack stacks/hardened"
    pool.refresh()
    made = World.of(cluster, stack)
    yield made
    made.pool.refresh()
    for namespace in cluster.api.list("/api/v1/namespaces", labelSelector=f"{OBJECT_LABEL}={made.pool.run_id}"):
        remove_namespace(cluster.api, namespace["metadata"]["name"])


def remove_namespace(api: KubeApi, namespace: str) -> None:
    """Its pods at once, the rest of it in its own time."""
    api.call("DELETE", f"/api/v1/namespaces/{namespace}/pods", params={"gracePeriodSeconds": "0"})
    api.delete(f"/api/v1/namespaces/{namespace}")
