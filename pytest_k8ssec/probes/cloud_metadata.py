"""Probes the cloud's metadata service; on nodes that this run made, a listener of ours takes its place.

A kind node reaches the real metadata service of its host, if there is one. That service is not part of the cluster. So
on nodes that this run made the listener takes its place, whatever else would answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from filelock import FileLock

from pytest_k8ssec.agent.tasks import Tcp
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import NoAccess
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.pods.pool import Pod

ADDRESS = "169.254.169.254"
ADDRESS_V6 = "fd00:ec2::254"
"""The same by IPv6, as AWS has it: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html"""
METADATA = Tcp(ADDRESS, 80)
"""Connects there, and asks for nothing."""
METADATA_V6 = Tcp(ADDRESS_V6, 80)

_SECONDS = 300
_CHANGING = Lock()
_USERS: Counter[tuple[Path, str]] = Counter()
"""How many of this process use the listener of a cluster's node: the first starts it, and the last stops it."""

_SERVE = f"""
set -e
families=" $* "
ip netns list | grep -q k8ssec-metadata && exit
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
case $families in *" v6 "*)
  ip addr add fd00:ec2:0:1::1/64 dev k8ssec-meta nodad
  in_service ip addr add fd00:ec2:0:1::2/64 dev service nodad
  in_service ip addr add {ADDRESS_V6}/128 dev service nodad
  in_service ip route add default via fd00:ec2:0:1::1
  ip route add {ADDRESS_V6}/128 via fd00:ec2:0:1::2
  in_service setsid socat TCP6-LISTEN:80,ipv6only=1,fork,reuseaddr SYSTEM:'echo k8ssec' >/dev/null 2>&1 </dev/null &
esac
in_service setsid socat TCP-LISTEN:80,pf=ip4,fork,reuseaddr SYSTEM:'echo k8ssec' >/dev/null 2>&1 </dev/null &
wanted=1
case $families in *" v6 "*) wanted=2 ;; esac
for _ in $(seq 50); do
  [ "$(in_service ss -H -l -t -n | grep -c :80)" -ge $wanted ] && exit 0
  sleep 0.1
done
exit 1
"""
"""A network namespace of its own, as the service is reached by way of the node and is no address of it."""
_STOP = """
for pid in $(ip netns pids k8ssec-metadata 2>/dev/null); do kill "$pid"; done
ip netns del k8ssec-metadata 2>/dev/null
ip link del k8ssec-meta 2>/dev/null
true
"""


def metadata(addresses: Iterable[str]) -> tuple[Tcp, ...]:
    """What connects to the service, by each family that these addresses are of."""
    known = {False: METADATA, True: METADATA_V6}
    return tuple(known[v6] for v6 in sorted({":" in address for address in addresses}))


@contextmanager
def served(cluster: Cluster, node: Node, pod: Pod) -> Iterator[str]:
    """Make sure that something answers at the address on a node: a listener of ours, else what is there already.

    Args:
        pod: one on that node for which no policy holds.

    Yields:
        which of the two it is.

    Raises:
        NoAccess: nothing answers, and the cluster is not ours to plant something there.
        ProbeError: nothing could be planted.
        filelock.Timeout: another worker of xdist holds the address for minutes.
    """
    if not cluster.ours or not node.container:
        if all(answer.outcome is not Outcome.OPEN for answer in pod.probe(*metadata(pod.addresses))):
            raise NoAccess(f"node {node.name}: nothing answers at {ADDRESS}, and nothing may be planted there")
        yield f"{node.name}: a metadata service answers"
        return
    lock, key = _alone(cluster, node), (cluster.workdir, node.name)
    families = ["v6"] if METADATA_V6 in metadata(pod.addresses) else []
    with _CHANGING, lock.acquire():
        if not _USERS[key]:  # else a sabotage's, or that of a control that runs beside this one
            cluster.on_node(node, ["sh", "-c", _SERVE, "serve", *families])
        lock.acquire()  # until the last user of this process is done
        _USERS[key] += 1
    try:
        yield f"{node.name}: a listener of ours stands in for the metadata service"
    finally:
        with _CHANGING:
            _USERS[key] -= 1
            try:
                if not _USERS[key]:
                    cluster.on_node(node, ["sh", "-c", _STOP])
            finally:
                lock.release()


def _alone(cluster: Cluster, node: Node) -> FileLock:
    """No other worker of xdist meanwhile: it would take the listener for its own, or away. This process counts its users."""
    path = cluster.workdir / f"metadata-{node.name}.lock"
    return FileLock(path, timeout=_SECONDS, thread_local=False, is_singleton=True)
