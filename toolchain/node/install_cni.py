#!/usr/bin/python3
"""Writes a node's CNI configuration, and what kube-router is told of address families, as kube-router's init container.

kube-router can do that itself, in two ways that cost: it knows only the bridge plugin, with which every pod keeps a
neighbour entry for every other; and it adds the node's pod range to a file that the kubelet already sees, so that the
first pods fail for want of a range and CoreDNS comes 15 seconds late. Here the file appears once, and whole.
"""

import json
import os
import ssl
import sys
import time
import urllib.request
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
CONFIGURATION = Path("/etc/cni/net.d/10-kube-router.conflist")
DEADLINE = 120.0


def main() -> None:
    """Asks for the node's pod ranges until there are some: the API's service address may not work yet."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            ranges = pod_ranges()
            if ranges:
                break
            failure = "the node has no pod range yet"
        except OSError as error:
            failure = str(error)
        if time.monotonic() > deadline:
            raise SystemExit(f"{os.environ['NODE_NAME']}: {failure}, after {DEADLINE:.0f} s")
        time.sleep(0.2)
    Path(sys.argv[1]).write_text(" ".join(families(ranges, os.environ["KUBERNETES_SERVICE_HOST"])))
    scratch = CONFIGURATION.with_suffix(".tmp")
    scratch.write_text(json.dumps(configuration(ranges), indent=2))
    scratch.replace(CONFIGURATION)


def pod_ranges() -> list[str]:
    """The ranges that the controller manager gave to this node."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    request = urllib.request.Request(
        f"https://{authority}/api/v1/nodes/{os.environ['NODE_NAME']}",
        headers={"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"},
    )
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=2, context=trust) as answer:
        return list(json.load(answer)["spec"].get("podCIDRs", []))


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
