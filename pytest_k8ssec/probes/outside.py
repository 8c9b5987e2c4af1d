"""A listener outside the cluster, on the nodes' network: what a pod would reach first on its way out."""

from __future__ import annotations

import secrets

from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.probes.manifests import CANARY, CANARY_PORT
from pytest_k8ssec.probes.tasks import Tcp

_START = """
import os, socket, subprocess, sys, time
program, nonce, port, known = *sys.argv[1:4], "/tmp/k8ssec-listener"
if not os.path.exists(known):
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.Popen([sys.executable, "-c", program, nonce, port], start_new_session=True, **quiet)
    with open(known, "w") as file:
        file.write(nonce)
for _ in range(50):
    try:
        socket.create_connection(("127.0.0.1", int(port)), 1).close()
        break
    except OSError:
        time.sleep(0.1)
else:
    sys.exit("no listener")
print(open(known).read(), socket.gethostbyname(socket.gethostname()))
"""
"""It goes on when the command has ended, and with its container; asked again, it tells what is there."""


def outside_listener(cluster: Cluster) -> Tcp:
    """The task that reaches a listener of ours beside the nodes, and makes sure that it was that one that answered.

    Raises:
        ProbeError: there is none.
    """
    argv = ["python3", "-c", _START, CANARY, secrets.token_hex(8), str(CANARY_PORT)]
    told = cluster.in_network_of(None, argv).text.split()
    if len(told) != 2:
        raise ProbeError("listener outside the cluster: did not tell its address")
    nonce, address = told
    return Tcp(address, CANARY_PORT, expect=nonce)
