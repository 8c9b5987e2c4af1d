#!/usr/bin/python3
"""What kube-router leaves to be done on a node; it runs in kube-router's image.

`node-network configure FILE` writes the node's CNI configuration, and into FILE what kube-router is told of address families.
kube-router can write the first itself, in two ways that cost: it knows only the bridge plugin, with which every pod keeps a
neighbour entry for every other; and it adds the node's pod range to a file that the kubelet already sees, so that the
first pods fail for want of a range and CoreDNS comes 15 seconds late. Here the file appears once, and whole.

`node-network routes` sets the routes to the other nodes' pods that kube-router will set once its BGP peers have met. GoBGP
waits 5 to 9 s before it tries (osrg/gobgp, pkg/server/fsm.go, minConnectRetryInterval), whoever asks for a name on the
other node meanwhile loses its first packet, and waits 5 s more.
"""

import json
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
CONFIGURATION = Path("/etc/cni/net.d/10-kube-router.conflist")
DEADLINE = 120.0
CONNECT_SECONDS = 0.3
BGP_SECONDS = 20.0
"""By then kube-router has taken its routes over, and knows more of them than this does."""


def main() -> None:
    """As the arguments say."""
    if sys.argv[1:] == ["routes"]:
        set_routes()
    else:
        configure(Path(sys.argv[2]))


def configure(told: Path) -> None:
    """Asks for the node's pod ranges until there are some: the API's service address may not work yet."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            await_service(deadline)
            ranges = pod_ranges()
            if ranges:
                break
            failure = "the node has no pod range yet"
        except OSError as error:
            failure = str(error)
        if time.monotonic() > deadline:
            raise SystemExit(f"{os.environ['NODE_NAME']}: {failure}, after {DEADLINE:.0f} s")
        time.sleep(0.2)
    told.write_text(" ".join(families(ranges, os.environ["KUBERNETES_SERVICE_HOST"])))
    scratch = CONFIGURATION.with_suffix(".tmp")
    scratch.write_text(json.dumps(configuration(ranges), indent=2))
    scratch.replace(CONFIGURATION)


def set_routes() -> None:
    """Sets each that is not as it should be, once a second: a node that starts again may have another address."""
    end = time.monotonic() + BGP_SECONDS
    known: dict[str, str] = {}
    while time.monotonic() < end:
        try:
            wanted = routes(asked("/api/v1/nodes")["items"], os.environ["NODE_NAME"])
        except OSError:  # the API server's service address may not work yet
            wanted = {}
        for subnet, gateway in wanted.items():
            # As kube-router names its own: it replaces these.
            command = ["ip", "route", "replace", subnet, "via", gateway, "proto", "17"]
            if known.get(subnet) != gateway and subprocess.run(command, check=False, timeout=10).returncode == 0:
                known[subnet] = gateway
        time.sleep(1)


def routes(nodes: list[dict[str, Any]], own: str) -> dict[str, str]:
    """Each other node's ranges of pods, and the node's address of the same family."""
    found: dict[str, str] = {}
    for node in nodes:
        addresses = [each["address"] for each in node["status"].get("addresses", []) if each["type"] == "InternalIP"]
        for subnet in node["spec"].get("podCIDRs", []) if node["metadata"]["name"] != own else []:
            for address in addresses:
                if (":" in subnet) == (":" in address):
                    found.setdefault(subnet, address)
    return found


def await_service(deadline: float) -> None:
    """Waits until the API's service address leads somewhere.

    A connection that was begun before kube-proxy knew the address stays lost, as only its first packet is looked at for where
    it goes: whoever waits for its end waits too long, so these are given up soon. Once it leads there, nobody is hurried.
    """
    while time.monotonic() < deadline:
        with suppress(OSError):
            socket.create_connection(service(), timeout=CONNECT_SECONDS).close()
            return
        time.sleep(0.05)  # nothing tells when kube-proxy has taken it up


def service() -> tuple[str, int]:
    """The API's service address and its port."""
    return os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])


def pod_ranges() -> list[str]:
    """The ranges that the controller manager gave to this node."""
    return list(asked(f"/api/v1/nodes/{os.environ['NODE_NAME']}")["spec"].get("podCIDRs", []))


def asked(path: str) -> Any:
    """What the API answers. Raises OSError."""
    host, port = service()
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    request = urllib.request.Request(
        f"https://{authority}{path}",
        headers={"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"},
    )
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=5, context=trust) as answer:
        return json.load(answer)


def families(ranges: list[str], api_server: str) -> list[str]:
    """Arguments of kube-router: it leaves IPv6 alone unless told, and then wants to know more.

    Args:
        api_server: its address as a Service. Without IPv4, kube-router takes no range of that family for Services; the
            range that is named is one that holds at least this address.
    """
    if not any(":" in subnet for subnet in ranges):
        return []
    if any(":" not in subnet for subnet in ranges):
        return ["--enable-ipv6=true", "--router-id=generate"]
    return [
        "--enable-ipv4=false",
        "--enable-ipv6=true",
        "--router-id=generate",
        f"--service-cluster-ip-range={api_server}/112",
    ]


def configuration(ranges: list[str]) -> dict[str, object]:
    """A routed link for each pod."""
    return {
        "cniVersion": "0.3.1",
        "name": "kubernetes",
        "plugins": [
            {
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": subnet}] for subnet in ranges],
                    "routes": [{"dst": "::/0" if ":" in subnet else "0.0.0.0/0"} for subnet in ranges],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
        ],
    }


if __name__ == "__main__":
    main()
