"""A process of ours on a node that hands on what reaches one of its ports to another one, for a while."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from pytest_k8ssec.agent.tasks import Tcp
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.facts.node import control_planes, heard_at
from pytest_k8ssec.pods import manifests
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.pods.unrestricted import unrestricted_namespace
from pytest_k8ssec.sabotages.exposed_port import await_open

_PROGRAM = """
import asyncio, signal, sys

async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()

async def main(port, host, target):
    async def hand_on(reader, writer):
        try:
            back, on = await asyncio.open_connection(host, int(target))
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, on), pump(back, writer))

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, sys.exit)
    await (await asyncio.start_server(hand_on, "", int(port))).serve_forever()

asyncio.run(main(*sys.argv[1:]))
"""


@contextmanager
def forwarded(cluster: Cluster, pool: Pool, port: int, target: int) -> Iterator[Evidence]:
    """Have a pod in the first control plane's network listen on all addresses and hand on to its etcd's port.

    Args:
        port: where it listens. The pod does not declare it: only its socket tells of it.
        target: a port that etcd listens on there.

    Yields:
        evidence that it listens at the node's address.

    Raises:
        SabotageError: etcd does not listen there.
        ProbeError: the pod does not.
        ClusterError: it could not be made.
    """
    (node, *_) = control_planes(cluster)
    hosts = [host for host, heard in heard_at(cluster, node, "etcd") if heard == target]
    if not hosts:
        raise SabotageError(f"etcd on {node.name}: does not listen on port {target}")
    template = {"spec": {"hostNetwork": True, "nodeName": node.name, "containers": [{"name": "probe"}]}}
    spec = PodSpec(unrestricted_namespace(pool), template=template, purpose="forwarder")
    name = f"k8ssec-forwarder-{secrets.token_hex(3)}"
    pod = manifests.probe_pod(spec, name, cluster.probe_image, "", pool.run_id, None)
    pod["spec"]["containers"][0]["command"] = ["python3", "-c", _PROGRAM, str(port), hosts[0], str(target)]
    with cluster.api.applied(pod):
        yield await_open(cluster, node, Tcp(node.address, port), "what hands on")
