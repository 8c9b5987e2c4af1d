"""The network of a live pod, for a twin that may not wear its labels: it would get the pod's traffic.

Where a Service publishes addresses of pods that are not ready, and policies select by each label that the Service selects
by, no pod of ours can be under the policies of the workload and stay out of the Service. A live pod is under them. An
unrestricted pod of ours on its node enters its network namespace and sends from there: by its interface, from its address.
Nothing listens there, and nothing in the live pod's containers is touched.

Source: https://man7.org/linux/man-pages/man2/setns.2.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_k8ssec.agent.vantage import PodVantage
from pytest_k8ssec.clusters.api import Body, KubeApi
from pytest_k8ssec.evidence import Source
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.pods.manifests import OBJECT_LABEL, PodSpec
from pytest_k8ssec.pods.never_served import known_to_policies

ENTER = r"""
import ctypes, glob, os, re, socket, sys
uid, address, command = sys.argv[1], sys.argv[2], sys.argv[3:]
ours = re.compile("pod(%s|%s)" % (re.escape(uid), re.escape(uid.replace("-", "_"))))
libc = ctypes.CDLL(None, use_errno=True)
for process in sorted(glob.glob("/proc/[0-9]*"), key=lambda path: int(path[6:])):
    try:
        with open(process + "/cgroup") as file:
            if not ours.search(file.read()):
                continue
        with open(process + "/ns/net") as network:
            if libc.setns(network.fileno(), 0x40000000):
                continue
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as own:
            own.bind((address, 0))
    except OSError:
        continue
    os.execvp(command[0], command)
sys.exit("no process of the pod is in a network that has its address")
"""
"""Enters the network of the pod with that uid and address, and goes on there as the command. A process of the pod is found by
its cgroup; that the address is one of the network's own shows that it was the right one."""


@dataclass(frozen=True, slots=True)
class LivePod:
    """A running pod of the stack."""

    name: str
    """``namespace/name``."""
    uid: str
    address: str
    node: str


@dataclass(frozen=True, slots=True)
class LiveNetwork:
    """The network namespace of a live pod, entered from an unrestricted pod of ours on its node."""

    host: PodVantage
    pod: LivePod

    @property
    def source(self) -> Source:
        """See :class:`pytest_k8ssec.agent.vantage.Vantage`."""
        return Source("pod", f"{self.pod.name} (in its network)", self.pod.address, self.pod.node)

    def execute(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Completed:
        """See :class:`pytest_k8ssec.agent.vantage.Vantage`."""
        return self.host.execute(["python3", "-c", ENTER, self.pod.uid, self.pod.address, *argv], stdin, deadline)


def live_like(api: KubeApi, spec: PodSpec) -> LivePod | None:
    """A running pod that every network policy treats as it would the twin; on the twin's node, where it has one.

    Raises:
        ClusterError: the API server did not list pods, or policies.
    """
    template = spec.template or {}
    wanted, body = (template.get("metadata") or {}).get("labels") or {}, template.get("spec") or {}
    known = known_to_policies(api)
    for pod in api.list(f"/api/v1/namespaces/{spec.namespace}/pods"):
        meta, told, status = pod["metadata"], pod["spec"], pod.get("status", {})
        if (
            status.get("phase") == "Running"
            and status.get("podIP")
            and not meta.get("deletionTimestamp")
            and _alike(meta.get("labels") or {}, wanted, known)
            and body.get("nodeName", told.get("nodeName")) == told.get("nodeName")
            and (body.get("serviceAccountName") or "default") == (told.get("serviceAccountName") or "default")
            and bool(body.get("hostNetwork")) is bool(told.get("hostNetwork"))
        ):
            return _live(pod)
    return None


def _alike(labels: Mapping[str, str], wanted: Mapping[str, str], known: set[str]) -> bool:
    """Whether a pod has the labels that are wanted, and no further one that a policy knows; never one of ours."""
    further = labels.keys() - wanted.keys()
    return OBJECT_LABEL not in labels and wanted.items() <= labels.items() and not further & known


def _live(pod: Body) -> LivePod:
    meta = pod["metadata"]
    return LivePod(f"{meta['namespace']}/{meta['name']}", meta["uid"], pod["status"]["podIP"], pod["spec"]["nodeName"])
