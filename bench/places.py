"""From where peers are run: a cluster of ours with its nodes, and the pods that an attacker would have got into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.machine import docker
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.probes.identities import service_account

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.kind import KindCluster
    from pytest_k8ssec.machine.process import Completed
    from pytest_k8ssec.stack import Stack
    from pytest_k8ssec.testbed.testbed import Testbed

TOOLS = "/opt/k8ssec-bench"
"""Where peers are, on nodes and in pods."""
_GIVE = """
set -e
bundle=/run/containerd/io.containerd.runtime.v2.task/k8s.io/$1
mkdir -p "$bundle/rootfs$2"
cp -a "$3" "$bundle/rootfs$2/"
pid=$(cat "$bundle/init.pid")
for line in memory:memory.limit_in_bytes:-1 cpu:cpu.cfs_quota_us:-1 :memory.max:max :cpu.max:max; do
    IFS=: read -r controller file value <<END
$line
END
    path=$(grep -E "^[0-9]+:([^:]*,)?$controller(,[^:]*)?:" "/proc/$pid/cgroup" | head -n 1 | cut -d : -f 3)
    case "$path" in *kubepods*) ;; *) continue ;; esac
    group=/sys/fs/cgroup/$controller$path
    for each in "$(dirname "$group")" "$group"; do
        if [ -e "$each/$file" ]; then echo "$value" >"$each/$file" || echo "$each/$file stays" >&2; fi
    done
done
"""
"""Puts a file or folder into a container from its node, also where the container may not write; and lifts what bounds
its memory and processors, as our pods are made for a probe that needs next to nothing."""


@dataclass(frozen=True, slots=True)
class Foothold:
    """A pod that an attacker is in, by a name that stays the same from cluster to cluster."""

    name: str
    pod: Pod

    def run(self, argv: Sequence[str], *, deadline: float, line: str = "") -> Completed:
        """Run a command in it; ``line`` is given to it on standard input."""
        return self.pod.vantage.execute(argv, f"{line}\n".encode() if line else b"", deadline)


class Place:
    """One cluster that this run made, as peers meet it.

    Raises:
        ProbeError: the cluster is not ours: nothing is ever run against another one.
    """

    def __init__(self, testbed: Testbed) -> None:
        if not testbed.cluster.ours:
            raise ProbeError(
                f"cluster {testbed.cluster.name}: this run did not create it, so no peer is run against it"
            )
        self._testbed = testbed
        self.cluster: KindCluster = testbed.cluster
        self._on_nodes: set[tuple[str, str]] = set()

    @property
    def stack(self) -> Stack | None:
        """The stack, where the cluster carries it."""
        return self._testbed.expected_stack

    @cached_property
    def service(self) -> str:
        """The API server's address within the cluster."""
        return str(self.cluster.api.get("/api/v1/namespaces/default/services/kubernetes")["spec"]["clusterIP"])

    @property
    def addresses(self) -> list[str]:
        """The nodes', one by one: peers are never given a range."""
        return [node.address for node in self.cluster.nodes]

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Those that the stack made."""
        return self.stack.created_namespaces if self.stack else ()

    @property
    def accounts(self) -> dict[str, str]:
        """Tokens that an attacker may hold, by account: of the stack's, else of one that has no rights."""
        if self.stack is None:
            own = self._testbed.pool.namespace("attacker")
            return {"an account without rights": service_account(self.cluster, own, "default").token}
        return {
            str(each): service_account(self.cluster, each.namespace, each.name).token
            for each in self.stack.service_accounts
        }

    def bare(self) -> Foothold:
        """A pod in a namespace of ours, which no policy holds back."""
        return Foothold("a pod of its own", self._testbed.pool.attacker())

    def unprofiled(self) -> Foothold:
        """A bare pod that asks for no seccomp profile, in a namespace that allows it."""
        spec = PodSpec(self._testbed.pool.namespace("canary"), seccomp="", purpose="seccomp")
        return Foothold("a pod without a profile", self._testbed.pool.lease(spec)[0])

    def footholds(self) -> list[Foothold]:
        """A bare pod; and in each of the stack's namespaces one that asks for nothing, and a twin of each workload."""
        found = [self.bare()]
        if self.stack is None:
            return found
        workloads = self.stack.workloads()
        silent = [PodSpec(each, automount=None, purpose="attacker") for each in self.namespaces]
        twins = [PodSpec(each.namespace, template=each.template, purpose="twin") for each in workloads]
        names = [*(f"a pod in {each}" for each in self.namespaces), *(f"twin of {each}" for each in workloads)]
        pods = self._testbed.pool.lease(*silent, *twins)
        return [*found, *(Foothold(name, pod) for name, pod in zip(names, pods, strict=True))]

    def put(self, node: Node, path: Path, name: str) -> str:
        """Copy a file or folder onto a node, once. Returns where it is."""
        target = f"{TOOLS}/{name}"
        if (node.name, name) not in self._on_nodes:
            self.cluster.on_node(node, ["mkdir", "-p", TOOLS])
            docker.docker("cp", str(path), f"{node.container}:{target}", deadline=120)
            self._on_nodes.add((node.name, name))
        return target

    def give(self, foothold: Foothold, path: Path, name: str) -> str:
        """Have a file or folder inside a pod. Returns where it is."""
        node = next(each for each in self.cluster.nodes if each.name == foothold.pod.source.node)
        target = self.put(node, path, name)
        container = self._container(foothold.pod)
        self.cluster.on_node(node, ["sh", "-c", _GIVE, "give", container, TOOLS, target], deadline=60)
        return target

    def _container(self, pod: Pod) -> str:
        path = f"/api/v1/namespaces/{pod.vantage.namespace}/pods/{pod.vantage.pod}"
        (status,) = self.cluster.api.get(path)["status"]["containerStatuses"]
        return str(status["containerID"]).rpartition("/")[2]
