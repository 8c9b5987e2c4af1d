"""A listener outside the cluster, on the nodes' network: what a pod would reach first on its way out."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from pytest_k8ssec.agent.tasks import Tcp, Udp
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.facts.listening_ports import Port
from pytest_k8ssec.pods.manifests import CANARY

START = """
import os, socket, subprocess, sys, time
program, known, nonce, *ports = sys.argv[1:]
if os.path.exists(known):
    nonce = open(known).read()
else:
    with open(known, "w") as file:
        file.write(nonce)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", int(port)), 1).close()
    except OSError:
        return False
    return True


silent = [port for port in ports if not listens(port)]
if silent:
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.Popen([sys.executable, "-c", program, nonce, *silent], start_new_session=True, **quiet)
for _ in range(50):
    if all(listens(port) for port in silent):
        break
    time.sleep(0.1)
else:
    sys.exit("no listener")
own = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)
print(nonce, *dict.fromkeys(sorted((each[4][0] for each in own), key=lambda address: ":" in address)))
"""
"""The listener outlives this command and ends with its container. Run again, it reports the listener and adds ports."""
_KNOWN = "/tmp/k8ssec-listener"  # noqa: S108 - in a container of ours


def outside_listener(cluster: Cluster, ports: Iterable[Port]) -> dict[Port, list[Tcp | Udp]]:
    """The tasks that reach a listener of ours beside the nodes, by port; the TCP answer proves that it was this one.

    Returns:
        for each port a task for each address that the listener has on the nodes' network, IPv4 first.

    Raises:
        ProbeError: there is none.
    """
    wanted = list(dict.fromkeys(ports))
    numbers = dict.fromkeys(str(number) for number, _ in wanted)
    argv = ["python3", "-c", START, CANARY, _KNOWN, secrets.token_hex(8), *numbers]
    told = cluster.in_network_of(None, argv).text.split()
    if len(told) < 2:
        raise ProbeError("listener outside the cluster: did not tell its address")
    nonce, *addresses = told
    return {
        (number, protocol): [
            Udp(address, number) if protocol == "UDP" else Tcp(address, number, expect=nonce) for address in addresses
        ]
        for number, protocol in wanted
    }
