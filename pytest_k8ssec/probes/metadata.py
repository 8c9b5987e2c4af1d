"""The cloud's metadata service, or on a node that has none a listener of ours in its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import NoAccess
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.probes.pool import Pod
from pytest_k8ssec.probes.tasks import Tcp

ADDRESS = "169.254.169.254"
METADATA = Tcp(ADDRESS, 80)
"""Connects there, and asks for nothing."""

_SERVE = f"""
set -e
ip netns add k8ssec-metadata
ip link add k8ssec-meta type veth peer name service netns k8ssec-metadata
ip addr add 169.254.168.1/30 dev k8ssec-meta
ip link set k8ssec-meta up
in_service() {{ ip netns exec k8ssec-metadata "$@"; }}
in_service ip addr add 169.254.168.2/30 dev service
in_service ip addr add {ADDRESS}/32 dev service
in_service ip link set service up
in_service ip route add default via 169.254.168.1
ip route add {ADDRESS}/32 via 169.254.168.2
in_service setsid socat TCP-LISTEN:80,fork,reuseaddr SYSTEM:'echo k8ssec' >/dev/null 2>&1 </dev/null &
for _ in $(seq 50); do in_service ss -H -l -t -n | grep -q :80 && exit 0; sleep 0.1; done
exit 1
"""
"""A network namespace of its own, as the service is reached by way of the node and is no address of it."""
_STOP = """
for pid in $(ip netns pids k8ssec-metadata 2>/dev/null); do kill "$pid"; done
ip netns del k8ssec-metadata 2>/dev/null
ip link del k8ssec-meta 2>/dev/null
true
"""


@contextmanager
def served(cluster: Cluster, node: Node, pod: Pod) -> Iterator[str]:
    """Make sure that something answers at the address on a node: what is there already, or a listener of ours.

    Args:
        pod: one on that node for which no policy holds.

    Yields:
        which of the two it is.

    Raises:
        NoAccess: nothing answers, and the cluster is not ours to plant something there.
        ProbeError: nothing could be planted.
    """
    if pod.probe(METADATA)[0].outcome is Outcome.OPEN:
        yield f"{node.name}: a metadata service answers"
        return
    if not cluster.ours or not node.container:
        raise NoAccess(f"node {node.name}: nothing answers at {ADDRESS}, and nothing may be planted there")
    try:
        cluster.on_node(node, ["sh", "-c", _SERVE])
        yield f"{node.name}: has no metadata service, so a listener of ours stands in for it"
    finally:
        cluster.on_node(node, ["sh", "-c", _STOP])
